"""What asking returns: an answer to each question, where in the text it stands, and how sure the
model is."""

from __future__ import annotations

from dataclasses import dataclass

from llm_magics.display import theme
from llm_magics.display.highlight import Mark, highlighted
from llm_magics.display.html import Node, el, user_text
from llm_magics.display.result import Provenance, Result
from llm_magics.tasks.results import badges, header, remarks, shortened

__all__ = ["Answer", "Answers", "Evidence"]

_WHOLE_CONTEXT = 4_000
_AROUND = 160


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Characters [start, end) of the text that an answer is, or rests on."""

    start: int
    end: int
    text: str
    probability: float | None = None
    """Of a span, among all spans and no answer at all; None where a model wrote the answer or none
    was needed."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one question."""

    question: str
    text: str
    """Empty when the text does not answer the question."""
    evidence: tuple[Evidence, ...] = ()
    """Extractive: the answer, then the next best spans. Written: the sentences that it rests on."""
    probability: float | None = None
    """How sure an extractive model is of `text` (of there being no answer, when it is empty); None
    for others."""

    def __str__(self) -> str:
        return self.text

    @property
    def shown(self) -> str:
        """The answer, or that there is none."""
        return self.text or "(not in the text)"

    def line(self) -> str:
        """Question, answer and how sure, in one line."""
        sure = "" if self.probability is None else f" ({self.probability:.0%})"
        return f"{self.question} {self.shown}{sure}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Answers(Result):
    """Answers to questions about one text. A sequence: `answers[0].text`; `.text` holds all of
    them, a line each."""

    text: str
    answers: tuple[Answer, ...]
    context: str
    extractive: bool
    """True: answers are stretches of the text. False: a model wrote them."""
    language: str
    provenance: Provenance
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def __len__(self) -> int:
        return len(self.answers)

    def __getitem__(self, index: int) -> Answer:
        return self.answers[index]

    def __repr__(self) -> str:
        return f"Answers({len(self.answers)} of {shortened(self.context)}: {shortened(self.text)})"

    def plain(self) -> str:
        """A line for each question, and one that says what made them."""
        lines = (
            [answer.line() for answer in self.answers]
            if len(self.answers) > 1
            else [self.answers[0].shown]
        )
        return "\n".join([*lines, f"[{' · '.join([self.provenance.line(), *self.notes])}]"])

    def node(self) -> Node:
        """Questions with their answers, and the text with the places they come from."""
        kind = "spans of the text" if self.extractive else "written by the model"
        return el(
            "div",
            {"style": theme.BOX},
            header(
                "Answers" if len(self.answers) > 1 else "Answer",
                [kind, *badges(self.interrupted)],
                self.provenance,
            ),
            *(self._one(answer) for answer in self.answers),
            self._context(),
            remarks(self.notes),
        )

    def _one(self, answer: Answer) -> Node:
        style = {
            "border-left": f"3px solid {theme.ACCENT}",
            "padding": "1px 0 1px 14px",
            "margin": "8px 0",
        }
        sure = answer.probability and el(
            "small", {"style": {"color": theme.MUTED}}, f"  {answer.probability:.0%}"
        )
        others = [
            f"{one.text} {one.probability:.0%}"
            for one in answer.evidence[1:4]
            if one.probability is not None and one.probability >= 0.01
        ]
        rest = (
            el("div", {"style": theme.NOTE}, user_text("also: " + " · ".join(others)))
            if others
            else None
        )
        return el(
            "div",
            {"style": style},
            el("div", {"style": {"color": theme.MUTED}}, user_text(answer.question)),
            el(
                "div",
                {"style": {"font-size": "14px"}},
                el("strong", {}, user_text(answer.shown)),
                sure,
            ),
            rest,
        )

    def _context(self) -> Node | None:
        marks = [
            mark
            for number, answer in enumerate(self.answers, 1)
            for mark in self._marks(number, answer)
        ]
        if not marks and len(self.context) > _WHOLE_CONTEXT:
            return None
        return highlighted(
            self.context, marks, around=None if len(self.context) <= _WHOLE_CONTEXT else _AROUND
        )

    def _marks(self, number: int, answer: Answer) -> list[Mark]:
        if not answer.text:
            return []
        label = str(number) if len(self.answers) > 1 else ""
        shown = answer.evidence[:1] if self.extractive else answer.evidence
        return [
            Mark(one.start, one.end, label, answer.question, shade=3 if self.extractive else 2)
            for one in shown
        ]
