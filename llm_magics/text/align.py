"""From attention between tokens to links between words.

    A[j, i] = mean over tokens t of target word j of  sum over tokens s of source word i of  W[t, s]

with W (T, S) the cross-attention of a sentence; each row of A is then scaled to sum 1. What
attention gives to special tokens (the end mark takes much of it) is left out, not shared out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["align_words", "find_tokens", "split_words", "word_spans"]

Span = tuple[int, int]
Matrix = Sequence[Sequence[float]]
Aligned = tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[float, ...], ...]]

_WORD = re.compile(r"\S+\s*")
_TOKEN_MARKS = re.compile(r"\A(?:▁|Ġ|##)+|(?:@@|</w>|▁)\Z")


def word_spans(text: str) -> list[Span]:
    """(start, end) of each word with the white space after it; together they are the whole text.

    Chinese and Japanese characters are words of their own. White space at the front belongs to the
    first word.
    """
    spans: list[Span] = []
    for match in _WORD.finditer(text):
        start = match.start()
        for i in range(match.start() + 1, match.end()):
            if _is_wide(text[i]) or (
                _is_wide(text[i - 1]) and not text[i].isspace() and _is_letter(text[i])
            ):
                spans.append((start, i))
                start = i
        spans.append((start, match.end()))
    if spans:
        spans[0] = (0, spans[0][1])
    return spans


def split_words(text: str) -> tuple[str, ...]:
    """The words of `text`, each with its trailing white space: joined they are `text`."""
    return tuple(text[start:end] for start, end in word_spans(text))


def find_tokens(tokens: Sequence[str], text: str) -> list[Span]:
    """Where each token stands in `text`, looked for one after the other; (0, 0) for those that are
    not there."""
    spans, position = [], 0
    for token in tokens:
        written = _TOKEN_MARKS.sub("", token)
        start = text.find(written, position) if written else -1
        # A special token may be written like a word far ahead: a match must follow within a short
        # gap.
        if start < 0 or text[position:start].strip():
            spans.append((0, 0))
            continue
        position = start + len(written)
        spans.append((start, position))
    return spans


def align_words(
    weights: Matrix,
    source: str,
    target: str,
    source_tokens: Sequence[Span],
    target_tokens: Sequence[Span],
) -> Aligned:
    """(source words, target words, alignment (T words, S words)) of one sentence.

    `weights` (T, S) is the cross-attention over tokens, the spans say where each token stands in
    its text; an empty span marks a special token. Three empty tuples when nothing can be aligned.
    """
    words_s, words_t = word_spans(source), word_spans(target)
    of_source, of_target = _owners(source_tokens, words_s), _owners(target_tokens, words_t)
    sums = [[0.0] * len(words_s) for _ in words_t]
    for row, j in zip(weights, of_target, strict=True):
        if j is None:
            continue
        for weight, i in zip(row, of_source, strict=True):
            if i is not None:
                sums[j][i] += float(weight)
    if not any(map(any, sums)):
        return (), (), ()
    scaled = tuple(tuple(value / (sum(row) or 1.0) for value in row) for row in sums)
    return (tuple(source[a:b] for a, b in words_s), tuple(target[a:b] for a, b in words_t), scaled)


def _owners(tokens: Sequence[Span], words: Sequence[Span]) -> list[int | None]:
    """For each token the word that its last character is in; None for special tokens."""
    owners: list[int | None] = []
    for start, end in tokens:
        inside = (i for i, (a, b) in enumerate(words) if end > start and a < end <= b)
        owners.append(next(inside, None))
    return owners


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) == "W" and _is_letter(character)


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"
