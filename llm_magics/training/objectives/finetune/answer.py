"""Fine-tuning extractive question answering: where in a text an answer begins and ends (Rajpurkar
et al. 2016, 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_magics.errors import DataError, RecipeError
from llm_magics.models.folder.library_errors import boundary
from llm_magics.training.data.batches import Batch, bucketed
from llm_magics.training.objectives.base import padded
from llm_magics.training.objectives.finetune.base import FineTune
from llm_magics.training.run.events import AttentionSeen, Sample

__all__ = ["FineTuneAnswer"]

_BEST, _ANSWER_TOKENS = 20, 30
"""Ends that are paired with each other, and the longest answer; as in the scripts for SQuAD."""
_LEAST_ROOM = 16
"""Tokens of the context that a window must hold beside the question."""


@dataclass(frozen=True)
class Window:
    """A question and a piece of its context; pieces overlap, so that an answer is whole in one of
    them."""

    row: int
    ids: list[int]
    types: list[int]
    """What the family calls token types; all 0 where it has none."""
    offsets: list[tuple[int, int] | None]
    """Of tokens of the context, where they stand in it; None for the others."""
    start: int = 0
    end: int = 0
    """Tokens of the answer, both included; 0, the mark at the beginning, where it is not in this
    window."""


class FineTuneAnswer(FineTune):
    """P(start | question, context) · P(end | question, context), over windows of the context.

    A window without the answer points to its first token. A question has no answer where that
    scores higher than every span, in data with such questions (SQuAD 2.0); other data teach that
    there always is one.
    """

    kinds: ClassVar = {"question": "text", "context": "text", "answers": "answers"}
    metrics = ("answer_f1", "answer_exact_match")
    final = ("answer_f1", "answer_exact_match")
    unit = "windows"
    auto = "AutoModelForQuestionAnswering"

    def prepare(self) -> None:
        if not self.tokenizer.is_fast:
            raise RecipeError(
                f"the tokenizer of {self.reference} cannot tell where its tokens stand in the "
                "text; choose a model with a fast tokenizer (tokenizer.json)"
            )
        self.may_be_empty = any(not answers for *_, answers in self.corpus.train)
        super().prepare()
        if not self.items["train"]:
            raise DataError(
                f"no question leaves room for its context in {self.longest} tokens; raise "
                "batch.max_tokens_per_side"
            )

    # Windows

    def encoded(self, part: str) -> list[Window]:
        windows = self.windows(self.corpus[part])
        left_out = len(self.corpus[part]) - len({window.row for window in windows})
        if left_out:
            self.left_out[part] = left_out  # questions that fill a window
        return windows

    def windows(self, rows: list[tuple]) -> list[Window]:
        """All windows of these rows, in their order; none of a row whose question is too long."""
        found: list[Window] = []
        with boundary(f"the tokenizer of {self.reference}", "used"):
            marks = self.tokenizer.num_special_tokens_to_add(pair=True)
            questions = self.ids([question for question, *_ in rows], add_special_tokens=False)
            for number, ((question, context, answers), tokens) in enumerate(
                zip(rows, questions, strict=True)
            ):
                room = self.longest - marks - len(tokens)
                if room >= _LEAST_ROOM:
                    found.extend(
                        self._cut(
                            number, question, context, answers, min(self.longest // 4, room // 2)
                        )
                    )
        return found

    def _cut(
        self, number: int, question: str, context: str, answers: list[tuple[str, int]], overlap: int
    ) -> Iterator[Window]:
        coded = self.tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=self.longest,
            stride=overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            verbose=False,
        )
        for piece, ids in enumerate(coded["input_ids"]):
            offsets = [
                tuple(place) if side == 1 else None
                for place, side in zip(
                    coded["offset_mapping"][piece], coded.sequence_ids(piece), strict=True
                )
            ]
            types = coded["token_type_ids"][piece] if "token_type_ids" in coded else [0] * len(ids)
            yield Window(number, list(ids), list(types), offsets, *_target(offsets, answers))

    def sizes(self, item: Window) -> tuple[int, ...]:
        return (len(item.ids),)

    def targets(self, batch: Batch) -> int:
        return len(batch.items)

    def batches(self, epoch: int) -> Iterator[Batch]:
        for batch in super().batches(epoch):
            yield replace(batch, rows=[window.row for window in batch.items])  # what an error names

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """Token ids, mask and types (B, T), and the places of the first and the last token of the
        answer (B,)."""
        starts, ends = (
            [getattr(window, side) for window in batch.items] for side in ("start", "end")
        )
        return (
            *self._inputs(batch.items),
            torch.tensor(starts, device=self.device),
            torch.tensor(ends, device=self.device),
        )

    def _inputs(self, windows: list[Window]) -> tuple[Tensor, Tensor, Tensor]:
        return (
            *self.padded_ids([window.ids for window in windows]),
            padded([window.types for window in windows], self.device),
        )

    def _logits(
        self, model: nn.Module, ids: Tensor, mask: Tensor, types: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores (B, T) of every token as the start and as the end; a padded one is neither."""
        typed = (
            {"token_type_ids": types}
            if "token_type_ids" in self.tokenizer.model_input_names
            else {}
        )
        output = model(input_ids=ids, attention_mask=mask, **typed)
        hidden = mask == 0
        return (
            output.start_logits.float().masked_fill(hidden, float("-inf")),
            output.end_logits.float().masked_fill(hidden, float("-inf")),
        )

    def loss(
        self, model: nn.Module, tensors: tuple[Tensor, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        """The sum over windows of the mean of both cross-entropies; labels are not smoothed over
        places."""
        ids, mask, types, starts, ends = tensors
        start_logits, end_logits = self._logits(model, ids, mask, types)
        return (
            nn.functional.cross_entropy(start_logits, starts, reduction="sum")
            + nn.functional.cross_entropy(end_logits, ends, reduction="sum")
        ) / 2

    # Figures

    @torch.no_grad()
    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[str]:
        """The best span of all windows of each row; "" where there seems to be no answer."""
        rows = self.corpus[part][:count]
        best: list[tuple[float, str]] = [(float("-inf"), "")] * len(rows)
        empty = [float("inf")] * len(rows)
        for batch in bucketed(self.windows(rows), 8_000, self.sizes, seed=0, epoch=0):
            start_logits, end_logits = (
                scores.cpu() for scores in self._logits(model, *self._inputs(batch.items))
            )
            for window, starts, ends in zip(batch.items, start_logits, end_logits, strict=True):
                empty[window.row] = min(empty[window.row], (starts[0] + ends[0]).item())
                score, first, last = _best_span(starts, ends, window.offsets)
                if score > best[window.row][0]:
                    best[window.row] = score, rows[window.row][1][first:last].strip()
        return [
            "" if self.may_be_empty and nothing >= score else text
            for (score, text), nothing in zip(best, empty, strict=True)
        ]

    def expected(self, part: str, count: int | None = None) -> list[Any]:
        return [[text for text, _ in answers] for *_, answers in self.corpus[part][:count]]

    def samples(self, predictions: list[Any], part: str = "validation") -> tuple[Sample, ...]:
        shown = zip(self.corpus[part], predictions[: self.recipe.evaluation.samples], strict=False)
        return tuple(
            Sample(
                question, predicted or "(no answer)", answers[0][0] if answers else "(no answer)"
            )
            for (question, _, answers), predicted in shown
        )

    def attention(self, model: nn.Module, step: int) -> AttentionSeen | None:
        if not self.corpus.validation:
            return None
        question, context, _ = self.corpus.validation[0]
        return self.attention_in(model, "encoder", step, f"{question} {context}"[:200], None)


def _target(
    offsets: list[tuple[int, int] | None], answers: list[tuple[str, int]]
) -> tuple[int, int]:
    """(First, last) token of the first answer; (0, 0) where there is none or not all of it is in
    the window."""
    if not answers:
        return 0, 0
    text, begin = answers[0]
    end = begin + len(text)
    inside = [
        token
        for token, place in enumerate(offsets)
        if place and place[0] < end and place[1] > begin
    ]
    if not inside or offsets[inside[0]][0] > begin or offsets[inside[-1]][1] < end:
        return 0, 0
    return inside[0], inside[-1]


def _best_span(
    starts: Tensor, ends: Tensor, offsets: list[tuple[int, int] | None]
) -> tuple[float, int, int]:
    """(Score, first character, end) of the best span of the context; the score is start + end."""
    context = torch.tensor(
        [token for token, place in enumerate(offsets) if place], dtype=torch.long
    )
    if not len(context):
        return float("-inf"), 0, 0
    count = min(_BEST, len(context))
    firsts, lasts = (context[scores[context].topk(count).indices] for scores in (starts, ends))
    length = lasts[None, :] - firsts[:, None]  # (first, last)
    scores = starts[firsts][:, None] + ends[lasts][None, :]
    scores.masked_fill_((length < 0) | (length >= _ANSWER_TOKENS), float("-inf"))
    place = int(scores.argmax())
    first, last = int(firsts[place // count]), int(lasts[place % count])
    return scores.flatten()[place].item(), offsets[first][0], offsets[last][1]
