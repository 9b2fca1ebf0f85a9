"""A model folder is read and judged here, as plain files, before any library opens it as a model.

Refused: weights in pickle form, configurations that name code to run, index files that point out of
the folder, anything that is not a regular file, and safetensors whose headers do not describe the
bytes that follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from llm_magics.errors import BrokenModel, ModelNotFound, UnsafeModel
from llm_magics.models.folder.safe_files import read_json
from llm_magics.models.folder.weights import (
    ELEMENT_BYTES,
    TensorFacts,
    safetensors_facts,
    weight_files,
)

__all__ = ["FolderFacts", "inspect_folder"]

MAX_CONFIG_BYTES = 4 << 20
MAX_LAYERS = 2_048
MAX_SIZE = 1 << 26
"""Largest whole number believed in a configuration, vocabulary sizes and context lengths
included."""

_CONFIGS = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "processor_config.json",
)


@dataclass(frozen=True)
class FolderFacts:
    """What is known about a model folder before it is opened."""

    folder: Path
    config: dict
    """config.json."""
    weights: tuple[Path, ...]
    """The weight files in the order of their names."""
    tensors: dict[str, TensorFacts] = field(repr=False)
    """Name -> shape and format of every tensor; empty for pickled weights, which cannot be read
    safely."""
    pickled: bool = False
    """Whether the weights are in pickle form."""
    remote_code: bool = False
    """Whether the configuration names code to run."""

    @property
    def is_native(self) -> bool:
        """Whether the folder is in this project's own format."""
        return self.config.get("format") == "llm_magics"

    @property
    def family(self) -> str:
        """`model_type` of the configuration, "native" for this project's own format."""
        return "native" if self.is_native else str(self.config.get("model_type"))

    @property
    def n_parameters(self) -> int | None:
        """Numbers in the weight files; None for pickled weights."""
        return sum(tensor.elements for tensor in self.tensors.values()) if self.tensors else None

    @property
    def file_bytes(self) -> int:
        """Bytes of the weight files."""
        return sum(path.stat().st_size for path in self.weights)

    def needed_bytes(self, element_bytes: int) -> int:
        """Bytes in memory once floating-point weights have `element_bytes` each."""
        if not self.tensors:
            return self.file_bytes
        return sum(
            tensor.elements
            * (element_bytes if tensor.dtype[0] in "FB" else ELEMENT_BYTES[tensor.dtype])
            for tensor in self.tensors.values()
        )


def inspect_folder(
    folder: Path, *, trust_remote_code: bool = False, allow_pickle: bool = False
) -> FolderFacts:
    """Reads a model folder's configuration and weight headers without opening it as a model.

    Raises ModelNotFound (no folder, or no model in it), UnsafeModel (pickle, remote code, files
    outside), BrokenModel (files that contradict themselves).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelNotFound(_no_folder(folder))
    if (folder / "adapter_config.json").exists():
        raise ModelNotFound(
            f"{folder} holds an adapter, not a whole model: merge it into its base model first"
        )
    config_file = folder / "config.json"
    if not config_file.exists():
        raise ModelNotFound(f"{folder} is not a model folder: it has no config.json")
    config = read_json(config_file, MAX_CONFIG_BYTES)
    _check_sizes(config, config_file)
    remote_code = _names_code(folder)
    if remote_code and not trust_remote_code:
        raise UnsafeModel(
            f"{folder} names its own Python code (auto_map), which would run here: "
            f"if you trust its authors, %models load {folder} --trust-remote-code"
        )
    weights, pickled = weight_files(folder, allow_pickle=allow_pickle)
    tensors: dict[str, TensorFacts] = {}
    if not pickled:
        for path in weights:
            tensors |= safetensors_facts(path)
    return FolderFacts(folder, config, weights, tensors, pickled, remote_code)


def _no_folder(folder: Path) -> str:
    import difflib

    try:
        names = [path.name for path in folder.parent.iterdir() if path.is_dir()]
    except OSError:
        names = []
    near = difflib.get_close_matches(folder.name, names, n=1)
    return f"there is no folder {folder}" + (
        f": did you mean {folder.parent / near[0]}?" if near else ""
    )


def _check_sizes(config: dict, path: Path) -> None:
    """Refuses numbers no model has, before a library builds 10^6 layers from them."""
    for key, value in _walk(config):
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        limit = MAX_LAYERS if "layer" in key else MAX_SIZE
        # Context lengths and caches may be written as huge sentinels; nothing is allocated from
        # those.
        if abs(value) > limit and not any(
            word in key for word in ("max_", "length", "_id", "window", "seed")
        ):
            raise BrokenModel(
                f"{path} says {key} = {value:,}, more than the {limit:,} a model can have"
            )


def _walk(value: object, key: str = ""):
    """(key, value) of every scalar in nested JSON; list items have the key of their list."""
    stack = [(key, value)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, dict):
            yield from ((str(name), None) for name in value)
            stack.extend((str(name), item) for name, item in value.items())
        elif isinstance(value, list):
            stack.extend((key, item) for item in value)
        else:
            yield key, value


def _names_code(folder: Path) -> bool:
    """Whether any configuration of the folder names code to run, at any depth."""
    if (folder / "custom_generate").exists():
        return True
    for name in _CONFIGS:
        if (folder / name).exists():
            value = read_json(folder / name)
            if any(key in ("auto_map", "trust_remote_code") for key, _ in _walk(value)):
                return True
    return False
