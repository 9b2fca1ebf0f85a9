"""Data that the project makes itself: number words in several languages, and the number in digits.

"dreihundertvierzehn" → "314". The words come from the library num2words; no number of the
validation or test part occurs in training, in any language.
"""

from __future__ import annotations

import random

from llm_magics.errors import RecipeError

__all__ = ["LANGUAGES", "number_words", "spell"]

LANGUAGES = ("en", "de", "fr", "es")


def spell(number: int, language: str) -> str:
    """`number` in words of `language`: ``spell(42, "de") == "zweiundvierzig"``."""
    from num2words import num2words

    try:
        return num2words(number, lang=language)
    except NotImplementedError:
        raise RecipeError(
            f"number words are not known in {language!r}; try {', '.join(LANGUAGES)}"
        ) from None


def number_words(
    languages: tuple[str, ...], largest: int, seed: int
) -> dict[str, list[tuple[str, str]]]:
    """Rows (words, digits) under "train", "validation" and "test".

    Every number from 0 to `largest` belongs to one part, for all languages: 5 % validation, 5 %
    test.
    """
    numbers = list(range(largest + 1))
    random.Random(seed).shuffle(numbers)
    held_out = max(1, len(numbers) // 20)
    parts = {
        "validation": numbers[:held_out],
        "test": numbers[held_out : 2 * held_out],
        "train": numbers[2 * held_out :],
    }
    return {
        part: [(spell(n, language), str(n)) for n in of_part for language in languages]
        for part, of_part in parts.items()
    }
