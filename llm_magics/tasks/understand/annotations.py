"""What can be found in a text: plain values, one class a kind, each with its place in the text
where it has one."""

from __future__ import annotations

from dataclasses import dataclass

from llm_magics.extras import require

__all__ = ["Entity", "KeyPhrase", "Label", "Language", "Sentiment", "Similarity"]


@dataclass(frozen=True, kw_only=True)
class Language:
    """The language of a text."""

    code: str
    name: str
    probability: float | None
    """None where it was given."""


@dataclass(frozen=True, kw_only=True)
class Sentiment:
    """What mood characters [start, end) of a text are in."""

    start: int
    end: int
    text: str
    label: str
    """The most probable class, by the model's own name; of the lexicon and of chat models positive,
    negative or neutral."""
    polarity: float | None
    """From -1, negative, to 1, positive; None where the classes of a model do not say it."""
    probabilities: tuple[tuple[str, float], ...] = ()
    """(class, probability) of a model with a head for classes, most probable first."""
    words: tuple[tuple[str, float], ...] = ()
    """(word, polarity) of the words that the lexicon judged by."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """A label and how well it fits the text."""

    label: str
    probability: float | None
    """None where a chat model chose; it gives no probabilities."""
    chosen: bool
    """The best label; where several may hold, every one that is more probable than not."""


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A name: characters [start, end) of the text."""

    start: int
    end: int
    text: str
    kind: str
    """PER, LOC, ORG, …, by the model's own name."""
    probability: float | None = None


@dataclass(frozen=True, kw_only=True)
class KeyPhrase:
    """A phrase that says what the text is about."""

    text: str
    score: float
    """1 for the first; of phrases by a chat model by their order."""
    places: tuple[tuple[int, int], ...]
    """Characters [start, end) of each occurrence."""


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """How alike the lines of a text are, or its sentences where it is one line."""

    lines: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    """Cosine of the vectors of lines i and j: 1 on the diagonal."""

    def nearest(self, count: int = 5) -> list[tuple[int, int, float]]:
        """The pairs of lines (i, j), i < j, that are most alike, with their cosine."""
        pairs = [
            (i, j, self.matrix[i][j])
            for i in range(len(self.lines))
            for j in range(i + 1, len(self.lines))
        ]
        return sorted(pairs, key=lambda pair: -pair[2])[:count]

    def to_pandas(self) -> object:
        """The matrix as a DataFrame with the lines as index and columns."""
        require("pandas", extra="pandas", what="to_pandas()")
        import pandas

        return pandas.DataFrame(self.matrix, index=list(self.lines), columns=list(self.lines))
