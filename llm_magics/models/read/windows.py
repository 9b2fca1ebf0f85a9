"""Texts as batches of windows for encoders: cut where they are longer than the model reads, batched
by length.

A window is a stretch of a text's tokens with the model's marks around it, and a second text behind
it where one is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_magics.errors import TooLong, WrongTask
from llm_magics.models.backends.base import NATIVE
from llm_magics.models.families import family_of
from llm_magics.models.folder.library_errors import boundary
from llm_magics.models.generate.batches import bucketed

if TYPE_CHECKING:
    from torch import Tensor

    from llm_magics.models.backends.loaded import LoadedModel

__all__ = [
    "LEAST_ROOM",
    "TextWindow",
    "cut",
    "fast_tokenizer",
    "model_inputs",
    "run_windows",
    "window_tokens",
]

LEAST_ROOM = 16
"""Tokens of the text that a window must hold beside what goes with it."""
_DEFAULT_LENGTH = 512


@dataclass(frozen=True)
class TextWindow:
    """A part of a text as token ids, marks included."""

    ids: list[int]
    types: list[int]
    offsets: list[tuple[int, int] | None]
    """Of tokens of the text, the characters [start, end) they are; None for marks and for the
    second text."""
    first: int
    """Number, among all tokens of the text, of the first one in this window."""

    @property
    def inside(self) -> list[int]:
        """Which of `ids` are tokens of the text."""
        return [i for i, place in enumerate(self.offsets) if place is not None]


def window_tokens(model: LoadedModel) -> int:
    """How many tokens `model` reads at once, marks included; at most 512."""
    longest = min(model.max_source_tokens or _DEFAULT_LENGTH, _DEFAULT_LENGTH)
    return longest - 2 if family_of(model.family).positions_after_padding else longest


def fast_tokenizer(model: LoadedModel, tokenizer: Any) -> Any:
    """`tokenizer`; raises WrongTask for one that does not know where in the text its tokens
    stand."""
    if not tokenizer.is_fast:
        raise WrongTask(
            f"the tokenizer of {model.reference} cannot tell where its tokens stand in the text"
        )
    return tokenizer


def cut(
    model: LoadedModel, text: str, second: str | None = None, *, overlap: int = 0
) -> list[TextWindow]:
    """`text` in windows, neighbours sharing `overlap` tokens, each with all of `second` behind it.

    Raises TooLong where `second` leaves no room, WrongTask for a tokenizer without offsets.
    """
    longest = window_tokens(model)
    with (
        model.using_tokenizer() as tokenizer,
        boundary(f"the tokenizer of {model.reference}", "used"),
    ):
        if model.backend.kind == NATIVE:
            return _native_windows(
                tokenizer.encode_source([text])[0], tokenizer.source_offsets(text), longest, overlap
            )
        fast_tokenizer(model, tokenizer)
        if second is not None:
            taken = len(tokenizer(second, add_special_tokens=False, verbose=False)["input_ids"])
            if (
                longest - taken - tokenizer.num_special_tokens_to_add(pair=True)
                < LEAST_ROOM + overlap
            ):
                raise TooLong(
                    f"{second[:60]!r} has {taken:,} tokens; {model.reference} reads {longest:,} "
                    "at once, the text included: make it shorter"
                )
        coded = tokenizer(
            text,
            second,
            truncation=True if second is None else "only_first",
            max_length=longest,
            stride=overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            verbose=False,
        )
        return _windows(coded, overlap)


def _windows(coded: Any, overlap: int) -> list[TextWindow]:
    found: list[TextWindow] = []
    first = 0
    for number, ids in enumerate(coded["input_ids"]):
        offsets = [
            tuple(place) if side == 0 else None
            for place, side in zip(
                coded["offset_mapping"][number], coded.sequence_ids(number), strict=True
            )
        ]
        types = coded["token_type_ids"][number] if "token_type_ids" in coded else [0] * len(ids)
        found.append(TextWindow(list(ids), list(types), offsets, first))
        first += len(found[-1].inside) - overlap
    return found


def _native_windows(
    ids: list[int], offsets: list[tuple[int, int]], longest: int, overlap: int
) -> list[TextWindow]:
    starts = range(0, max(1, len(ids) - overlap), longest - overlap)
    return [
        TextWindow(
            ids[at : at + longest],
            [0] * len(ids[at : at + longest]),
            list(offsets[at : at + longest]),
            at,
        )
        for at in starts
    ]


def model_inputs(
    model: LoadedModel, ids: list[list[int]], types: list[list[int]]
) -> dict[str, Tensor]:
    """Rows of token ids as what the module of a transformers model is called with, padded at their
    ends."""
    import torch

    def padded(rows: list[list[int]], fill: int) -> Tensor:
        longest = max(map(len, rows))
        return torch.tensor(
            [row + [fill] * (longest - len(row)) for row in rows], device=model.device
        )

    with model.using_tokenizer() as tokenizer:
        pad, names = tokenizer.pad_token_id or 0, tokenizer.model_input_names
    inputs = {
        "input_ids": padded(ids, pad),
        "attention_mask": padded([[1] * len(row) for row in ids], 0),
    }
    if "token_type_ids" in names:
        inputs["token_type_ids"] = padded(types, 0)
    return inputs


def run_windows(
    model: LoadedModel,
    windows: Sequence[TextWindow],
    read: Callable[[Any], Tensor],
    *,
    module: Any = None,
    per_token: bool = False,
    token_budget: int = 4096,
) -> list[Tensor]:
    """`read(output)` (B, …) of `module`, the model's own unless given, a row for each window:
    float32 on the CPU.

    With `per_token` a row has one entry for each token of its window, padding left out. Native
    models give their output itself to `read`.
    """
    import torch

    results: list[Any] = [None] * len(windows)
    for batch in bucketed([len(window.ids) for window in windows], token_budget):
        chosen = [windows[i] for i in batch]
        with model.lock, torch.inference_mode():
            if model.backend.kind == NATIVE:
                output = _native_output(model, chosen)
            else:
                inputs = model_inputs(
                    model, [window.ids for window in chosen], [window.types for window in chosen]
                )
                output = (module or model.module)(**inputs)
            rows = read(output).float().cpu()
        for i, window, row in zip(batch, chosen, rows, strict=True):
            results[i] = row[: len(window.ids)] if per_token else row
    return results


def _native_output(model: LoadedModel, chosen: list[TextWindow]) -> Tensor:
    import torch

    longest, pad = max(len(window.ids) for window in chosen), model.tokenizer.special["pad"]
    ids = torch.tensor(
        [window.ids + [pad] * (longest - len(window.ids)) for window in chosen], device=model.device
    )
    return model.module(ids, ids == pad)
