"""Where a text that is being written ends: at a string that its reader named, wherever the tokens
are cut."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["first_stop", "held_back"]


def first_stop(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """(place, string) of the first of `stops` in `text`, the longest where several begin there;
    None where none is."""
    found = [(text.find(stop), -len(stop), stop) for stop in stops if stop in text]
    if not found:
        return None
    place, _, stop = min(found)
    return place, stop


def held_back(text: str, stops: Sequence[str]) -> str:
    """`text` without an end that could be the beginning of a stop string, or of a character: what
    may be shown."""
    text = text.rstrip("\ufffd")
    longest = max(
        (
            length
            for stop in stops
            for length in range(1, len(stop))
            if text.endswith(stop[:length])
        ),
        default=0,
    )
    return text[: len(text) - longest]
