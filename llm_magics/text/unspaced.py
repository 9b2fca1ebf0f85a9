"""Where words begin and end in text that puts no spaces between them: Chinese and Japanese.

Chinese is taken apart by rjieba, where it is installed (the extra [chinese]): a dictionary and, for
what it lacks, a hidden Markov model. Phrases then end with a noun, which is their head, much as in
TextRank (Mihalcea & Tarau 2004).

Without it a word is what keeps different company: a string that recurs, with two different
characters at least before it and behind it, its accessor variety (Feng et al. 2004). 神经网 is then
none, as 络 always follows.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

__all__ = ["IS_WIDE", "PARTICLES", "WIDE", "Piece", "is_free", "pieces", "segmenter"]

WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
IS_WIDE = re.compile(rf"[{WIDE}]")
PARTICLES = "的了是和与在"
"""The single characters that hardly ever are a part of a word."""
_CUTS = "cdefmopqruwy"
"""First letters of the parts of speech that stand in no phrase: conjunctions, adverbs, numerals,
pronouns, particles, …"""
_NO_HEADS, _NOUNS = "vazt", ("vn", "an")
"""Those that end none: verbs, adjectives and times, but for what is used as a noun."""
_LEAST_NEIGHBOURS, _LONGEST_STOP = 2, 4


class Piece(NamedTuple):
    """A word, or a character where nobody tells words."""

    text: str
    cuts: bool
    """Whether it stands in no phrase."""
    opens: bool
    """Whether a phrase may begin with it. A stop word of one character, such as 经 in 神经, may only
    be within one."""  # noqa: E501  a table or a pattern
    closes: bool
    """Whether a phrase may end with it."""


@functools.cache
def segmenter(language: str) -> Callable[[str], Iterable[tuple[str, str]]] | None:
    """What takes a text of this language apart into words, each with its part of speech; None where
    nothing can."""
    if language != "zh":
        return None
    try:
        import rjieba
    except ImportError:
        return None
    return rjieba.tag


def is_free(text: str, places: Iterable[tuple[int, int]]) -> bool:
    """Whether what stands at these places has different neighbours on both sides; each mark,
    particle or end is one."""
    sides = list(
        zip(
            *((_neighbour(text, start - 1), _neighbour(text, end)) for start, end in places),
            strict=True,
        )
    )
    return all(len(set(side)) >= _LEAST_NEIGHBOURS for side in sides)


def _neighbour(text: str, at: int) -> object:
    inside = 0 <= at < len(text) and IS_WIDE.match(text[at]) and text[at] not in PARTICLES
    return text[at] if inside else at


def pieces(text: str, language: str, stops: frozenset[str]) -> Iterator[Piece]:
    """`text` in order as words, or as single characters and stop words."""
    tagged = segmenter(language)
    if tagged is not None:
        for word, tag in tagged(text):
            cuts = tag[0] in _CUTS or word in PARTICLES or (len(word) > 1 and word in stops)
            opens = word not in stops
            yield Piece(word, cuts, opens, opens and (tag[0] not in _NO_HEADS or tag in _NOUNS))
        return
    at = 0
    while at < len(text):
        longest = next(
            (
                size
                for size in range(min(_LONGEST_STOP, len(text) - at), 1, -1)
                if text[at : at + size] in stops
            ),
            0,
        )
        piece = text[at : at + (longest or 1)]
        yield Piece(
            piece, bool(longest) or piece in PARTICLES, piece not in stops, piece not in stops
        )
        at += len(piece)
