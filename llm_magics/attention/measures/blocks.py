"""Maps are read a block of rows at a time, so that a map of 8,192 tokens is never in memory."""

from __future__ import annotations

__all__ = ["row_blocks"]

_ENTRIES = 1 << 21
"""Weights of one head held at a time: 8 MB."""


def row_blocks(rows: int, columns: int) -> list[tuple[int, int]]:
    """(start, stop) of blocks that cover all rows and hold 8 MB of float32 weights each, one row at
    least."""
    size = max(1, _ENTRIES // max(1, columns))
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]
