"""Rows that the project makes itself, so that a translator knows what corpora lack.

phrases      greetings and set phrases, written by hand (made/phrases.tsv)
templates    numbers, times, dates, prices, names and cities in sentences (made/templates.tsv)
variants     training rows without a final mark, in lower case, in CAPITALS, with an emoji
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from llm_magics.errors import RecipeError

__all__ = ["KINDS", "made_rows"]

KINDS = ("phrases", "templates", "variants")
LANGUAGES = ("en", "de", "fr", "zh")
_FOLDER = Path(__file__).parent / "made"
_PER_TEMPLATE = 120
_PER_TRAINING_ROWS = 5
"""One variant for so many training rows."""
_EMOJI = ("😀", "😊", "😂", "👍", "❤️", "🎉", "🙂", "😢", "🚀", "☕", "🐱", "🌞")
_SLOT = re.compile(r"\{(\w+)\}")
_SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvwz" for vowel in "aeio"]
_ENDS = ("n", "r", "l", "s", "x", "ck", "tt", "m", "", "", "", "")

Row = tuple[str, str]
Values = dict[str, dict[str, str]]
"""Slot → language → what stands there."""


def made_rows(kind: str, source: str, target: str, train: Sequence[Row], seed: int) -> list[Row]:
    """The rows of one kind, from language `source` to `target`; the same seed gives the same rows.

    train: rows that the variants are made from. Raises RecipeError for another kind or language.
    """
    if kind not in KINDS:
        raise RecipeError(f"data.made names {kind!r}; known: {', '.join(KINDS)}")
    for language in (source, target):
        if language not in LANGUAGES and kind != "variants":
            raise RecipeError(
                f"data.made = {kind!r} is written in {', '.join(LANGUAGES)}, not in {language!r}"
            )
    rng = random.Random(f"made {kind} {source} {target} {seed}")
    if kind == "phrases":
        return [(row[source], row[target]) for row in _table("phrases.tsv")]
    if kind == "templates":
        return [
            filled
            for row in _table("templates.tsv")
            for filled in _filled(row[source], row[target], source, target, rng)
        ]
    return list(_variants(train, source, target, rng))


@cache
def _table(name: str) -> tuple[dict[str, str], ...]:
    with (_FOLDER / name).open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@cache
def _names() -> tuple[str, ...]:
    return tuple((_FOLDER / "names.txt").read_text(encoding="utf-8").split("\n")[:-1])


def _filled(source: str, target: str, from_: str, to: str, rng: random.Random) -> Iterator[Row]:
    """The template filled with values again and again; once where it has no slot."""
    for _ in range(_PER_TEMPLATE if _SLOT.search(source) else 1):
        values = _values(rng)
        yield _with(values, source, from_), _with(values, target, to)


def _with(values: Values, template: str, language: str) -> str:
    return _SLOT.sub(lambda slot: values[slot[1]][language], template)


def _values(rng: random.Random) -> Values:
    number, more = _number(rng), rng.randint(1, 99)
    euros, cents, phone = rng.randint(0, 199), rng.randint(0, 99), rng.randint(100_000, 99_999_999)
    values = {
        "name": _same(_name(rng)),
        "name2": _same(_name(rng)),
        "n": _same(str(number)),
        "m": _same(str(more)),
        "sum": _same(str(number + more)),
        "h": _same(str(rng.randint(1, 23))),
        "min": _same(f"{rng.randint(0, 59):02d}"),
        "d": _same(str(rng.randint(1, 28))),
        "year": _same(str(rng.randint(1750, 2049))),
        "phone": _same(str(phone)),
        "price": {
            language: f"{euros}{'.' if language in ('en', 'zh') else ','}{cents:02d}"
            for language in LANGUAGES
        },
    }
    for kind in ("city", "month", "day"):
        values[kind] = rng.choice([row for row in _table("words.tsv") if row["kind"] == kind])
    return values


def _same(text: str) -> dict[str, str]:
    return dict.fromkeys(LANGUAGES, text)


def _number(rng: random.Random) -> int:
    """Small numbers as often as each greater size."""
    return rng.randint(2, 10 ** rng.randint(1, 5))


def _name(rng: random.Random) -> str:
    """A name of the list, or one that nobody bears: what is copied need not be known."""
    if rng.random() < 0.5:
        return rng.choice(_names())
    return ("".join(rng.choices(_SYLLABLES, k=rng.randint(1, 3))) + rng.choice(_ENDS)).capitalize()


def _variants(train: Sequence[Row], source: str, target: str, rng: random.Random) -> Iterator[Row]:
    """Training rows as people also write them."""
    usable = [row for row in train if 3 <= len(row[0]) <= 80]
    for text, translation in rng.sample(usable, len(usable) // _PER_TRAINING_ROWS):
        bare, bare_translation = _without_mark(text), _without_mark(translation)
        draw = rng.random()
        if draw < 0.35:
            yield bare, bare_translation
        elif draw < 0.75:
            yield bare.lower(), bare_translation
        elif draw < 0.92:
            yield text.upper(), translation.upper()
        else:
            emoji = rng.choice(_EMOJI)
            yield f"{text} {emoji}", f"{translation} {emoji}"


def _without_mark(text: str) -> str:
    return text.rstrip(" .!?。！？…")
