"""Finding the passages of a long text that a question is about, and the sentence that answers it
best.

BM25 (Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework"):

    score(q, d) = Σ_t∈q ln(1 + (N - n_t + ½) / (n_t + ½)) · f_t (k₁ + 1) / (f_t + k₁ (1 - b + b |d|
    / mean |d|))

    N     passages, n_t those with the term t; f_t how often t occurs in d; |d| terms of d; k₁ = 1.2, b = 0.75

Terms are those of the extractive summariser: no weights, no word lists, every language.
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from llm_magics.text.extractive import count_words, terms
from llm_magics.text.segments import segment

__all__ = ["Passage", "answer_sentences", "bm25", "fused", "passages", "sentence_passages"]

_K1, _B = 1.2, 0.75
_WORDS = 120
_FUSION = 60

# What an answer looks like that begins with this word; see `_expected`.
_NUMBER = re.compile(r"\d")
_NAME = re.compile(r"(?<=[a-z,;] )[A-ZÀ-Þ][\w'’.-]*")
_YEAR = re.compile(
    r"\b[12]\d{3}\b|\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b|\d年"
)
_ASKS = (
    (
        re.compile(
            r"\b(?:how (?:many|much|long|old|far|tall|high|often)|wie ?viele?|combien)\b|多少|几",
            re.IGNORECASE,
        ),
        _NUMBER,
    ),
    (
        re.compile(
            r"\b(?:when|what year|which year|what date|wann|quand)\b|什么时候|何时|哪年",
            re.IGNORECASE,
        ),
        _YEAR,
    ),
    (re.compile(r"\b(?:who|whom|whose|where|wer|wen|wem|wo|qui|où)\b", re.IGNORECASE), _NAME),
)
_EXPECTED_BONUS = 0.25
"""Of the best score, what a sentence gets that has what the question asks for."""


@dataclass(frozen=True)
class Passage:
    """Characters [start, end) of a text."""

    start: int
    end: int
    text: str


def sentence_passages(text: str, language: str) -> list[Passage]:
    """Every sentence, as it stands in the text."""
    sentences = segment(text, language).sentences
    return [
        Passage(sentence.start, sentence.end, text[sentence.start : sentence.end])
        for sentence in sentences
    ]


def passages(text: str, language: str, words: int = _WORDS) -> list[Passage]:
    """`text` in passages of whole sentences, about `words` words each; each begins with the last
    sentence of the one before."""
    sentences = sentence_passages(text, language)
    found: list[Passage] = []
    first = size = 0
    for i, sentence in enumerate(sentences):
        size += count_words(sentence.text)
        if size >= words or i + 1 == len(sentences):
            found.append(
                Passage(
                    sentences[first].start,
                    sentence.end,
                    text[sentences[first].start : sentence.end],
                )
            )
            first, size = (i, count_words(sentence.text)) if i > first else (i + 1, 0)
    return found


def bm25(question: str, documents: Sequence[str]) -> list[float]:
    """The score of each document for the question; the formula is at the top of this file."""
    counts = [Counter(terms(document)) for document in documents]
    spread = Counter(term for count in counts for term in count)  # n_t
    lengths = [sum(count.values()) for count in counts]
    mean = sum(lengths) / max(1, len(lengths)) or 1.0
    rarity = {
        term: math.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
        for term in set(terms(question))
        if (n := spread[term])
    }

    def score(count: Counter[str], length: int) -> float:
        norm = _K1 * (1 - _B + _B * length / mean)
        return sum(
            weight * count[term] * (_K1 + 1) / (count[term] + norm)
            for term, weight in rarity.items()
        )

    return [score(count, length) for count, length in zip(counts, lengths, strict=True)]


def fused(by_words: Sequence[float], by_meaning: Sequence[float]) -> list[float]:
    """One score from two for the same documents, by their ranks, 1 the best: 2 / (60 + r_words) + 1
    / (60 + r_meaning).

    Reciprocal rank fusion (Cormack et al. 2009): scores of different kinds need not be comparable.
    Words count twice, as the better guide to single passages (`benchmarks/passages.py`).
    """
    total = [0.0] * len(by_words)
    for weight, scores in ((2, by_words), (1, by_meaning)):
        for rank, i in enumerate(sorted(range(len(scores)), key=lambda i: (-scores[i], i)), 1):
            total[i] += weight / (_FUSION + rank)
    return total


def answer_sentences(question: str, sentences: Sequence[str]) -> list[tuple[float, int]]:
    """(score, number of the sentence), best first; only sentences that share a term with the
    question and have another one.

    A sentence with what the question asks for (a number after "how many", a year after "when", a
    name after "who") gets a quarter of the best score on top.
    """
    scores = bm25(question, sentences)
    best = max(scores, default=0.0)
    expected = next((looks for asks, looks in _ASKS if asks.search(question)), None)
    ranked = [
        (
            score
            + _EXPECTED_BONUS
            * best
            * bool(expected and expected.search(_rest(sentence, question))),
            i,
        )
        for i, (score, sentence) in enumerate(zip(scores, sentences, strict=True))
        if score > 0 and not set(terms(sentence)) <= set(terms(question))
    ]
    return sorted(ranked, key=lambda pair: (-pair[0], pair[1]))


def _rest(sentence: str, question: str) -> str:
    """The sentence without the words that the question has, too: what is asked for is not in the
    question."""
    asked = {word.lower() for word in re.findall(r"\w+", question)}
    return re.sub(r"\w+", lambda match: "" if match[0].lower() in asked else match[0], sentence)
