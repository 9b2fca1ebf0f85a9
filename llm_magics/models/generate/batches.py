"""Batches of sources of similar length, one by one through a model that is computed here; smaller
ones when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llm_magics.errors import DoesNotFit, WrongTask
from llm_magics.models.folder.library_errors import is_out_of_memory
from llm_magics.models.generate.types import DecodeRequest, Generation

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["DecodeBatch", "bucketed", "check_writes", "generate_in_batches", "halves"]

DecodeBatch = Callable[["LoadedModel", list[list[int]], list[int], DecodeRequest], list[Generation]]
"""(model, token ids of each source, their numbers in the request, the request) -> their texts."""


def bucketed(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Positions of `lengths` in batches of at most `token_budget` tokens, padding included; longest
    batch first.

    A sentence longer than the budget is a batch of its own. Longest first: what does not fit into
    memory fails at once, not at the end.
    """
    batches: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        batch = batches[-1] if batches else None
        if batch is None or (len(batch) + 1) * max(1, lengths[batch[0]]) > token_budget:
            batches.append([position])
        else:
            batch.append(position)
    return batches


def check_writes(model: LoadedModel) -> None:
    """Raises WrongTask for an encoder."""
    if model.kind == "encoder":
        raise WrongTask(f"{model.reference} ({model.family}) encodes text, it does not write any")


def generate_in_batches(
    model: LoadedModel, request: DecodeRequest, ids: list[list[int]], decode_batch: DecodeBatch
) -> list[Generation]:
    """A Generation for each of `ids`, the token ids of the request's sources. Raises DoesNotFit
    when one alone needs too much memory."""
    results: dict[int, Generation] = {}
    pending = bucketed([len(tokens) for tokens in ids], request.token_budget)
    while pending and not request.stopped():
        batch = pending.pop(0)
        done = _attempt(model, [ids[index] for index in batch], batch, request, decode_batch)
        if done is None:  # out of memory
            pending[:0] = halves(model, batch, f"text {batch[0] + 1}, alone in its batch")
            continue
        results |= dict(zip(batch, done, strict=True))
    return [
        results.get(index) or Generation("", (), len(ids[index]), 0, False)
        for index in range(len(ids))
    ]


def _attempt(
    model: LoadedModel,
    ids: list[list[int]],
    batch: list[int],
    request: DecodeRequest,
    decode_batch: DecodeBatch,
) -> list[Generation] | None:
    """The batch's results, None when it does not fit into memory. Frames and tensors of a failure
    are gone then."""
    try:
        with model.lock:
            done = decode_batch(model, ids, batch, request)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None
    if request.on_text is not None:
        for index, generation in zip(batch, done, strict=True):
            request.on_text(index, generation.text, True)
    return done


def halves(model: LoadedModel, batch: list[int], alone: str) -> list[list[int]]:
    """The two halves of a batch that did not fit. Raises DoesNotFit for one that is a single text,
    which the message calls `alone`."""
    from llm_magics.models.manager.device import empty_cache

    if len(batch) == 1:
        raise DoesNotFit(
            f"{model.device} has too little memory left for {alone}: unload other models with "
            "%models, write fewer tokens, or use a smaller model"
        )
    empty_cache(model.device)
    middle = (len(batch) + 1) // 2
    return [batch[:middle], batch[middle:]]
