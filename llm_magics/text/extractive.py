"""The embedded summariser: it writes nothing itself, it picks the most telling sentences of the
text.

Score of sentence i, 0 <= i < n:

    score_i = cos(v_i, sum_j v_j) · 1 / (1 + a·ln(1 + i)) · min(1, words_i / 10)

    v_i   (1 + ln f)·ln(1 + n / n_t) for each term t that occurs f times in sentence i and in n_t sentences,
          of length 1: the centroid form of centrality (Radev et al. 2004, "Centroid-based
          summarization")
    a     strength of position, n / 60 but within [0.1, 0.5]: texts open with what they are about, and in a
          long text more so (news above all)

Sentences are then taken greedily by score_i · (1 - 0.7·max cos(v_i, v_taken)), maximal marginal
relevance (Carbonell and Goldstein 1998), while they fit and are worth half of the first. There are
no weights and no word lists, so every language works; terms are words cut to six letters (a stem
good enough for English, German, French) and pairs of neighbouring characters in Chinese and
Japanese. Time and memory are linear in the text.

The constants are round numbers settled on SciTLDR train and CSL dev; that long texts want a larger
`a` was seen on 500 news articles, of which nothing else is used. Figures:
`benchmarks/summarize.py`.
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

__all__ = ["count_words", "pick_sentences", "scores", "shorten"]

_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUN = re.compile(rf"[{_WIDE}]+|[^\W_{_WIDE}]+")
_WORD = re.compile(rf"[{_WIDE}]|[^\W_{_WIDE}]+(?:['’.,\-][^\W_{_WIDE}]+)*")
_STEM_CHARACTERS = 6
_FULL_LENGTH_WORDS = 10
_REDUNDANCY = 0.7
_LEAST_SHARE = 0.5
_POOL = 6

Vector = dict[str, float]


def count_words(text: str) -> int:
    """Words of `text`; each Chinese or Japanese character counts as one."""
    return sum(1 for _ in _WORD.finditer(text))


def shorten(text: str, max_words: int) -> str:
    """The first `max_words` words of `text`, and an ellipsis when there are more."""
    ends = [match.end() for match in _WORD.finditer(text)]
    return text if len(ends) <= max_words else text[: ends[max_words - 1]] + " …"


def terms(sentence: str) -> list[str]:
    """What sentences are compared by: word stems, or pairs of characters where words are not
    spaced."""
    found = []
    for run in _RUN.findall(sentence.lower()):
        if "\u3040" <= run[0] <= "\u9fff" or "\uf900" <= run[0] <= "\ufaff":
            found += [run[i : i + 2] for i in range(len(run) - 1)] or [run]
        else:
            found.append(run[:_STEM_CHARACTERS])
    return found


def scores(sentences: Sequence[str]) -> list[float]:
    """How telling each sentence is, before redundancy; the formula is at the top of this file."""
    return _scores(sentences, _vectors(sentences))


def pick_sentences(sentences: Sequence[str], max_words: int) -> list[int]:
    """Indices, in the order of the text, of sentences with at most `max_words` words together.

    Empty when not even one sentence is that short.
    """
    vectors = _vectors(sentences)
    relevance = _scores(sentences, vectors)
    lengths = [count_words(sentence) for sentence in sentences]
    pool = _pool(relevance, lengths, max_words)
    overlap = dict.fromkeys(pool, 0.0)
    taken: list[int] = []
    left = max_words
    worth = 0.0
    while pool:
        value, best = max((relevance[i] * (1 - _REDUNDANCY * overlap[i]), -i) for i in pool)
        worth, best = worth or value, -best
        if value < _LEAST_SHARE * worth:
            break
        taken.append(best)
        left -= lengths[best]
        pool = [i for i in pool if i != best and lengths[i] <= left]
        for i in pool:
            overlap[i] = max(overlap[i], _dot(vectors[i], vectors[best]))
    return sorted(taken)


def _pool(relevance: list[float], lengths: list[int], max_words: int) -> list[int]:
    """The candidates: the best sentences that fit, several times more than there is room for."""
    pool, words = [], 0
    for i in sorted(range(len(relevance)), key=lambda i: -relevance[i]):
        if 0 < lengths[i] <= max_words and words <= _POOL * max_words:
            pool.append(i)
            words += lengths[i]
    return pool


def _scores(sentences: Sequence[str], vectors: list[Vector]) -> list[float]:
    centroid: Vector = Counter()
    for vector in vectors:
        for term, weight in vector.items():
            centroid[term] += weight
    norm = math.sqrt(sum(weight * weight for weight in centroid.values())) or 1.0
    strength = min(0.5, max(0.1, len(sentences) / 60))
    return [
        _dot(vector, centroid)
        / norm
        / (1 + strength * math.log1p(i))
        * min(1.0, count_words(sentence) / _FULL_LENGTH_WORDS)
        for i, (sentence, vector) in enumerate(zip(sentences, vectors, strict=True))
    ]


def _vectors(sentences: Sequence[str]) -> list[Vector]:
    """tf-idf vectors of length 1, as sparse maps from term to weight."""
    counts = [Counter(terms(sentence)) for sentence in sentences]
    spread = Counter(term for count in counts for term in count)  # n_t
    vectors = []
    for count in counts:
        vector = {
            term: (1 + math.log(f)) * math.log(1 + len(counts) / spread[term])
            for term, f in count.items()
        }
        norm = math.sqrt(sum(weight * weight for weight in vector.values())) or 1.0
        vectors.append({term: weight / norm for term, weight in vector.items()})
    return vectors


def _dot(a: Vector, b: Vector) -> float:
    if len(a) > len(b):
        a, b = b, a
    return sum(weight * b[term] for term, weight in a.items() if term in b)
