"""This project's own model folders: a small, documented format for models trained here.

config.json         {"format": "llm_magics", "format_version": 1, "architecture": "Seq2SeqModel",
                     "arguments": {...}, "task": "translate", "source_language": "en",
                     "target_language": "de", "special": {"pad": 0, "bos": 1, "eos": 2, "unk": 3},
                     "labels": [...] of a classifier, "trained_tokens": how many tokens at once a
                     language model has seen in training}; the architecture is a name of
                     `nn.ARCHITECTURES`
model.safetensors   the weights, float16 or float32, tied weights once
tokenizer.json      for both sides, or source_tokenizer.json + target_tokenizer.json
card.md             what the model was trained on, and how good it is
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_magics.errors import BrokenModel
from llm_magics.models.folder.inspect import FolderFacts, inspect_folder
from llm_magics.models.folder.native_tokenizer import (
    DEFAULT_SPECIAL,
    NativeTokenizer,
    read_tokenizers,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import nn

__all__ = [
    "FORMAT_VERSION",
    "NativeTokenizer",
    "native_kind",
    "load_native",
    "put_in_place",
    "save_native",
]

FORMAT_VERSION = 1


def save_native(
    folder: str | Path,
    module: nn.Module,
    *,
    arguments: dict[str, Any],
    task: str,
    source_tokenizer: Tokenizer,
    source_language: str = "",
    target_language: str = "",
    target_tokenizer: Tokenizer | None = None,
    special: dict[str, int] | None = None,
    labels: list[str] | None = None,
    trained_tokens: int | None = None,
    dtype: str = "float32",
    card: str = "",
) -> Path:
    """Writes a native model: all of it into a folder beside the last place, then one rename.

    `arguments` are the constructor's arguments; `dtype` is "float32" or "float16"; a
    `target_tokenizer` of None means that both sides share `source_tokenizer`. A model already there
    is replaced. Returns the folder.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        config = {
            "format": "llm_magics",
            "format_version": FORMAT_VERSION,
            "architecture": type(module).__name__,
            "arguments": arguments,
            "task": task,
            "source_language": source_language,
            "target_language": target_language,
            "special": dict(DEFAULT_SPECIAL if special is None else special),
        }
        if labels is not None:
            config["labels"] = labels
        if trained_tokens is not None:
            config["trained_tokens"] = trained_tokens
        _write_text(
            building / "config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        )
        _write_weights(building / "model.safetensors", module, dtype)
        if target_tokenizer is None or target_tokenizer is source_tokenizer:
            _write_text(building / "tokenizer.json", source_tokenizer.to_str(pretty=False))
        else:
            _write_text(building / "source_tokenizer.json", source_tokenizer.to_str(pretty=False))
            _write_text(building / "target_tokenizer.json", target_tokenizer.to_str(pretty=False))
        _write_text(building / "card.md", card)
        building.chmod(0o755)
        put_in_place(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _write_weights(path: Path, module: nn.Module, dtype: str) -> None:
    import torch
    from safetensors.torch import save_file

    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype is float32 or float16, not {dtype!r}")
    tensors, seen = {}, set()
    for name, tensor in module.state_dict().items():
        place = (tensor.data_ptr(), tensor.shape)
        if tensor.numel() and place in seen:
            continue  # tied to one already kept
        seen.add(place)
        wanted = getattr(torch, dtype) if tensor.is_floating_point() else tensor.dtype
        tensors[name] = tensor.detach().to("cpu", wanted).contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)


def put_in_place(building: Path, folder: Path) -> None:
    """`building` takes the place of `folder`; the old folder is removed only after the new one
    stands."""
    if not folder.exists():
        building.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    folder.rename(old / "model")
    try:
        building.rename(folder)
    except OSError:
        (old / "model").rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def load_native(
    folder: str | Path, facts: FolderFacts | None = None
) -> tuple[nn.Module, NativeTokenizer, dict]:
    """(module in eval mode, float32, on the CPU; tokenizer; config.json) of a native folder.

    Raises ModelNotFound, UnsafeModel or BrokenModel, each naming the file.
    """
    facts = facts or inspect_folder(Path(folder))
    config = facts.config
    _check_config(facts)
    module = _build(facts)
    _fill(module, facts)
    tokenizers = read_tokenizers(facts.folder)
    tokenizer = NativeTokenizer(*tokenizers, config.get("special"))
    sizes = config["arguments"]
    for side, size in (
        ("source", "src_vocab_size"),
        ("target", "tgt_vocab_size"),
        ("source", "vocab_size"),
    ):
        known = getattr(tokenizer, side).get_vocab_size()
        if size in sizes and known > sizes[size]:
            raise BrokenModel(
                f"{facts.folder}: the {side} tokenizer has {known} tokens, the model fewer"
            )
    return module.eval(), tokenizer, config


def native_kind(module: nn.Module) -> str:
    """What a model of `nn` is to the manager: "seq2seq", "causal" or "encoder"."""
    if hasattr(module, "encode") and hasattr(module, "decode_step"):
        return "seq2seq"
    return "causal" if hasattr(module, "new_cache") else "encoder"


def _check_config(facts: FolderFacts) -> None:
    from llm_magics.nn import ARCHITECTURES

    config, place = facts.config, facts.folder / "config.json"
    if not facts.is_native:
        raise BrokenModel(f'{place} is not of this project: it lacks "format": "llm_magics"')
    if config.get("task") == "custom":
        raise BrokenModel(
            f"{facts.folder} holds the weights of a module of a notebook, and only the notebook "
            "knows how that is built: safetensors.torch.load_model(MODULE, "
            "FOLDER/'model.safetensors') puts them into one"
        )
    if config.get("format_version") != FORMAT_VERSION:
        version = config.get("format_version")
        raise BrokenModel(
            f"{place} has format version {version!r}; this version reads {FORMAT_VERSION}: upgrade"
        )
    architecture = config.get("architecture")
    if architecture not in ARCHITECTURES:
        raise BrokenModel(
            f"{place} names the architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}"
        )
    arguments, special = config.get("arguments"), config.get("special", DEFAULT_SPECIAL)
    sizes = (
        set(arguments) & {"src_vocab_size", "tgt_vocab_size", "vocab_size"}
        if isinstance(arguments, dict)
        else set()
    )
    if sizes not in ({"src_vocab_size", "tgt_vocab_size"}, {"vocab_size"}):
        raise BrokenModel(
            f"{place} must give the constructor's arguments, the sizes of the vocabularies too"
        )
    if not isinstance(special, dict) or not {"pad", "bos", "eos"} <= set(special):
        raise BrokenModel(f"{place} must give the ids of pad, bos and eos under special")


def _build(facts: FolderFacts) -> nn.Module:
    """The module, without memory for its weights until the files are known to fill it."""
    from llm_magics.nn import ARCHITECTURES
    from llm_magics.nn.outline import outline

    cls, arguments = ARCHITECTURES[facts.config["architecture"]], facts.config["arguments"]
    try:
        empty = outline(cls, **arguments)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BrokenModel(
            f"{facts.folder / 'config.json'} cannot be built: {str(error)[:160]}"
        ) from None
    shapes = empty.state_dict()
    for name, tensor in shapes.items():
        kept = facts.tensors.get(name)
        if kept is not None and kept.shape != tuple(tensor.shape):
            raise BrokenModel(
                f"{facts.folder}: {name} is {kept.shape} in the file, {tuple(tensor.shape)} by "
                "config.json"
            )
    missing = set(shapes) - set(facts.tensors)
    if missing and not _are_tied(empty, missing, set(facts.tensors)):
        raise BrokenModel(
            f"{facts.folder}: model.safetensors lacks {', '.join(sorted(missing)[:3])}"
        )
    return cls(**arguments)


def _are_tied(module: nn.Module, missing: set[str], present: set[str]) -> bool:
    """Whether every missing parameter is the same one as a parameter under a name that is there."""
    names: dict[int, set[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), set()).add(name)
    return all(
        any(name in group and group & present for group in names.values()) for name in missing
    )


def _fill(module: nn.Module, facts: FolderFacts) -> None:
    from safetensors.torch import load_file

    tensors: dict = {}
    for path in facts.weights:
        tensors |= load_file(path)
    unexpected = set(tensors) - set(module.state_dict())
    if unexpected:
        raise BrokenModel(
            f"{facts.folder}: model.safetensors has unknown tensors: {sorted(unexpected)[0][:80]!r}"
        )
    # Missing names are tied to present ones (checked in _build); copying casts float16 to the
    # module's float32.
    module.load_state_dict(tensors, strict=False)
