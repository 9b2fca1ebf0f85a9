"""The mood of a text and of each of its sentences: by a lexicon, by a model with a head for
classes, by a chat model.

The lexicon is TextBlob's, for English. Of SST-2's 872 sentences it decides 85 %, and 67 % of those
rightly (`benchmarks/understand.py`); a fine-tuned BERT is right for 93 %. It is a first look, not a
measurement.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llm_magics.extras import is_installed
from llm_magics.models.read.classify import class_names, class_probabilities
from llm_magics.tasks.chat_reading import ReadText, chat_answers
from llm_magics.tasks.understand.annotations import Sentiment
from llm_magics.tasks.understand.prompts import SENTIMENTS, parse_sentiment, sentiment_prompt
from llm_magics.text.passages import sentence_passages

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = [
    "LEXICON_LANGUAGES",
    "asked_sentiment",
    "classified_sentiment",
    "has_lexicon",
    "lexicon_sentiment",
    "load_lexicon",
    "polarities",
]

LEXICON_LANGUAGES = ("en",)
NEUTRAL = 0.05
"""A polarity nearer to 0 is called neutral."""
_MOST_SENTENCES = 200
_STARS = re.compile(r"\s*([1-5])\s*(?:stars?|\*|★)?\s*", re.IGNORECASE)
_VALUES = {
    "positive": 1.0,
    "pos": 1.0,
    "very positive": 1.0,
    "negative": -1.0,
    "neg": -1.0,
    "very negative": -1.0,
    "neutral": 0.0,
    "neu": 0.0,
    "mixed": 0.0,
}


def has_lexicon(language: str) -> bool:
    """Whether a text in this language can be judged by the lexicon, on this machine."""
    return language in LEXICON_LANGUAGES and is_installed("textblob")


@functools.cache
def load_lexicon() -> type:
    """TextBlob, its lexicon read."""
    from textblob import TextBlob

    _ = TextBlob("good").sentiment
    return TextBlob


def lexicon_sentiment(read: ReadText) -> list[Sentiment] | None:
    """The whole text, then each of its sentences where there are several; None where the lexicon
    lacks the language."""
    if not has_lexicon(read.language):
        return None

    def judged(start: int, end: int) -> Sentiment:
        found = load_lexicon()(read.text[start:end]).sentiment_assessments
        words = tuple(
            (" ".join(words), polarity) for words, polarity, *_ in found.assessments if polarity
        )
        return Sentiment(
            start=start,
            end=end,
            text=read.text[start:end],
            label=_named(found.polarity),
            polarity=found.polarity,
            words=words,
        )

    return [judged(start, end) for start, end in _stretches(read)]


def classified_sentiment(model: LoadedModel, texts: Sequence[ReadText]) -> list[list[Sentiment]]:
    """As `lexicon_sentiment`, by a model with a head for classes; all texts and sentences in one
    batch."""
    stretches = [_stretches(read) for read in texts]
    flat = [
        read.text[start:end]
        for read, found in zip(texts, stretches, strict=True)
        for start, end in found
    ]
    names = class_names(model)
    values = polarities(names)
    rows = iter(class_probabilities(model, flat).tolist())

    def judged(read: ReadText, start: int, end: int) -> Sentiment:
        row = next(rows)
        ranked = sorted(zip(names, row, strict=True), key=lambda pair: -pair[1])
        polarity = (
            None
            if values is None
            else sum(p * value for p, value in zip(row, values, strict=True)) / (sum(row) or 1.0)
        )
        return Sentiment(
            start=start,
            end=end,
            text=read.text[start:end],
            label=ranked[0][0],
            polarity=polarity,
            probabilities=tuple(ranked),
        )

    return [
        [judged(read, start, end) for start, end in found]
        for read, found in zip(texts, stretches, strict=True)
    ]


def asked_sentiment(
    model: LoadedModel,
    texts: Sequence[ReadText],
    stop: Callable[[], bool] | None = None,
) -> tuple[list[list[Sentiment] | None], int]:
    """((the whole text as a chat model judges it,) or None where its answer does not say, tokens
    written).

    A text in several parts is the mean of its parts, each counted by its characters.
    """
    answered, tokens = chat_answers(model, texts, sentiment_prompt, max_new_tokens=32, stop=stop)
    found: list[list[Sentiment] | None] = []
    for read, parts in zip(texts, answered, strict=True):
        said = [(len(part.text), parse_sentiment(answer)) for part, answer in parts]
        known = [(size, SENTIMENTS[label]) for size, label in said if label is not None]
        if not known:
            found.append(None)
            continue
        polarity = sum(size * value for size, value in known) / sum(size for size, _ in known)
        found.append(
            [
                Sentiment(
                    start=0,
                    end=len(read.text),
                    text=read.text,
                    label=_named(polarity),
                    polarity=polarity,
                )
            ]
        )
    return found, tokens


def polarities(names: Sequence[str]) -> list[float] | None:
    """The polarity that each class stands for, by its name: positive, negative, neutral, or 1 to 5
    stars; None: unknown."""
    plain = [name.strip().lower().replace("_", " ") for name in names]
    if all(name in _VALUES for name in plain):
        return [_VALUES[name] for name in plain]
    stars = [_STARS.fullmatch(name) for name in plain]
    return [(int(match[1]) - 3) / 2 for match in stars] if all(stars) and len(names) == 5 else None


def _named(polarity: float) -> str:
    return "neutral" if abs(polarity) < NEUTRAL else "positive" if polarity > 0 else "negative"


def _stretches(read: ReadText) -> list[tuple[int, int]]:
    """The whole text, and where there are several sentences each of them."""
    sentences = sentence_passages(read.text, read.language)[:_MOST_SENTENCES]
    return [(0, len(read.text)), *((one.start, one.end) for one in sentences if len(sentences) > 1)]
