"""The probability of every token of a text, and what the model would rather have said.

    causal   P(x_t | x_<t) = softmax(logits_{t-1})[x_t];  surprisal -log₂ P, in bits (Shannon 1948)
    masked   P(x_t | x without t) = softmax(logits_t)[x_t], the token at t replaced by the mask: the terms of the
             pseudo-log-likelihood (Salazar et al. 2020, "Masked Language Model Scoring")

perplexity = exp(-1/T Σ_t ln P(x_t)).
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_magics.errors import WrongTask
from llm_magics.models.backends.base import NATIVE
from llm_magics.models.folder.library_errors import boundary

if TYPE_CHECKING:
    from torch import Tensor

    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["Candidate", "Scored", "ScoredToken", "score_tokens"]

_WINDOW = 512
"""Tokens that are read at once; of a longer text each window after the first begins with half of
the one before."""
_ROWS = 16
"""Copies of a text, each with one token masked, in one pass."""
_CONTEXT = 6
"""Tokens before a candidate that decide how it is written."""


@dataclass(frozen=True)
class Candidate:
    """A token that could stand at a place."""

    text: str
    """As it would be appended to the text before it, a space at the front included."""
    probability: float
    token_id: int
    is_text: bool = True
    """False for a mark such as the one that ends a text."""


@dataclass(frozen=True)
class ScoredToken:
    """A token of the text: characters [start, end)."""

    text: str
    start: int
    end: int
    probability: float | None
    """Of this token at its place; None for a first token that nothing stands before, and for
    masks."""
    rank: int | None
    """How many tokens the model finds more probable, from 0."""
    candidates: tuple[Candidate, ...]
    """The most probable tokens for this place, best first."""

    @property
    def surprisal_bits(self) -> float | None:
        """-log₂ of the probability."""
        return None if self.probability is None else -math.log2(max(self.probability, 1e-30))


@dataclass(frozen=True)
class Scored:
    """A text with the probabilities of its tokens."""

    tokens: tuple[ScoredToken, ...]
    next: tuple[Candidate, ...]
    """What would come after the text; empty for a masked model."""
    masks: tuple[int, ...] = ()
    """Which of `tokens` are masks; their candidates are what they could stand for."""
    is_masked: bool = False
    """Whether the model fills in masks."""


def score_tokens(
    model: LoadedModel, text: str, *, count: int = 10, stop: Callable[[], bool] | None = None
) -> Scored:
    """Scores every token of `text` with the `count` best candidates for its place.

    With a masked model and masks in the text only the masks are filled in. Once `stop()` is true
    the rest of the tokens stay without scores. Raises WrongTask for a model that predicts no
    tokens.
    """
    name = type(model.module).__name__
    masked = name.endswith("ForMaskedLM") or name == "MaskedLanguageModel"
    if not masked and model.kind != "causal":
        raise WrongTask(
            f"{model.reference} ({model.family}) predicts no next word; choose a language model, "
            "such as GPT-2, or a BERT for masked words"
        )
    reader = _Reader(model, text)
    places = (_masked if masked else _causal)(reader, stop)
    found: dict[int, tuple[float | None, int | None, tuple[Candidate, ...]]] = {}
    for at, logits, actual in places:
        found[at] = reader.judged(at, logits, actual, count)
    following = found.pop(len(reader.ids), (None, None, ()))[2]
    tokens = tuple(
        ScoredToken(text[start:end], start, end, *found.get(at, (None, None, ())))
        for at, (start, end) in enumerate(_apart(reader.offsets))
    )
    masks = (
        tuple(at for at, token in enumerate(reader.ids) if token == reader.mask) if masked else ()
    )
    return Scored(tokens, following, masks, masked)


def _apart(offsets: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Offsets that do not overlap: the mark of a word's beginning and the bytes of one character
    share one with a neighbour."""
    reached = 0
    for start, end in offsets:
        reached, start = max(reached, end), max(reached, start)
        yield start, max(start, end)


class _Reader:
    """A text as token ids of one model, without marks at its ends, and tokens as text."""

    def __init__(self, model: LoadedModel, text: str) -> None:
        self.model = model
        self.front: list[int] = []
        self.back: list[int] = []
        with (
            model.using_tokenizer() as tokenizer,
            boundary(f"the tokenizer of {model.reference}", "used"),
        ):
            if model.backend.kind == NATIVE:
                self.ids, self.offsets = (
                    tokenizer.encode_source([text])[0][:-1],
                    tokenizer.source_offsets(text)[:-1],
                )
                special = (
                    tokenizer.special
                )  # a language model of ours has read texts with an end mark between them
                self.mask, self.front = (
                    special.get("mask"),
                    [special["eos"]] if model.kind == "causal" else [],
                )
            else:
                self._read(tokenizer, text)
            self.special = frozenset(
                tokenizer.special.values()
                if model.backend.kind == NATIVE
                else tokenizer.all_special_ids
            )
        self.limit = min(model.context_tokens or _WINDOW, _WINDOW)

    def _read(self, tokenizer: Any, text: str) -> None:
        if not tokenizer.is_fast:
            raise WrongTask(
                f"the tokenizer of {self.model.reference} cannot tell where its tokens stand in "
                "the text"
            )
        coded = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        self.ids, self.offsets = (
            list(coded["input_ids"]),
            [tuple(place) for place in coded["offset_mapping"]],
        )
        self.mask = tokenizer.mask_token_id
        marked = list(tokenizer("", verbose=False)["input_ids"])
        if self.model.kind == "causal":
            start = tokenizer.bos_token_id
            self.front = marked or ([] if start is None else [start])
        else:
            self.front, self.back = marked[: len(marked) // 2], marked[len(marked) // 2 :]

    def logits(self, rows: list[list[int]]) -> Tensor:
        """(B, T, V) float32 on the CPU."""
        import torch

        ids = torch.tensor(rows, device=self.model.device)
        with self.model.lock, torch.inference_mode():
            output = (
                self.model.module(ids)
                if self.model.backend.kind == NATIVE
                else self.model.module(input_ids=ids).logits
            )
        return output.float().cpu()

    def judged(
        self,
        at: int,
        logits: Tensor,
        actual: int | None,
        count: int,
    ) -> tuple[float | None, int | None, tuple[Candidate, ...]]:
        """(probability of `actual`, its rank, best candidates) from the logits (V,) of one
        place."""
        probabilities = logits.softmax(-1)
        best = probabilities.topk(min(count, len(probabilities)))
        candidates = tuple(
            Candidate(self.written(at, token), probability, token, token not in self.special)
            for probability, token in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )
        if actual is None:
            return None, None, candidates
        mine = probabilities[actual].item()
        return mine, int((probabilities > mine).sum()), candidates

    def written(self, at: int, token: int) -> str:
        """The token as it would be appended to the text before place `at`."""
        before = self.ids[max(0, at - _CONTEXT) : at]
        base, longer = self.decoded(before), self.decoded([*before, token])
        if longer.startswith(base) and len(longer) > len(base):
            return longer[len(base) :]
        return self.decoded([token]) or self.name(token)

    def decoded(self, ids: Sequence[int]) -> str:
        if self.model.backend.kind == NATIVE:
            return self.model.tokenizer.decode_source(ids)
        return self.model.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)

    def name(self, token: int) -> str:
        """How the vocabulary writes the token."""
        if self.model.backend.kind == NATIVE:
            return self.model.tokenizer.source_tokens([token])[0]
        return str(self.model.tokenizer.convert_ids_to_tokens(token))


_Place = tuple[int, "Tensor", "int | None"]
"""(number of the token, or how many there are for what follows; logits (V,); the token that stands
there or None)."""


def _causal(reader: _Reader, stop: Callable[[], bool] | None) -> Iterator[_Place]:
    ids, front = reader.ids, reader.front
    room = reader.limit - len(front)
    begin, done = 0, 0 if front else 1
    while True:
        window = ids[begin : begin + room]
        logits = reader.logits([[*front, *window]])[0] if front or window else None
        if logits is None:
            return
        for at in range(max(done, begin), begin + len(window) + 1):
            place = at - begin + len(front) - 1  # where the token before stands
            if place >= 0:
                yield at, logits[place], ids[at] if at < begin + len(window) else None
        done = begin + len(window)
        if done == len(ids) or (stop is not None and stop()):
            return
        begin = done - room // 2


def _masked(reader: _Reader, stop: Callable[[], bool] | None) -> Iterator[_Place]:
    if reader.mask is None:
        raise WrongTask(f"the tokenizer of {reader.model.reference} has no mask")
    ids, room = reader.ids, reader.limit - len(reader.front) - len(reader.back)
    wanted = [at for at, token in enumerate(ids) if token == reader.mask] or list(range(len(ids)))
    for first in range(0, len(wanted), _ROWS):
        if stop is not None and stop():
            return
        rows, places = [], []
        for at in wanted[first : first + _ROWS]:
            begin = max(0, min(at - room // 2, len(ids) - room))
            window = list(ids[begin : begin + room])
            window[at - begin] = reader.mask
            rows.append([*reader.front, *window, *reader.back])
            places.append(at - begin + len(reader.front))
        logits = reader.logits(rows)
        for row, (at, place) in enumerate(zip(wanted[first : first + _ROWS], places, strict=True)):
            yield at, logits[row, place], None if ids[at] == reader.mask else ids[at]
