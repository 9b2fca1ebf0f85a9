"""Extractive question answering: spans of a context, from a model that scores every token as a
start and as an end.

    P(i, j) = exp(s_i + e_j) / (exp(z) + Σ exp(s_i' + e_j'))     over all spans i' ≤ j' < i' + 30 of the context

    s, e    scores of a token as the first and the last of the answer (Devlin et al. 2019, §4.2)
    z       score of "no answer": s + e of the first token, the least over the windows (SQuAD 2.0, §4.3)

A context longer than the model reads is cut into overlapping windows. A span that lies in two
windows counts in the one that shows more of what is around its first token.
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_magics.errors import TooLong, WrongTask
from llm_magics.models.folder.library_errors import boundary
from llm_magics.models.generate.batches import bucketed
from llm_magics.models.read.windows import LEAST_ROOM, fast_tokenizer, model_inputs, window_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["ANSWER_TOKENS", "Inquiry", "Reading", "Span", "Window", "answer_spans", "windows"]

ANSWER_TOKENS = 30
"""The longest answer; as in the scripts for SQuAD."""
_CANDIDATES = 400
"""Spans that are kept of each window; many of them overlap the best one."""


@dataclass(frozen=True)
class Inquiry:
    """A question to a text, given as pieces; what stands between pieces is not read."""

    question: str
    pieces: tuple[tuple[int, str], ...]
    """(where it begins in the whole text, the piece itself)."""


@dataclass(frozen=True)
class Span:
    """An answer: characters [start, end) of the whole text."""

    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class Reading:
    """What a model found for one inquiry."""

    spans: tuple[Span, ...]
    """The most probable ones that do not overlap, best first."""
    no_answer: float
    """Probability that the text does not answer the question."""


@dataclass(frozen=True)
class Window:
    """A question and a part of a piece, as token ids."""

    ids: list[int]
    types: list[int]
    offsets: list[tuple[int, int] | None]
    """Of tokens of the context, where they stand in the piece; None for the others."""


def windows(
    tokenizer: Any, question: str, context: str, longest: int, overlap: int
) -> Iterator[Window]:
    """`context` in windows of at most `longest` tokens with the question before each; neighbours
    share `overlap` tokens."""
    coded = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=longest,
        stride=overlap,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    for number, ids in enumerate(coded["input_ids"]):
        offsets = [
            tuple(place) if side == 1 else None
            for place, side in zip(
                coded["offset_mapping"][number], coded.sequence_ids(number), strict=True
            )
        ]
        types = coded["token_type_ids"][number] if "token_type_ids" in coded else [0] * len(ids)
        yield Window(list(ids), list(types), offsets)


def answer_spans(
    model: LoadedModel, inquiries: Sequence[Inquiry], *, count: int = 5, token_budget: int = 4096
) -> list[Reading]:
    """The `count` best spans for each inquiry. Windows of all inquiries are batched together by
    length.

    Raises WrongTask for a model without a head for answers, TooLong for a question that leaves no
    room.
    """
    if not type(model.module).__name__.endswith("ForQuestionAnswering"):
        raise WrongTask(
            f"{model.reference} ({model.family}) has no head that finds answers in a text"
        )
    cut = [_cut(model, inquiry) for inquiry in inquiries]
    flat = [(number, place) for number, parts in enumerate(cut) for place in range(len(parts))]
    scored: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
    for batch in bucketed([len(cut[number][place][1].ids) for number, place in flat], token_budget):
        chosen = [flat[i] for i in batch]
        scores = _scores(model, [cut[number][place][1] for number, place in chosen])
        scored |= dict(zip(chosen, scores, strict=True))
    return [
        _reading(
            inquiry,
            cut[number],
            [scored[number, place] for place in range(len(cut[number]))],
            count,
        )
        for number, inquiry in enumerate(inquiries)
    ]


def _cut(model: LoadedModel, inquiry: Inquiry) -> list[tuple[int, Window]]:
    """(number of the piece, window) for all windows of an inquiry."""
    longest = window_tokens(model)
    with (
        model.using_tokenizer() as tokenizer,
        boundary(f"the tokenizer of {model.reference}", "used"),
    ):
        fast_tokenizer(model, tokenizer)
        marks = tokenizer.num_special_tokens_to_add(pair=True)
        asked = len(
            tokenizer(inquiry.question, add_special_tokens=False, verbose=False)["input_ids"]
        )
        room = longest - marks - asked
        if room < LEAST_ROOM:
            raise TooLong(
                f"the question has {asked:,} tokens; {model.reference} reads {longest:,} at "
                "once, question and text together: ask a shorter one"
            )
        return [
            (number, window)
            for number, (_, piece) in enumerate(inquiry.pieces)
            for window in windows(
                tokenizer, inquiry.question, piece, longest, min(longest // 4, room // 2)
            )
        ]


def _scores(model: LoadedModel, batch: list[Window]) -> list[tuple[Tensor, Tensor]]:
    """(scores as start, scores as end) of each window's tokens, float32 on the CPU."""
    import torch

    inputs = model_inputs(
        model, [window.ids for window in batch], [window.types for window in batch]
    )
    with model.lock, torch.inference_mode():
        output = model.module(**inputs)
    starts, ends = output.start_logits.float().cpu(), output.end_logits.float().cpu()
    return [
        (starts[i, : len(window.ids)], ends[i, : len(window.ids)]) for i, window in enumerate(batch)
    ]


def _reading(
    inquiry: Inquiry, cut: list[tuple[int, Window]], scored: list[tuple[Tensor, Tensor]], count: int
) -> Reading:
    owner = _owners(cut)
    candidates: list[tuple[float, int, int]] = []
    totals, nothing = [], math.inf
    for place, ((piece, window), (starts, ends)) in enumerate(zip(cut, scored, strict=True)):
        nothing = min(nothing, (starts[0] + ends[0]).item())
        begin = inquiry.pieces[piece][0]
        mine = [
            i
            for i, at in enumerate(window.offsets)
            if at and at[1] > at[0] and owner[piece, at[0]][1] == place
        ]
        best, total = _band(starts, ends, window, mine)
        totals.append(total)
        candidates += [
            (score, begin + window.offsets[i][0], begin + window.offsets[j][1])
            for score, i, j in best
        ]
    if not candidates:
        return Reading((), 1.0)
    top = max(nothing, *totals)
    whole = top + math.log(math.exp(nothing - top) + sum(math.exp(total - top) for total in totals))
    spans: list[Span] = []
    for score, start, end in sorted(candidates, reverse=True):
        if all(end <= other.start or start >= other.end for other in spans):
            spans.append(Span(start, end, math.exp(score - whole)))
        if len(spans) == count:
            break
    return Reading(tuple(spans), math.exp(nothing - whole))


def _owners(cut: list[tuple[int, Window]]) -> dict[tuple[int, int], tuple[int, int]]:
    """(piece, character where a token begins) → (tokens around it there, number of the window that
    shows most of them)."""
    owner: dict[tuple[int, int], tuple[int, int]] = {}
    for place, (piece, window) in enumerate(cut):
        inside = [i for i, at in enumerate(window.offsets) if at]
        for i in inside:
            around = min(i - inside[0], inside[-1] - i)
            key = piece, window.offsets[i][0]
            if key not in owner or around > owner[key][0]:
                owner[key] = around, place
    return owner


def _band(
    starts: Tensor, ends: Tensor, window: Window, mine: list[int]
) -> tuple[list[tuple[float, int, int]], float]:
    """The best spans (score, first, last) that begin with a token of `mine`, and the log of the sum
    over all of them."""
    import torch

    inside = torch.tensor([at is not None for at in window.offsets])
    if not mine:
        return [], -math.inf
    first = torch.tensor(mine)[:, None]  # (M, 1)
    last = first + torch.arange(ANSWER_TOKENS)[None]  # (M, ANSWER_TOKENS)
    known = (last < len(window.ids)) & inside[last.clamp(max=len(window.ids) - 1)]
    scores = (starts[first] + ends[last.clamp(max=len(window.ids) - 1)]).masked_fill(
        ~known, -math.inf
    )
    best = scores.flatten().topk(min(_CANDIDATES, scores.numel()))
    found = [
        (score, mine[at // ANSWER_TOKENS], mine[at // ANSWER_TOKENS] + at % ANSWER_TOKENS)
        for score, at in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        if score > -math.inf
    ]
    return found, scores.logsumexp((0, 1)).item()
