"""Files of text as rows read them: packed or not, and which sign stands between the cells."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import BinaryIO, cast

__all__ = ["delimiter_of", "ending_of", "open_bytes"]

_FOUND = ",;\t|"


def ending_of(path: Path) -> str:
    """What a name ends in, in small letters and without a ".gz" behind it."""
    packed = path.suffix.lower() == ".gz"
    return Path(path.stem if packed else path.name).suffix.lower()


def open_bytes(path: Path) -> BinaryIO:
    """The file to be read, unpacked where it ends in .gz."""
    if path.suffix.lower() == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def delimiter_of(heading: str, usual: str) -> str:
    """What stands between the cells of a table whose first line this is.

    That is `usual`, unless it makes one cell of the line and another sign makes several, such as
    the semicolon that Excel writes in most of Europe.
    """

    def cells(sign: str) -> int:
        try:
            return len(next(csv.reader([heading], delimiter=sign), []))
        except csv.Error:
            return 0

    return usual if cells(usual) > 1 else max((usual, *_FOUND), key=cells)
