"""Accepted answers, written short: "[I am|I'm] tired[ today|]." stands for four sentences."""

from __future__ import annotations

import itertools
import re

__all__ = ["expanded", "first"]

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


def expanded(pattern: str, most: int = 20_000) -> list[str]:
    """The sentences that a pattern stands for, the first choices first; at most `most` of them."""
    pieces = _CHOICE.split(pattern)  # text, choices, text, choices, ..., text
    options = [piece.split("|") if number % 2 else [piece] for number, piece in enumerate(pieces)]
    return ["".join(some) for some in itertools.islice(itertools.product(*options), most)]


def first(pattern: str) -> str:
    """The sentence of the first choices."""
    return _CHOICE.sub(lambda match: match[1].split("|")[0], pattern)
