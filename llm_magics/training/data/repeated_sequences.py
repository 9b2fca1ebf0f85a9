"""Data that the project makes itself: made-up words of random letters, written again and again in
random order.

"qgbt7xz7xzqgbt" holds the words "qgbt" and "7xz". Every row has words of its own, so only the row
itself tells what follows "q": look where "q" stood before, and copy what came after it. That is
what an induction head does.
"""

from __future__ import annotations

import random
import string

__all__ = ["ALPHABET", "repeated_sequences"]

ALPHABET = string.ascii_lowercase + string.digits
_WORDS, _LETTERS, _WRITTEN = (3, 5), (3, 6), 12
"""Least and most words of a row, letters of a word; words written in a row."""


def repeated_sequences(count: int, seed: int) -> dict[str, list[tuple[str]]]:
    """Rows (text,) under "train" (`count` of them), "validation" and "test" (a twentieth each)."""
    rng = random.Random(seed)
    sizes = {"train": count, "validation": max(1, count // 20), "test": max(1, count // 20)}
    return {
        part: [("".join(rng.choices(_words(rng), k=_WRITTEN)),) for _ in range(size)]
        for part, size in sizes.items()
    }


def _words(rng: random.Random) -> list[str]:
    """Words that have no letter in common, so that a letter tells what comes next."""
    letters = rng.sample(ALPHABET, len(ALPHABET))
    return [
        "".join(letters.pop() for _ in range(rng.randint(*_LETTERS)))
        for _ in range(rng.randint(*_WORDS))
    ]
