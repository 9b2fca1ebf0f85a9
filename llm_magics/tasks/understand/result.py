"""What understanding a text returns: what was found, and for each kind of finding which model found
it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

from llm_magics.display import theme
from llm_magics.display.candidates import candidate_bars
from llm_magics.display.highlight import Mark, highlighted
from llm_magics.display.html import Node, el, fragment, user_text
from llm_magics.display.likeness import likeness_map
from llm_magics.display.result import Provenance, Result
from llm_magics.extras import require
from llm_magics.tasks.results import badges, header, remarks, shortened
from llm_magics.tasks.understand.annotations import (
    Entity,
    KeyPhrase,
    Label,
    Language,
    Sentiment,
    Similarity,
)

__all__ = ["ASPECTS", "TITLES", "Understanding"]

TITLES = {
    "language": "Language",
    "sentiment": "Sentiment",
    "labels": "Labels",
    "entities": "Entities",
    "phrases": "Key phrases",
    "similarity": "Similarity",
}
ASPECTS = tuple(TITLES)
"""What can be asked about a text, in the order in which it is shown."""

_SHOWN_CHARACTERS = 6_000
_SHOWN_LABELS = 12
_TINT_OF_MOOD = {1: 0, -1: 1}


@dataclass(frozen=True, kw_only=True, repr=False)
class Understanding(Result):
    """What is in a text. What was not looked for, or nothing on this machine could find, is None or
    empty."""

    source_text: str
    language: Language | None = None
    sentiment: Sentiment | None = None
    """Of the whole text."""
    sentences: tuple[Sentiment, ...] = ()
    """Of each sentence, where there are several and a lexicon or a classifier judged."""
    labels: tuple[Label, ...] = ()
    """Best first."""
    entities: tuple[Entity, ...] = ()
    """In the order of the text; they do not overlap."""
    phrases: tuple[KeyPhrase, ...] = ()
    """Most telling first."""
    similarity: Similarity | None = None
    provenance: Provenance
    """Of all of it together: every model, and the seconds summed up."""
    by: dict[str, Provenance] = field(default_factory=dict)
    """Aspect → what found it."""
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    """Whether it was stopped before every aspect was done."""

    @property
    def text(self) -> str:
        """The findings, a line for each aspect that there is something to say of."""
        return "\n".join(
            f"{TITLES[aspect].lower()}: {said}"
            for aspect in ASPECTS
            if (said := self._said(aspect))
        )

    def __repr__(self) -> str:
        return f"Understanding({shortened(self.source_text)}: {', '.join(self.by) or 'nothing'})"

    def record(self) -> dict[str, object]:
        """The findings as plain values, for a line of a results file; of similarity only the
        nearest lines."""
        found: dict[str, object] = {
            "text": self.text,
            "by": {aspect: one.model for aspect, one in self.by.items()},
        }
        for name in ("language", "sentiment"):
            if name in self.by:
                value = getattr(self, name)
                found[name] = None if value is None else asdict(value)
        for name in ("labels", "entities", "phrases"):
            if name in self.by:
                found[name] = [asdict(one) for one in getattr(self, name)]
        if self.similarity is not None:
            found["nearest"] = self.similarity.nearest()
        return found

    def to_pandas(self) -> object:
        """One row a finding: aspect, text, label, score, start, end, model; for similarity see
        `.similarity.to_pandas()`."""
        require("pandas", extra="pandas", what="to_pandas()")
        import pandas

        rows = [
            {"aspect": aspect, **finding, "model": self.by[aspect].model}
            for aspect in self.by
            for finding in self._findings(aspect)
        ]
        return pandas.DataFrame(
            rows, columns=["aspect", "text", "label", "score", "start", "end", "model"]
        )

    def plain(self) -> str:
        """A line for each aspect with the model that did it, then what the reader should know."""
        lines = [
            f"{TITLES[aspect]}: {self._said(aspect) or 'none'}  [{self.by[aspect].line()}]"
            for aspect in self.by
        ]
        return "\n".join([*lines, *(f"[{note}]" for note in self.notes)])

    def node(self) -> Node:
        """A row for each aspect: what was found, and which model found it."""
        drawn = {
            "sentiment": self._sentiment_node,
            "labels": self._labels_node,
            "entities": self._entities_node,
            "phrases": self._phrases_node,
            "similarity": self._similarity_node,
        }
        rows = (
            self._row(aspect, drawn[aspect]() if aspect in drawn else user_text(self._said(aspect)))
            for aspect in self.by
        )
        return el(
            "div",
            {"style": theme.BOX},
            header("Understanding", badges(self.interrupted), self.provenance),
            *rows,
            remarks(self.notes),
        )

    def _row(self, aspect: str, drawn: Node) -> Node:
        style = {
            "border-left": f"3px solid {theme.ACCENT}",
            "padding": "1px 0 1px 14px",
            "margin": "10px 0",
        }
        by = el(
            "small",
            {"style": {"color": theme.MUTED, "margin-left": "8px"}},
            user_text(self.by[aspect].line()),
        )
        return el(
            "section", {"style": style}, el("div", {}, el("strong", {}, TITLES[aspect]), by), drawn
        )

    def _said(self, aspect: str) -> str:
        """The finding in one line; "" where there is none."""
        if aspect == "language" and self.language is not None:
            sure = (
                "" if self.language.probability is None else f" ({self.language.probability:.0%})"
            )
            return f"{self.language.name}{sure}"
        if aspect == "sentiment" and self.sentiment is not None:
            return _mood(self.sentiment)
        if aspect == "labels":
            return ", ".join(
                f"{one.label}{_percent(one.probability)}" for one in self.labels if one.chosen
            )
        if aspect == "entities":
            return ", ".join(
                dict.fromkeys(f"{' '.join(one.text.split())} ({one.kind})" for one in self.entities)
            )
        if aspect == "phrases":
            return ", ".join(one.text for one in self.phrases)
        if aspect == "similarity" and self.similarity is not None:
            i, j, cosine = self.similarity.nearest(1)[0]
            return (
                f"of {len(self.similarity.lines)} lines, {i + 1} and {j + 1} are most alike "
                f"({cosine:.2f})"
            )
        return ""

    def _findings(self, aspect: str) -> list[dict[str, object]]:
        if aspect == "language" and self.language is not None:
            return [
                {
                    "text": self.language.name,
                    "label": self.language.code,
                    "score": self.language.probability,
                }
            ]
        if aspect == "sentiment" and self.sentiment is not None:
            return [
                {
                    "text": one.text,
                    "label": one.label,
                    "score": one.polarity,
                    "start": one.start,
                    "end": one.end,
                }
                for one in (self.sentiment, *self.sentences)
            ]
        if aspect == "labels":
            return [{"label": one.label, "score": one.probability} for one in self.labels]
        if aspect == "entities":
            return [
                {
                    "text": one.text,
                    "label": one.kind,
                    "score": one.probability,
                    "start": one.start,
                    "end": one.end,
                }
                for one in self.entities
            ]
        if aspect == "phrases":
            return [
                {
                    "text": one.text,
                    "score": one.score,
                    "start": one.places[0][0],
                    "end": one.places[0][1],
                }
                for one in self.phrases
            ]
        return []

    def _sentiment_node(self) -> Node:
        whole = self.sentiment
        if whole is None:
            return _none("not known")
        marks = [
            Mark(
                one.start,
                one.end,
                "",
                _mood(one),
                tint=_TINT_OF_MOOD[1 if one.polarity > 0 else -1],
            )
            for one in self.sentences
            if one.polarity is not None and one.label != "neutral" and one.polarity
        ]
        words = ", ".join(f"{word} {polarity:+.1f}" for word, polarity in whole.words[:12])
        return fragment(
            el("div", {}, user_text(_mood(whole))),
            el("div", {"style": theme.NOTE}, user_text(f"by these words: {words}"))
            if words
            else None,
            candidate_bars(whole.probabilities[:_SHOWN_LABELS]) if whole.probabilities else None,
            self._marked(marks) if marks else None,
        )

    def _labels_node(self) -> Node:
        shown = self.labels[:_SHOWN_LABELS]
        if all(one.probability is not None for one in shown):
            return (
                candidate_bars([(one.label, one.probability) for one in shown])
                if shown
                else _none("none fits")
            )
        return user_text(self._said("labels") or "none fits")

    def _entities_node(self) -> Node:
        kinds = list(dict.fromkeys(one.kind for one in self.entities))
        marks = [
            Mark(
                one.start,
                one.end,
                one.kind,
                f"{one.kind}{_percent(one.probability)}",
                tint=kinds.index(one.kind),
            )
            for one in self.entities
        ]
        return self._marked(marks) if marks else _none("none found")

    def _phrases_node(self) -> Node:
        style = {
            "display": "inline-block",
            "border": f"1px solid {theme.LINE}",
            "border-radius": "999px",
            "padding": "0 9px",
            "margin": "2px 6px 2px 0",
        }
        shown = (
            el(
                "span",
                {"style": style, "title": f"{one.score:.2f}, stands {len(one.places)} times"},
                user_text(one.text),
            )
            for one in self.phrases
        )
        return el("div", {}, *shown) if self.phrases else _none("none found")

    def _similarity_node(self) -> Node:
        if self.similarity is None:
            return _none("there is one line; it has nothing to be compared with")
        return likeness_map(self.similarity.lines, self.similarity.matrix)

    def _marked(self, marks: list[Mark]) -> Node:
        """The text with marks; of a long one its beginning."""
        if len(self.source_text) <= _SHOWN_CHARACTERS:
            return highlighted(self.source_text, marks)
        inside = [
            replace(mark, end=min(mark.end, _SHOWN_CHARACTERS))
            for mark in marks
            if mark.start < _SHOWN_CHARACTERS
        ]
        more = (
            f"{len(marks) - len(inside):,} more stand behind the first {_SHOWN_CHARACTERS:,} "
            "characters"
        )
        return fragment(
            highlighted(self.source_text[:_SHOWN_CHARACTERS] + " …", inside),
            el("p", {"style": theme.NOTE}, more),
        )


def _none(said: str) -> Node:
    return el("div", {"style": {"color": theme.MUTED}}, said)


def _mood(one: Sentiment) -> str:
    if one.probabilities:
        return f"{one.label} ({one.probabilities[0][1]:.0%})"
    return one.label if one.polarity is None else f"{one.label} ({one.polarity:+.2f})"


def _percent(probability: float | None) -> str:
    return "" if probability is None else f" ({probability:.0%})"
