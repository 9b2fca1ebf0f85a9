"""The rows of one part of a data set, read strictly: from files, the hub, data frames and lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from llm_magics.errors import DataError
from llm_magics.rows.files import raw_rows
from llm_magics.rows.values import CHECKS, BadRow, check_together

__all__ = ["Rows", "read_rows"]


@dataclass(frozen=True)
class Rows:
    """Rows that can be used, and what was wrong with those that cannot."""

    values: list[tuple]
    """One tuple a row, its values in the order of the roles."""
    places: list[str]
    """Where each row stands: "train.jsonl.gz:17" (lines from 1), "data frame row 3", "list item 4"
    (from 0)."""
    skipped: list[str] = field(default_factory=list)
    """Place and fault of each row that was left out."""


def read_rows(
    source: object,
    roles: Mapping[str, str],
    kinds: Mapping[str, str],
    *,
    skip_bad: bool = False,
    most: int | None = None,
) -> Rows:
    """The rows of a source, each value checked to be of its kind.

    source: a path to .jsonl, .json (a list), .csv, .tsv, .parquet or .txt (one text a line), each
    but parquet also .gz; "hub:OWNER/NAME/CONFIG:SPLIT" or "disk:FOLDER:SPLIT" through `datasets`; a
    pandas DataFrame; a datasets.Dataset; a list of mappings, of tuples in the order of the roles,
    or of texts. CSV has a heading and is quoted as RFC 4180 says; blank lines are passed over.
    roles: role → column. kinds: role → "text" (not empty), "label" (text or whole number, becomes
    text), "tokens" (list of texts), "tags" (as many texts or numbers as tokens) or "answers"
    (SQuAD's form or a list of {"text", "start"}; becomes [(text, index of its first character), …],
    empty where there is none). Where there is a role "context", every answer must stand in it.
    skip_bad: leave bad rows out and list them, unless there are no others. most: read no more rows
    than this. Raises DataError for the first bad row, with its place, and for a source that cannot
    be read as a whole.
    """
    read = _reader(roles, kinds)
    rows = Rows([], [], [])
    for place, raw in islice(raw_rows(source, roles), most):
        try:
            rows.values.append(read(raw))
        except BadRow as problem:
            if not skip_bad:
                raise DataError(f"{place}: {problem}") from None
            rows.skipped.append(f"{place}: {problem}")
        else:
            rows.places.append(place)
    if rows.skipped and not rows.values:
        raise DataError(f"all {len(rows.skipped):,} rows are bad; the first: {rows.skipped[0]}")
    return rows


def _reader(roles: Mapping[str, str], kinds: Mapping[str, str]) -> Callable[[Any], tuple]:
    """From the values of one row as a source gives them to a checked row."""
    checks = [(CHECKS[kinds[role]], column) for role, column in roles.items()]
    order = {role: index for index, role in enumerate(roles)}
    together = {"tokens", "tags"} <= set(roles) or {"context", "answers"} <= set(roles)

    def read(raw: Any) -> tuple:
        if isinstance(raw, BadRow):
            raise raw
        values = []
        for (check, column), value in zip(checks, raw, strict=True):
            if value is None:
                raise BadRow(f"column {column!r} is missing or empty")
            try:
                values.append(check(value))
            except BadRow as problem:
                raise BadRow(f"column {column!r}: {problem}") from None
        row = tuple(values)
        if together:
            check_together(row, order)
        return row

    return read
