"""A translation checked by translating it back: sentences that come back much changed deserve a
look.

It measures both translators at once, so a low score does not prove a fault, and a high one no
quality; it finds sentences in which something was lost (Rapp 2009, "The backtranslation score").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llm_magics.display import theme
from llm_magics.display.html import Node, el
from llm_magics.display.parallel import SentencePair
from llm_magics.display.result import Provenance, provenance_note
from llm_magics.display.table import table
from llm_magics.metrics import score
from llm_magics.tasks.choose import Opened, candidates, open_model
from llm_magics.tasks.provenance import account, answers
from llm_magics.tasks.translate.direction import Direction, direction_of
from llm_magics.tasks.translate.sentences import (
    glue_between,
    readable_document,
    translate_sentences,
)

if TYPE_CHECKING:
    from llm_magics.models.generate.generate import Generation
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["BackTranslation", "open_back", "translate_back", "translated_back"]

DOUBTFUL = 50.0
"""A sentence is flagged when less than this chrF of it comes back, and it is among the worst tenth
(three at least)."""
_LEAST_FLAGS = 3


@dataclass(frozen=True, kw_only=True)
class BackTranslation:
    """Every sentence translated back into its own language."""

    sources: tuple[str, ...]
    sentences: tuple[str, ...]
    """What came back, one for each of `sources`."""
    chrf: tuple[float, ...]
    """chrF of each sentence against its source, 0 to 100; -1.0 for what was not translated back."""
    score: float
    """chrF of all sentences together."""
    provenance: Provenance
    interrupted: bool = False
    """Whether it was stopped before every sentence had come back."""

    def record(self) -> dict[str, object]:
        """What a line of a results file holds of it."""
        return {
            "sentences": list(self.sentences),
            "chrf": self.score,
            "model": self.provenance.model,
        }

    @property
    def flagged(self) -> tuple[int, ...]:
        """The sentences, from 0, that differ most, worst first."""
        worst = sorted((value, i) for i, value in enumerate(self.chrf) if 0 <= value < DOUBTFUL)
        return tuple(i for _, i in worst[: max(_LEAST_FLAGS, len(self.chrf) // 10)])

    def line(self) -> str:
        """`back-translated by embedded:de-en: chrF 71.2, look at sentence 3`."""
        doubts = ", ".join(str(i + 1) for i in self.flagged)
        return f"back-translated by {self.provenance.model}: chrF {self.score:.1f}" + (
            f", look at sentence {doubts}" if doubts else ""
        )

    def node(self) -> Node:
        """The flagged sentences, and all of them on demand."""

        def rows(chosen: Sequence[int]) -> Node:
            return table(
                ["", "source", "came back as", "chrF"],
                [
                    [
                        str(i + 1),
                        self.sources[i],
                        self.sentences[i],
                        f"{self.chrf[i]:.0f}" if self.chrf[i] >= 0 else "",
                    ]
                    for i in chosen
                ],
                align="rllr",
            ).node()

        every = el(
            "details",
            {},
            el("summary", {}, "every sentence, translated back"),
            rows(range(len(self.sources))),
        )
        return el(
            "div",
            {"style": theme.BOX},
            el("div", {}, self.line()),
            rows(self.flagged) if self.flagged else None,
            every,
            provenance_note(self.provenance),
        )


def open_back(
    direction: Direction,
    manager: ModelManager,
    model: object = None,
    load_options: dict[str, object] | None = None,
) -> AbstractContextManager[Opened]:
    """`model`, or the one of the catalogue for the other direction. Raises UnknownLanguage,
    HubUnreachable, WrongTask."""
    return open_model(
        candidates("translate", model=model, source=direction.target, target=direction.source),
        manager,
        load_options,
    )


def translate_back(
    pairs: Sequence[SentencePair],
    direction: Direction,
    *,
    manager: ModelManager,
    model: object = None,
    load_options: dict[str, object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> BackTranslation:
    """`pairs` translated back by `model`, or by the one of the catalogue for the other direction.

    Raises what choosing and loading the model raises: UnknownLanguage, HubUnreachable, WrongTask.
    """
    with open_back(direction, manager, model, load_options) as opened:
        started = time.perf_counter()
        (back,) = translated_back(opened, [pairs], direction, stop=stop)
        return replace(back, provenance=account(opened, started, back.provenance.tokens, {}))


def translated_back(
    opened: Opened,
    rows: Sequence[Sequence[SentencePair]],
    direction: Direction,
    *,
    stop: Callable[[], bool] | None = None,
) -> list[BackTranslation]:
    """Each row of pairs translated back, all in one batch; seconds are not told apart."""
    targets = [[pair.target for pair in pairs] for pairs in rows]
    back = direction_of(
        opened.loaded,
        "\n".join(text for row in targets for text in row),
        direction.target,
        direction.source,
    )
    parts = [
        [
            [sentence.text for sentence in readable_document(opened.loaded, text, back).sentences]
            if text
            else []
            for text in row
        ]
        for row in targets
    ]  # a sentence may be too long for this model
    flat = [part for row in parts for pieces in row for part in pieces]
    outputs = translate_sentences(opened.loaded, flat, back, stop=stop)
    written = iter(
        zip(answers(opened.loaded, [output.text for output in outputs], flat), outputs, strict=True)
    )
    return [
        _compared(
            opened,
            pairs,
            [[next(written) for _ in pieces] for pieces in row],
            glue_between(direction.source),
        )
        for pairs, row in zip(rows, parts, strict=True)
    ]


def _compared(
    opened: Opened,
    pairs: Sequence[SentencePair],
    pieces: list[list[tuple[str, Generation]]],
    glue: str,
) -> BackTranslation:
    """The sentences of one text beside what came back: for each sentence the pieces that it was
    translated back in."""
    sources = tuple(pair.source for pair in pairs)
    came = tuple(glue.join(text for text, _ in found) for found in pieces)
    finished = [all(output.finished for _, output in found) for found in pieces]
    done = [i for i, found in enumerate(pieces) if found and finished[i]]
    chrf = tuple(
        score("chrf", [came[i]], [sources[i]]) if i in done else -1.0 for i in range(len(sources))
    )
    total = score("chrf", [came[i] for i in done], [sources[i] for i in done]) if done else 0.0
    tokens = sum(output.n_new_tokens for found in pieces for _, output in found)
    return BackTranslation(
        sources=sources,
        sentences=came,
        chrf=chrf,
        score=total,
        interrupted=not all(finished),
        provenance=account(opened, None, tokens, {}),
    )
