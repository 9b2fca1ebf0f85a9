"""Bytes and numbers of parameters as people say them."""

from __future__ import annotations

__all__ = ["count", "size"]


def size(n_bytes: int | None) -> str:
    """Bytes as people say them: 512 B, 7.6 MB, 1.24 GB; "unknown" for None."""
    if n_bytes is None:
        return "unknown"
    if n_bytes < 1000:
        return f"{n_bytes} B"
    unit, scale = next(
        ((u, s) for u, s in (("kB", 1e3), ("MB", 1e6)) if n_bytes < 999.5 * s), ("GB", 1e9)
    )
    return (
        f"{n_bytes / scale:,.0f} {unit}"
        if n_bytes >= 999.5 * scale
        else f"{n_bytes / scale:.3g} {unit}"
    )


def count(number: int | None) -> str:
    """A number of parameters: 950, 6.1 M, 1.2 B."""
    if number is None:
        return ""
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g} {unit}"
    return str(number)
