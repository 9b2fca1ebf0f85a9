"""Which column is meant: by its name, without the blanks around it, or inside another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["column_paths", "find_column", "value_of"]


def find_column(columns: Sequence[Any], wanted: str) -> Any:
    """The column called `wanted`: exactly, else as the only one that differs by blanks around it
    or is a number. Raises KeyError where there is none."""
    if wanted in columns:
        return wanted
    close = [column for column in columns if str(column).strip() == wanted.strip()]
    if len(close) != 1:
        raise KeyError(wanted)
    return close[0]


def value_of(row: Mapping[Any, Any], wanted: str) -> Any:
    """What a row holds in this column; "translation.en" is what "translation" holds as "en".
    Raises KeyError where there is none."""
    try:
        return row[find_column(list(row), wanted)]
    except KeyError:
        outer, dot, inner = wanted.partition(".")
        if not dot:
            raise
    held = row[find_column(list(row), outer)]
    if not isinstance(held, Mapping):
        raise KeyError(wanted)
    return value_of(held, inner)


def column_paths(row: Mapping[Any, Any]) -> Iterable[str]:
    """The names of all columns, with those inside others as "outer.inner"."""
    for name, value in row.items():
        yield str(name)
        if isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in column_paths(value))
