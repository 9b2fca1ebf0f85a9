"""Where conversions for CTranslate2 are kept, so that the next load needs neither transformers'
weights nor time.

    <cache>/ctranslate2/opus-mt-en-de-int8-3f2a…/
        model.bin  config.json  shared_vocabulary.json   CTranslate2's files
        conversion.json                                  what it was made of, written last

One folder per source and number format: a conversion of other weights in the same place, or by
another version of CTranslate2, takes the place of the one before. A folder is written beside and
then renamed, and never changed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_magics.models.backends.engine import COMPUTE_TYPES
from llm_magics.models.folder.inspect import FolderFacts
from llm_magics.models.reference import cache_root

__all__ = [
    "Conversion",
    "bytes_while_loading",
    "conversions_root",
    "find_conversion",
    "keep_conversion",
]

_VERSION = 1
"""To be raised when `models.backends.ctranslate2.convert` comes to write something else."""
_NOTE = "conversion.json"
_ABANDONED_S = 24 * 3600
_WHILE_CONVERTING = 2.5
"""Copies of the float32 weights in memory while they are converted and checked: the module's, those
joined, the result's."""


@dataclass(frozen=True)
class Conversion:
    """A converted model on disk."""

    folder: Path
    n_parameters: int
    n_bytes: int
    """Bytes of the weights, on disk and in memory."""


def conversions_root() -> Path:
    """The folder of all conversions."""
    return cache_root() / "ctranslate2"


def find_conversion(facts: FolderFacts, number_format: str) -> Conversion | None:
    """The conversion of exactly this model, None when there is none, or only a damaged one."""
    folder, identity = _place(facts, number_format)
    try:
        note = json.loads((folder / _NOTE).read_text("utf-8"))
        whole = (
            note["identity"] == identity
            and (folder / "model.bin").stat().st_size == note["model_bytes"]
        )
        return (
            Conversion(folder, int(note["n_parameters"]), int(note["model_bytes"]))
            if whole
            else None
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def keep_conversion(
    facts: FolderFacts, number_format: str, module: Any, write: Callable[[Any, Path, str], None]
) -> Conversion:
    """Has `write(module, folder, compute type)` convert the module, and keeps what it wrote."""
    folder, identity = _place(facts, number_format)
    n_parameters = sum(parameter.numel() for parameter in module.parameters())
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(folder.parent)
    beside = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        write(module, beside, COMPUTE_TYPES[number_format])
        size = (beside / "model.bin").stat().st_size
        note = {"identity": identity, "n_parameters": n_parameters, "model_bytes": size}
        (beside / _NOTE).write_text(json.dumps(note, indent=2), "utf-8")
        shutil.rmtree(
            folder, ignore_errors=True
        )  # of other weights, or damaged: find_conversion did not take it
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        found = find_conversion(facts, number_format)  # another process was faster
        if found is None:
            raise
        return found
    return Conversion(folder, n_parameters, size)


def bytes_while_loading(facts: FolderFacts, number_format: str, device: str) -> int:
    """Bytes a load takes on the device; converting is done in the machine's memory, and takes more
    than the result."""
    found = find_conversion(facts, number_format)
    if found is not None:
        return found.n_bytes
    if device.partition(":")[0] != "cpu":
        return facts.needed_bytes({"int8": 1, "float32": 4}.get(number_format, 2))
    return int(_WHILE_CONVERTING * facts.needed_bytes(4))


def _place(facts: FolderFacts, number_format: str) -> tuple[Path, dict[str, Any]]:
    """(where the conversion is or will be, what has to be as it was when it was made)."""
    import ctranslate2

    real = facts.folder.resolve()
    config = (facts.folder / "config.json").read_bytes()
    identity = {
        "version": _VERSION,
        "ctranslate2": ctranslate2.__version__,
        "source": str(real),
        "format": number_format,
        "config": hashlib.sha256(config).hexdigest(),
        "weights": [_fingerprint(path) for path in facts.weights],
        "tensors": hashlib.sha256(repr(sorted(facts.tensors.items())).encode()).hexdigest(),
    }
    name = (
        real.parent.parent.name.rpartition("--")[2]
        if real.parent.name == "snapshots"
        else real.name
    )
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:48]
    key = hashlib.sha256(f"{real}\n{number_format}".encode()).hexdigest()[:16]
    return conversions_root() / f"{readable}-{number_format}-{key}", identity


def _fingerprint(path: Path) -> list[object]:
    """[name, bytes, time of change] of a weight file; in the hub's cache its real name is the hash
    of its content."""
    real = path.resolve()
    status = real.stat()
    return [real.name, status.st_size, status.st_mtime_ns]


def _clear_abandoned(root: Path) -> None:
    """Removes what was being written when a process was killed."""
    for folder in root.glob(".making-*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
