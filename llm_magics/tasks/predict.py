"""The next word: what a language model expects at every place of a text, and what it would go on
with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llm_magics.display import theme
from llm_magics.display.candidates import Shaded, candidate_bars, shaded_text, visible
from llm_magics.display.html import Node, el
from llm_magics.display.result import Provenance, Result
from llm_magics.errors import InputError, WrongTask
from llm_magics.extras import require
from llm_magics.models.backends.base import EXTRACTIVE
from llm_magics.models.read.next_tokens import Candidate, ScoredToken, score_tokens
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.run import one_by_one, settings_of, work_through
from llm_magics.tasks.choose import candidates, open_model
from llm_magics.tasks.provenance import account
from llm_magics.tasks.results import badges, header, remarks, shortened
from llm_magics.text.clean import clean_text

if TYPE_CHECKING:
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["NextWord", "predict", "predict_each"]

_SHOWN_TOKENS = 2_000
_SHOWN_MASKS = 8
_TITLE_CANDIDATES = 5

Stop = Callable[[], bool] | None


@dataclass(frozen=True, kw_only=True, repr=False)
class NextWord(Result):
    """What a language model expects in a text and after it."""

    text: str
    """The most probable next token; of a masked model the text with its masks filled in."""
    source_text: str
    tokens: tuple[ScoredToken, ...]
    """Every token with its probability and what could stand in its place."""
    next: tuple[Candidate, ...]
    """What could follow, best first; empty for a masked model."""
    masks: tuple[int, ...]
    """Which of `tokens` are masks."""
    is_masked: bool = False
    """Whether the model fills in masks (BERT-like) and so knows no next word."""
    provenance: Provenance
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def perplexity(self) -> float | None:
        """exp of the mean -ln P over the tokens that have a probability; None when there is none.

        Of a masked model this is the pseudo-perplexity: each token is predicted from all the
        others.
        """
        known = [token.probability for token in self.tokens if token.probability is not None]
        return (
            math.exp(-sum(math.log(max(one, 1e-30)) for one in known) / len(known))
            if known
            else None
        )

    @property
    def bits(self) -> float:
        """Surprisal of the whole text, in bits."""
        return sum(
            token.surprisal_bits for token in self.tokens if token.surprisal_bits is not None
        )

    def continued(self, choice: int = 0) -> str:
        """The text with the candidate `choice` of `next` behind it. Raises InputError where there
        is no such one."""
        if not 0 <= choice < len(self.next):
            raise InputError(
                f"there is no candidate {choice} to go on with; there are {len(self.next)}"
            )
        return self.source_text + self.next[choice].text

    def to_pandas(self) -> object:
        """One row a token: text, start, end, probability, surprisal in bits, rank, best candidate
        and its probability."""
        require("pandas", extra="pandas", what="to_pandas()")
        import pandas

        return pandas.DataFrame(
            [
                {
                    "text": token.text,
                    "start": token.start,
                    "end": token.end,
                    "probability": token.probability,
                    "surprisal_bits": token.surprisal_bits,
                    "rank": token.rank,
                    "best": token.candidates[0].text if token.candidates else None,
                    "best_probability": token.candidates[0].probability
                    if token.candidates
                    else None,
                }
                for token in self.tokens
            ]
        )

    def __repr__(self) -> str:
        return f"NextWord({shortened(self.source_text)} → {self.text!r})"

    def plain(self) -> str:
        """Candidates with their probabilities, and the figures of the text."""
        if self.masks:
            lines = [
                f"{visible(self.tokens[at].text)}: "
                + ", ".join(
                    f"{one.text.strip()} {one.probability:.1%}"
                    for one in self.tokens[at].candidates[:5]
                )
                for at in self.masks
            ]
        else:
            lines = [f"{visible(one.text)}  {one.probability:.1%}" for one in self.next]
        return "\n".join(
            [*lines, f"[{' · '.join([*self.figures(), self.provenance.line(), *self.notes])}]"]
        )

    def node(self) -> Node:
        """The text shaded by surprisal, the candidates as bars."""
        shown = self.tokens[:_SHOWN_TOKENS]
        hidden = len(self.tokens) - len(shown)
        notes = [*self.notes, *([f"{hidden:,} more tokens are in .tokens"] if hidden else [])]
        places = [
            (f"instead of {self.tokens[at].text}", self.tokens[at].candidates)
            for at in self.masks[:_SHOWN_MASKS]
        ]
        if self.next:
            places.append(("next", self.next))
        return el(
            "div",
            {"style": theme.BOX},
            header(
                "Masked words" if self.masks else "Next word",
                [*self.figures(), *badges(self.interrupted)],
                self.provenance,
            ),
            shaded_text(list(self._stretches(shown))),
            *(
                el("div", {}, el("div", {"style": theme.NOTE}, title), _bars(found))
                for title, found in places
            ),
            remarks(notes),
        )

    def figures(self) -> list[str]:
        """Perplexity and bits of the whole text, for people; nothing where no token has a
        probability."""
        if self.perplexity is None:
            return []
        name = "pseudo-perplexity" if self.is_masked else "perplexity"
        per_character = self.bits / len(self.source_text)
        return [
            f"{name} {self.perplexity:,.1f}",
            f"{self.bits:,.0f} bits, {per_character:.2f} a character",
        ]

    def _stretches(self, tokens: tuple[ScoredToken, ...]) -> Iterable[Shaded]:
        position = 0
        for at, token in enumerate(tokens):
            if token.start > position:
                yield Shaded(self.source_text[position : token.start])
            filled = (
                token.candidates[0].text.strip() if at in self.masks and token.candidates else ""
            )
            yield Shaded(token.text, token.surprisal_bits, _title(token), filled)
            position = token.end
        if len(tokens) == len(self.tokens):
            yield Shaded(self.source_text[position:])


def _bars(found: tuple[Candidate, ...]) -> Node:
    return candidate_bars([(one.text, one.probability) for one in found])


def _title(token: ScoredToken) -> str:
    """What hovering over a token says."""
    if not token.candidates:
        return ""
    best = ", ".join(
        f"{visible(one.text)} {one.probability:.1%}" for one in token.candidates[:_TITLE_CANDIDATES]
    )
    if token.probability is None:
        return best
    place = "the best" if token.rank == 0 else f"number {token.rank + 1:,}"
    return (
        f"{visible(token.text)}: {token.probability:.2%}, {token.surprisal_bits:.1f} bits, "
        f"{place} · {best}"
    )


def predict(
    text: str,
    *,
    manager: ModelManager,
    count: int = 10,
    model: object = None,
    default: object = None,
    load_options: dict[str, object] | None = None,
    stop: Stop = None,
) -> NextWord:
    """The `count` most probable next tokens after `text`, and at every place of it how probable
    what stands there was.

    A causal model (GPT-like) reads from left to right; a masked one (BERT-like) fills in the masks
    of the text, or scores each token from all the others where there is no mask. Raises EmptyInput,
    TooLong, InputError, WrongTask for models that predict no tokens, or a ModelError from choosing
    and loading a model.
    """
    text = clean_text(text)
    check_count(count)
    with open_model(
        candidates("predict", model=model, default=default), manager, load_options
    ) as opened:
        started = time.perf_counter()  # loading the model is no part of the seconds
        if opened.loaded.backend.kind == EXTRACTIVE:
            raise WrongTask(
                f"{opened.reference} has no weights and predicts no words; choose a language model"
            )
        scored = score_tokens(opened.loaded, text, count=count, stop=stop)
        provenance = account(opened, started, 0, {"count": count})
    unscored = not scored.masks and any(token.probability is None for token in scored.tokens[1:])
    best = scored.next[0].text if scored.next else _filled(text, scored.tokens, scored.masks)
    return NextWord(
        text=best,
        source_text=text,
        tokens=scored.tokens,
        next=scored.next,
        masks=scored.masks,
        is_masked=scored.is_masked,
        provenance=provenance,
        notes=tuple(opened.notes),
        interrupted=unscored,
    )


def check_count(count: object, most: int = 100) -> None:
    """Raise InputError where `count` is no number of candidates."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
        raise InputError(f"count must be a whole number from 1 to {most}, not {count!r}")


def predict_each(
    rows: Iterable[str] | str | Path,
    *,
    column: str | None = None,
    out_file: str | Path | None = None,
    resume: bool = False,
    on_row: Callable[[int, NextWord | RowError], None] | None = None,
    stop: Stop = None,
    **options: object,
) -> Rows:
    """One NextWord, or one RowError with the reason, for each row, in order; `options` as in
    `predict`.

    For `rows`, `column`, `out_file` and `resume` see `llm_magics.rows.run.work_through`.
    """
    check_count(options.get("count", 10))
    return work_through(
        rows,
        one_by_one(lambda row: predict(row, stop=stop, **options)),
        column=column,
        on_row=on_row,
        stop=stop,
        out_file=out_file,
        resume=resume,
        settings=settings_of("predict", options),
    )


def _filled(text: str, tokens: tuple[ScoredToken, ...], masks: tuple[int, ...]) -> str:
    """The text with the best candidate in place of each mask."""
    parts, position = [], 0
    for at in masks:
        token = tokens[at]
        parts += [
            text[position : token.start],
            token.candidates[0].text.strip() if token.candidates else token.text,
        ]
        position = token.end
    return "".join([*parts, text[position:]])
