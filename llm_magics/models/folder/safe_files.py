"""Reading files of a folder that strangers wrote: size first, only regular files, only inside the
folder."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from llm_magics.errors import BrokenModel, UnsafeModel

__all__ = ["check_inside", "read_json", "reason"]

MAX_JSON_BYTES = 64 << 20


def read_json(path: Path, limit_bytes: int = MAX_JSON_BYTES) -> dict:
    """A JSON object from a regular file of at most `limit_bytes`.

    Raises BrokenModel, or UnsafeModel when the file is a pipe, a device, or lies outside its
    folder.
    """
    check_inside(path, path.parent)
    try:
        size = path.stat().st_size
        if size > limit_bytes:
            raise BrokenModel(
                f"{path} has {size:,} bytes, more than the {limit_bytes:,} that are read"
            )
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenModel(f"{path} cannot be read as JSON: {reason(error)}") from None
    if not isinstance(value, dict):
        raise BrokenModel(f"{path} must hold a JSON object, not a {type(value).__name__}")
    return value


def reason(error: BaseException) -> str:
    """The first line of an error's message, at most 160 characters."""
    return (str(error) or type(error).__name__).splitlines()[0][:160]


def check_inside(path: Path, folder: Path) -> None:
    """Raises UnsafeModel unless `path` is a regular file whose real place is in `folder`.

    The hub's cache keeps its files in `blobs/` and links to them from `snapshots/COMMIT/`: such
    links are right.
    """
    try:
        real, root = path.resolve(strict=True), folder.resolve(strict=True)
        mode = real.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        raise BrokenModel(f"{path} cannot be opened: {reason(error)}") from None
    if not stat.S_ISREG(mode):
        raise UnsafeModel(f"{path} is not a regular file: it is not opened")
    if real.is_relative_to(root):
        return
    is_cache = root.parent.name == "snapshots" and real.is_relative_to(root.parent.parent / "blobs")
    if not is_cache:
        raise UnsafeModel(f"{path} leads out of its model's folder: it is not opened")
