"""How far a task has come, for whoever watches; texts and nodes are made only when they are asked
for."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from llm_magics.display import theme
from llm_magics.display.html import Node, el, fragment, user_text
from llm_magics.display.parallel import SentencePair, parallel_text
from llm_magics.display.progress import progress_node
from llm_magics.models.catalog import language_name
from llm_magics.tasks.translate.sentences import glue_between
from llm_magics.text.segments import Document

__all__ = ["TranslationProgress", "WrittenProgress"]

_SHOWN_ROWS = 30


@dataclass
class TranslationProgress:
    """A translation while it is made. Sentences are not finished in order: short ones come
    together."""

    document: Document
    targets: list[str]
    """What there is of each sentence's translation so far."""
    finished: list[bool]
    source_language: str
    target_language: str
    model: str
    started: float = field(default_factory=monotonic)
    alternatives: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Other translations of a sentence, by its number."""

    @property
    def done(self) -> int:
        """Sentences that are finished."""
        return sum(self.finished)

    @property
    def total(self) -> int:
        """Sentences of the text."""
        return len(self.targets)

    @property
    def eta_s(self) -> float | None:
        """Seconds left, judged by the sentences that are finished; None before the first."""
        return (
            (monotonic() - self.started) / self.done * (self.total - self.done)
            if self.done
            else None
        )

    @property
    def text(self) -> str:
        """The translation up to the first unfinished sentence and what there is of that one: it
        only grows."""
        return self.document.prefix(
            self.targets, self.finished, glue=glue_between(self.target_language)
        )

    @property
    def pairs(self) -> list[SentencePair]:
        """Every sentence with what there is of its translation."""
        sources = self.document.sentences
        return [
            SentencePair(sentence.text, text, alternatives=self.alternatives.get(i, ()))
            for i, (sentence, text) in enumerate(zip(sources, self.targets, strict=True))
        ]

    def node(self) -> Node:
        """Source and target side by side around the newest sentences, and a bar when there are
        several."""
        last = max((i for i, text in enumerate(self.targets) if text), default=0)
        first = max(0, last - _SHOWN_ROWS + 5)
        names = language_name(self.source_language), language_name(self.target_language)
        bar = (
            progress_node(self.done, self.total, self.model, self.eta_s) if self.total > 1 else None
        )
        return fragment(
            bar,
            parallel_text(
                self.pairs[first : first + _SHOWN_ROWS],
                source_language=names[0],
                target_language=names[1],
                source_code=self.source_language,
                target_code=self.target_language,
            ),
        )


@dataclass(frozen=True)
class WrittenProgress:
    """A summary, or answers to several questions, while they are written."""

    text: str
    """What is being written."""
    done: int
    """Parts that are done: of a long text that is summarised part by part, or questions."""
    total: int
    model: str

    def node(self) -> Node:
        """The text so far, and a bar when there are several parts."""
        bar = progress_node(self.done, self.total, self.model) if self.total > 1 else None
        style = {**theme.BOX, "white-space": "pre-wrap"}
        return fragment(bar, el("div", {"style": style}, user_text(self.text or "…")))
