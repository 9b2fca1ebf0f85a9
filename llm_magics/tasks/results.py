"""What translating and summarising return: plain fields, `str()` gives the text, a notebook shows them well."""

from __future__ import annotations

from dataclasses import dataclass

from llm_magics.display import theme
from llm_magics.display.html import Node, el, user_text
from llm_magics.display.parallel import SentencePair, parallel_text
from llm_magics.display.result import Provenance, Result, provenance_note
from llm_magics.errors import printable
from llm_magics.models.catalog import language_name
from llm_magics.tasks.extractive import count_words

__all__ = ["RowError", "Summary", "Translation"]

_SHOWN_SENTENCES = 400
_TITLE = {"margin": "0 0 4px", "font-size": "13px"}
_BADGE = {
    "display": "inline-block", "border": f"1px solid {theme.LINE}", "border-radius": "999px", "padding": "0 8px",
    "font-size": "11px", "line-height": "1.6", "color": theme.MUTED, "margin": "0 0 0 8px",
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
    """What the reader should know: a detected language, a model that was not reached, no alignment."""
    interrupted: bool = False
    """Whether it was stopped early; sentences that were not reached are empty."""

    def __repr__(self) -> str:
        return (f"Translation({self.source_language} → {self.target_language}, {len(self.sentences)} sentences, "
                f"{_short(self.text)})")

    def plain(self) -> str:
        """The text, and a line that says what made it and what the reader should know."""
        return f"{self.text}\n[{' · '.join([self.provenance.line(), *self.notes])}]"

    def node(self) -> Node:
        """Header, source and target side by side, remarks."""
        names = language_name(self.source_language), language_name(self.target_language)
        shown = self.sentences[:_SHOWN_SENTENCES]
        hidden = len(self.sentences) - len(shown)
        remarks = [*self.notes, *([f"{hidden:,} more sentences are in .text"] if hidden else [])]
        return el(
            "div", {"style": {"max-width": theme.WIDTH}},
            _header(f"{names[0]} → {names[1]}", _badges(self.interrupted), self.provenance),
            parallel_text(shown, source_language=names[0], target_language=names[1],
                          source_code=self.source_language, target_code=self.target_language,
                          footer=_remarks(remarks)),
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

    @property
    def words(self) -> int:
        """Words of the summary."""
        return count_words(" ".join(self.sentences))

    def __repr__(self) -> str:
        kind = "extractive" if self.extractive else "written"
        return f"Summary({kind}, {self.words} of {self.source_words} words, {_short(self.text)})"

    def plain(self) -> str:
        """The text, and a line that says what made it."""
        about = [self._kind(), self._numbers(), self.provenance.line(), *self.notes]
        return f"{self.text}\n[{' · '.join(about)}]"

    def node(self) -> Node:
        """Header with "extractive" or "written", the text, the numbers and remarks."""
        return el(
            "div", {"style": theme.BOX},
            _header("Summary", [self._kind(), self._numbers(), *_badges(self.interrupted)], self.provenance),
            self._body(),
            _remarks(self.notes),
        )

    def _body(self) -> Node:
        frame = {"border-left": f"3px solid {theme.ACCENT}", "padding": "2px 0 2px 14px", "margin": "8px 0",
                 "font-size": "14px", "line-height": "1.65", "max-width": "60em"}
        language = {"lang": self.language, "dir": "auto"}
        parts: list[Node | str] = []
        for i, sentence in enumerate(self.sentences):
            where = f"sentence {self.positions[i] + 1} of {self.source_sentences}" if self.positions else None
            parts.append(el("bdi", {**language, "title": where}, sentence))
        if self.style == "bullets":
            items = (el("li", {"style": {"margin": "2px 0"}}, part) for part in parts)
            return el("ul", {"style": {**frame, "padding": "2px 0 2px 30px"}}, *items)
        glue = "" if self.language in ("zh", "ja") else " "
        spaced = [piece for part in parts for piece in (part, glue)]
        return el("p", {"style": frame, "dir": "auto"}, *spaced[:-1])

    def _kind(self) -> str:
        return "extractive: sentences of the text itself" if self.extractive else "written by the model"

    def _numbers(self) -> str:
        share = self.words / self.source_words if self.source_words else 0
        unit = "characters" if self.language in ("zh", "ja") else "words"
        return f"{self.words:,} of {self.source_words:,} {unit} ({share:.0%})"


@dataclass(frozen=True, kw_only=True)
class RowError:
    """A row of `translate_each` or `summarize_each` that could not be done; the others were."""

    row: int
    """Which row, from 0."""
    reason: str
    """One line."""

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}"


def _badges(interrupted: bool) -> list[str]:
    return ["interrupted"] if interrupted else []


def _header(title: str, badges: list[str], provenance: Provenance) -> Node:
    marks = (
        el("span", {"style": {**_BADGE, "color": theme.WARNING} if badge == "interrupted" else _BADGE}, badge)
        for badge in badges
    )
    return el("div", {"style": {"color": theme.INK, "font-family": theme.FONT, "margin": "4px 0 0"}},
              el("div", {"style": _TITLE}, el("strong", {}, title), *marks),
              provenance_note(provenance))


def _remarks(remarks: tuple[str, ...] | list[str]) -> Node | None:
    if not remarks:
        return None
    return el("p", {"style": theme.NOTE}, user_text(" · ".join(remarks)))


def _short(text: str) -> str:
    return repr(printable(text if len(text) <= 60 else text[:57] + "..."))
