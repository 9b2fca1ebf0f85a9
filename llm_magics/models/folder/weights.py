"""Weight files as plain bytes: which a folder has, and what the headers of safetensors files
promise."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from llm_magics.errors import BrokenModel, ModelNotFound, UnsafeModel
from llm_magics.models.folder.safe_files import check_inside, read_json, reason

__all__ = ["ELEMENT_BYTES", "TensorFacts", "safetensors_facts", "weight_files"]

MAX_HEADER_BYTES = 32 << 20
MAX_TENSORS = 50_000
MAX_SHARDS = 1_000

PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
ELEMENT_BYTES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "C64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "BF16": 2,
    "F16": 2,
    "I16": 2,
    "U16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}


@dataclass(frozen=True)
class TensorFacts:
    """One tensor as the header of a safetensors file describes it."""

    dtype: str
    """The name used in the file: F32, BF16, ..."""
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def weight_files(folder: Path, *, allow_pickle: bool = False) -> tuple[tuple[Path, ...], bool]:
    """(files, whether they are pickles) of a folder's weights, each checked to lie inside the
    folder."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists() or single.is_symlink():
        check_inside(single, folder)
        return (single,), False
    if index.exists():
        return _shards(index), False
    pickles = [name for name in PICKLES if (folder / name).exists()]
    if not pickles:
        raise ModelNotFound(
            f"{folder} is not a model folder: it has a config.json but no model.safetensors"
        )
    if not allow_pickle:
        raise UnsafeModel(
            f"{folder} has only {pickles[0]}, a pickle that can run code: convert it to "
            f"safetensors, or, if you trust its authors, %models load {folder} --allow-pickle"
        )
    if pickles[0].endswith(".json"):
        return _shards(folder / pickles[0]), True
    check_inside(folder / pickles[0], folder)
    return (folder / pickles[0],), True


def _shards(index: Path) -> tuple[Path, ...]:
    mapping = read_json(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise BrokenModel(f"{index} has no weight_map")
    names = set(map(str, mapping.values()))
    if len(names) > MAX_SHARDS:
        raise BrokenModel(f"{index} names {len(names):,} files, more than {MAX_SHARDS:,}")
    suffix = ".safetensors" if "safetensors" in index.name else ".bin"
    for name in sorted(names):
        if name != Path(name).name or "\\" in name or "\0" in name or not name.endswith(suffix):
            raise UnsafeModel(
                f"{index} names the file {name[:80]!r}: only files of the folder itself are opened"
            )
        if not (index.parent / name).exists():
            raise BrokenModel(f"{index} names the file {name[:80]!r}, which is missing")
        check_inside(index.parent / name, index.parent)
    return tuple(index.parent / name for name in sorted(names))


def safetensors_facts(path: Path) -> dict[str, TensorFacts]:
    """The tensors of a safetensors file, from its header, checked against the file's size.

    Format: 8 bytes little-endian length, a JSON header, then the tensors without gaps or overlaps.
    Raises BrokenModel.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
                raise BrokenModel(
                    f"{path} is not a safetensors file, or is cut off: download or save it again"
                )
            header = json.loads(file.read(length))
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenModel(f"{path} has no readable safetensors header: {reason(error)}") from None
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise BrokenModel(f"{path} has no safetensors header of at most {MAX_TENSORS:,} tensors")
    header.pop("__metadata__", None)
    try:
        return _check_layout(header, size - 8 - length)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenModel(
            f"{path} has a safetensors header that contradicts itself: {reason(error)}"
        ) from None


def _check_layout(header: dict, data_bytes: int) -> dict[str, TensorFacts]:
    facts, spans = {}, []
    for name, entry in header.items():
        shape = tuple(entry["shape"])
        if any(isinstance(size, bool) or not isinstance(size, int) or size < 0 for size in shape):
            raise ValueError(f"shape of {name[:80]!r}")
        fact = TensorFacts(entry["dtype"], shape)
        start, end = entry["data_offsets"]
        if end - start != fact.elements * ELEMENT_BYTES[fact.dtype]:
            raise ValueError(f"size of {name[:80]!r}")
        facts[name] = fact
        spans.append((start, end))
    position = 0
    for start, end in sorted(spans):
        if start != position:
            raise ValueError("tensors overlap or leave gaps")
        position = end
    if position != data_bytes:
        raise ValueError(
            f"{position:,} bytes described, {data_bytes:,} bytes in the file (was it cut off?)"
        )
    return facts
