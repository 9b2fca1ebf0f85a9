"""Where the rows of a batch come from: a list, a column, a generator or a file, read only as far as
they are needed."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from llm_magics.errors import InputError

__all__ = [
    "SUFFIXES",
    "BadRow",
    "Referenced",
    "RowSource",
    "chosen_column",
    "column_names",
    "open_rows",
    "text_of",
]

_TABLES = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (".jsonl", ".ndjson", ".txt", *_TABLES)
"""Files that rows can be read from: one JSON value a line, one text a line, or a table with a
head."""

_DEFAULT_COLUMN = "text"
_NO_UTF8 = re.compile("[\udc80-\udcff]")
"""What surrogateescape makes of a byte that is no UTF-8."""


@dataclass(frozen=True)
class BadRow:
    """A row that is there and cannot be read, and why."""

    reason: str


@dataclass(frozen=True)
class RowSource:
    """Rows that can be gone through, one after the other."""

    read: Callable[[], Iterator[object]]
    total: int | None
    """How many there are; None where nobody knows before the end."""
    row_index: object = None
    """pandas' index of them."""

    def __iter__(self) -> Iterator[object]:
        return self.read()


class Referenced(NamedTuple):
    """A row and its right result; None where there is none."""

    text: object
    reference: str | None


def text_of(row: object) -> object:
    """What is to be worked on of a row with or without a reference."""
    return row.text if isinstance(row, Referenced) else row


def open_rows(rows: object, column: str | None = None, *, whole: bool = False) -> RowSource:
    """The rows of a list, Series, column, iterator, table (with `column`), or file name (see
    SUFFIXES).

    `column` names the field of rows that are mappings or of a table; without it "text" is taken, or
    the only one there is. With `whole`, rows that are mappings are given as they are. A line of a
    file that cannot be read becomes a BadRow, so that the lines after it are still worked on.
    Raises InputError for what holds no rows.
    """
    if isinstance(rows, RowSource):
        return rows
    if isinstance(rows, (str, Path)):
        return _file(Path(rows).expanduser(), column, whole)
    names = getattr(rows, "columns", getattr(rows, "column_names", None))  # of pandas, of datasets
    if names is not None:
        return _table(rows, list(names), column, whole)
    if isinstance(rows, (bytes, Mapping)) or not isinstance(rows, Iterable):
        raise InputError(
            f"rows are a list, a column, an iterator or a file name, not a {type(rows).__name__}"
        )
    total = len(rows) if hasattr(rows, "__len__") else None
    row_index = getattr(rows, "index", None) if hasattr(rows, "iloc") else None  # of a Series
    return RowSource(lambda: _picked(rows, column, whole), total, row_index)


def column_names(rows: object) -> list[str]:
    """The columns of a file, a table, or a list whose first row is a mapping; [] for what has none
    or cannot be read twice."""
    names = getattr(rows, "columns", getattr(rows, "column_names", None))
    if names is not None:
        return [str(name) for name in names]
    if not isinstance(rows, (Path, Sequence)) or isinstance(rows, (str, bytes)):
        return []
    if isinstance(rows, Path) and rows.suffix.lower() in _TABLES and rows.is_file():
        head = next(_records(rows, _TABLES[rows.suffix.lower()]), None)
        return head if isinstance(head, list) else []
    first = next((row for row in open_rows(rows, whole=True) if not isinstance(row, BadRow)), None)
    return [str(name) for name in first] if isinstance(first, Mapping) else []


def _table(table: object, names: list, column: str | None, whole: bool) -> RowSource:
    """A DataFrame of pandas or a Dataset of datasets."""
    if whole and column is None:
        if hasattr(table, "to_dict") and hasattr(table, "iloc"):
            return RowSource(
                lambda: (
                    dict(zip(names, row, strict=True))
                    for row in table.itertuples(index=False, name=None)
                ),
                len(table),
                getattr(table, "index", None),
            )
        return RowSource(lambda: iter(table), len(table))
    name = chosen_column([str(name) for name in names], column, "the table")
    key = next(one for one in names if str(one) == name)  # a column may be called by a number
    row_index = getattr(table, "index", None) if hasattr(table, "iloc") else None
    return RowSource(lambda: iter(table[key]), len(table), row_index)


def _file(path: Path, column: str | None, whole: bool) -> RowSource:
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise InputError(f"{path.name}: rows are read from files that end in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if kind in _TABLES:
        return RowSource(
            lambda: _csv(path, _TABLES[kind], column, whole),
            sum(1 for _ in _records(path, _TABLES[kind])) - 1,
        )
    with path.open("rb") as file:
        total = sum(1 for _ in file)
    lines = _lines(path) if kind == ".txt" else None
    return (
        RowSource(lambda: _lines(path), total)
        if lines
        else RowSource(lambda: _picked(_json(path), column, whole, path.name), total)
    )


def _lines(path: Path) -> Iterator[object]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                yield BadRow(f"line {number} of {path.name} is no UTF-8 text")


def _json(path: Path) -> Iterator[object]:
    for number, line in enumerate(_lines(path), 1):
        if isinstance(line, BadRow):
            yield line
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            yield BadRow(f"line {number} of {path.name} is no JSON: {error}")


def _picked(
    rows: Iterable[object], column: str | None, whole: bool, name: str = "a row"
) -> Iterator[object]:
    """Of rows that are mappings the one field that is wanted; other rows as they are."""
    for row in rows:
        if not isinstance(row, Mapping) or (whole and column is None):
            yield row
            continue
        if column is None:
            column = chosen_column([str(key) for key in row], None, name)
        yield (
            row[column]
            if column in row
            else BadRow(f"it has no {column!r}, but {', '.join(map(str, row)) or 'nothing'}")
        )


def _records(path: Path, delimiter: str) -> Iterator[list[str] | BadRow]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(f"line {reader.line_num} of {path.name}: {error}")
                continue
            if record:  # the csv module gives blank lines as empty lists
                yield record


def _csv(path: Path, delimiter: str, column: str | None, whole: bool) -> Iterator[object]:
    records = _records(path, delimiter)
    head = next(records, None)
    if not isinstance(head, list):
        raise InputError(f"{path.name} is empty or has no head; the first line names the columns")
    if any(map(_NO_UTF8.search, head)):
        raise InputError(f"{path.name} is no UTF-8 text; save it as UTF-8")
    place = None if whole and column is None else head.index(chosen_column(head, column, path.name))
    for record in records:
        if isinstance(record, BadRow):
            yield record
        elif len(record) != len(head):
            lines = 1 + sum(value.count("\n") for value in record)
            quote = f"; it goes over {lines:,} lines: is a quote left open?" if lines > 1 else ""
            yield BadRow(
                f"it has {len(record)} fields where {path.name} has {len(head)} columns{quote}"
            )
        elif any(
            _NO_UTF8.search(value) for value in (record if place is None else [record[place]])
        ):
            yield BadRow(f"{path.name} is no UTF-8 text here; save it as UTF-8")
        else:
            yield record[place] if place is not None else dict(zip(head, record, strict=True))


def chosen_column(names: list[str], column: str | None, where: str) -> str:
    """The column of text among `names`: `column`, else "text", else the only one. Raises InputError
    where it is not there."""
    wanted = column if column is not None else _DEFAULT_COLUMN if _DEFAULT_COLUMN in names else None
    if wanted is None and len(names) == 1:
        wanted = names[0]
    if wanted not in names:
        said = f"there is no column {column!r}" if column is not None else "name a column of text"
        raise InputError(f"{said}: {where} has {', '.join(names) or 'no columns'}")
    return wanted
