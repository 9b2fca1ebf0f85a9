"""What translating and summarising return: plain fields, `str()` gives the text, a notebook shows
them well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_magics.display import theme
from llm_magics.display.html import Node, el, user_text
from llm_magics.display.parallel import SentencePair, folded_texts, parallel_text
from llm_magics.display.result import Provenance, Result, provenance_note
from llm_magics.errors import printable
from llm_magics.metrics import score_line
from llm_magics.models.catalog import language_name
from llm_magics.text.extractive import count_words

if TYPE_CHECKING:
    from llm_magics.tasks.translate.back import BackTranslation
    from llm_magics.text.terms import TermUse

__all__ = ["Summary", "Translation", "badges", "header", "remarks", "shortened"]

_SHOWN_SENTENCES = 400
_TITLE = {"margin": "0 0 4px", "font-size": "13px"}
_BADGE = {
    "display": "inline-block",
    "border": f"1px solid {theme.LINE}",
    "border-radius": "999px",
    "padding": "0 8px",
    "font-size": "11px",
    "line-height": "1.6",
    "color": theme.MUTED,
    "margin": "0 0 0 8px",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Translation(Result):
    """A translated text, sentence by sentence, and where it came from."""

    text: str
    """The translation; paragraphs, blank lines and list marks as in the source."""
    source_text: str
    source_language: str
    """Two-letter code, given or detected."""
    target_language: str
    sentences: tuple[SentencePair, ...]
    """Each sentence with its translation and, where known, which words go with which."""
    provenance: Provenance
    notes: tuple[str, ...] = ()
    """What the reader should know: a detected language, a model that was not reached, no
    alignment."""
    interrupted: bool = False
    """Whether it was stopped early; sentences that were not reached are empty."""
    terms: tuple[TermUse, ...] = ()
    """What became of every term of `keep` and `glossary` in every sentence that has it."""
    back_translation: BackTranslation | None = None
    scores: dict[str, float] = field(default_factory=dict)
    """By a reference: bleu and chrf, 0 to 100."""

    @property
    def lost_terms(self) -> tuple[str, ...]:
        """The terms that could not be kept in some sentence."""
        return tuple(dict.fromkeys(str(use.term) for use in self.terms if not use.kept))

    def record(self) -> dict[str, object]:
        lost = {"lost_terms": list(self.lost_terms)} if self.lost_terms else {}
        others = [list(pair.alternatives) for pair in self.sentences]
        return {
            **super().record(),
            "source_language": self.source_language,
            "target_language": self.target_language,
            **lost,
            **({"alternatives": others} if any(others) else {}),
            **({"scores": self.scores} if self.scores else {}),
            **(
                {"back_translation": self.back_translation.record()}
                if self.back_translation
                else {}
            ),
        }

    def __repr__(self) -> str:
        return (
            f"Translation({self.source_language} → {self.target_language}, {len(self.sentences)} "
            f"sentences, {shortened(self.text)})"
        )

    def plain(self) -> str:
        """The text, and a line that says what made it and what the reader should know."""
        return f"{self.text}\n[{' · '.join([self.provenance.line(), *self._remarks()])}]"

    def _remarks(self) -> list[str]:
        kept = sum(use.kept for use in self.terms)
        lost = ", ".join(
            f"{use.term} (sentence {use.sentence + 1})" for use in self.terms if not use.kept
        )
        return [
            *self.notes,
            *([score_line(self.scores)] if self.scores else []),
            *(
                [
                    f"{kept} of {len(self.terms)} terms kept"
                    + (f", not kept: {lost}" if lost else "")
                ]
                if self.terms
                else []
            ),
            *([self.back_translation.line()] if self.back_translation else []),
        ]

    def node(self) -> Node:
        """Header, source and target side by side, remarks."""
        names = language_name(self.source_language), language_name(self.target_language)
        shown = self.sentences[:_SHOWN_SENTENCES]
        hidden = len(self.sentences) - len(shown)
        notes = [*self._remarks(), *([f"{hidden:,} more sentences are in .text"] if hidden else [])]
        return el(
            "div",
            {"style": {"max-width": theme.WIDTH}},
            header(
                f"{names[0]} → {names[1]}",
                [*badges(self.interrupted), *filter(None, [score_line(self.scores)])],
                self.provenance,
            ),
            parallel_text(
                shown,
                source_language=names[0],
                target_language=names[1],
                source_code=self.source_language,
                target_code=self.target_language,
                footer=remarks(notes),
            ),
            self.back_translation.node() if self.back_translation else None,
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class Summary(Result):
    """A summary, and where it came from."""

    text: str
    """One paragraph, or lines that begin with "- " for the style "bullets"."""
    sentences: tuple[str, ...]
    """The sentences (or bullets) of the summary."""
    extractive: bool
    """True: the sentences stand like this in the text. False: a model wrote them."""
    source_text: str
    source_words: int
    """Words of the text; each Chinese or Japanese character counts as one."""
    language: str
    """Two-letter code, given or detected."""
    style: str
    provenance: Provenance
    positions: tuple[int, ...] = ()
    """Extractive: which sentence of the text, from 0, each sentence is. Empty otherwise."""
    source_sentences: int = 0
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    alternatives: tuple[str, ...] = ()
    """Other summaries by the same model, best first, written like `text`."""
    parts: int = 1
    """In how many parts the model read the text; more than 1: their summaries were summarised
    again."""
    scores: dict[str, float] = field(default_factory=dict)
    """By a reference: rouge1, rouge2, rougeL and chrf, 0 to 100."""

    def record(self) -> dict[str, object]:
        return {
            **super().record(),
            "language": self.language,
            **({"alternatives": list(self.alternatives)} if self.alternatives else {}),
            **({"scores": self.scores} if self.scores else {}),
        }

    @property
    def words(self) -> int:
        """Words of the summary."""
        return count_words(" ".join(self.sentences))

    def __repr__(self) -> str:
        kind = "extractive" if self.extractive else "written"
        return f"Summary({kind}, {self.words} of {self.source_words} words, {shortened(self.text)})"

    def plain(self) -> str:
        """The text, and a line that says what made it."""
        about = [
            self._kind(),
            self._numbers(),
            self.provenance.line(),
            *self.notes,
            *filter(None, [score_line(self.scores)]),
        ]
        return f"{self.text}\n[{' · '.join(about)}]"

    def node(self) -> Node:
        """Header with "extractive" or "written", the text, the numbers and remarks."""
        return el(
            "div",
            {"style": theme.BOX},
            header(
                "Summary",
                [
                    self._kind(),
                    self._numbers(),
                    *badges(self.interrupted),
                    *filter(None, [score_line(self.scores)]),
                ],
                self.provenance,
            ),
            self._body(),
            folded_texts(self.alternatives, self.language),
            remarks(self.notes),
        )

    def _body(self) -> Node:
        frame = {
            "border-left": f"3px solid {theme.ACCENT}",
            "padding": "2px 0 2px 14px",
            "margin": "8px 0",
            "font-size": "14px",
            "line-height": "1.65",
            "max-width": "60em",
        }
        language = {"lang": self.language, "dir": "auto"}
        parts: list[Node | str] = []
        for i, sentence in enumerate(self.sentences):
            where = (
                f"sentence {self.positions[i] + 1} of {self.source_sentences}"
                if self.positions
                else None
            )
            parts.append(el("bdi", {**language, "title": where}, sentence))
        if self.style == "bullets":
            items = (el("li", {"style": {"margin": "2px 0"}}, part) for part in parts)
            return el("ul", {"style": {**frame, "padding": "2px 0 2px 30px"}}, *items)
        glue = "" if self.language in ("zh", "ja") else " "
        spaced = [piece for part in parts for piece in (part, glue)]
        return el("p", {"style": frame, "dir": "auto"}, *spaced[:-1])

    def _kind(self) -> str:
        return (
            "extractive: sentences of the text itself"
            if self.extractive
            else "written by the model"
        )

    def _numbers(self) -> str:
        share = self.words / self.source_words if self.source_words else 0
        unit = "characters" if self.language in ("zh", "ja") else "words"
        return f"{self.words:,} of {self.source_words:,} {unit} ({share:.0%})"


def badges(interrupted: bool) -> list[str]:
    """What a header says of a result that was stopped early."""
    return ["interrupted"] if interrupted else []


def header(title: str, marks: list[str], provenance: Provenance) -> Node:
    """Title, small marks beside it, and where the result comes from."""
    shown = (
        el(
            "span",
            {"style": {**_BADGE, "color": theme.WARNING} if mark == "interrupted" else _BADGE},
            mark,
        )
        for mark in marks
    )
    return el(
        "div",
        {"style": {"color": theme.INK, "font-family": theme.FONT, "margin": "4px 0 0"}},
        el("div", {"style": _TITLE}, el("strong", {}, title), *shown),
        provenance_note(provenance),
    )


def remarks(notes: tuple[str, ...] | list[str]) -> Node | None:
    """What the reader should know, in one small line; None when there is nothing."""
    return el("p", {"style": theme.NOTE}, user_text(" · ".join(notes))) if notes else None


def shortened(text: str) -> str:
    """The beginning of a text, quoted, for a `repr`."""
    return repr(printable(text if len(text) <= 60 else text[:57] + "..."))
