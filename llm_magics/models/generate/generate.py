"""Sources -> generated texts: bucketed batches, streaming, stopping, and smaller batches when
memory runs out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llm_magics.errors import DoesNotFit, InputError, WrongTask
from llm_magics.models.backends.engine import CTRANSLATE2
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.backends.openai.model import generate_remote
from llm_magics.models.generate.batches import bucketed
from llm_magics.models.generate.encoding import Source, count_tokens, encode_sources, forced_bos

__all__ = ["Generation", "count_tokens", "generate"]

STREAM_EVERY_S = 0.1
STREAM_SHARE = 0.02
_RARELY = 20
OnText = Callable[[int, str, bool], None]


@dataclass(frozen=True)
class Generation:
    """What a model wrote for one source."""

    text: str
    token_ids: tuple[int, ...]
    """The tokens written, without those that start, end or pad; a language token at the front
    stays."""
    n_source_tokens: int
    n_new_tokens: int
    """How many tokens were computed, the ending one included."""
    finished: bool = True
    """False when `stop` ended it before the model or the limit did."""
    alternatives: tuple[str, ...] = ()
    """Other texts that the beam search reached, best first, none of them twice."""


@dataclass(frozen=True)
class Request:
    """What `generate` was asked for, the same for every batch."""

    num_beams: int
    max_new_tokens: int | None
    min_new_tokens: int | None
    forced_bos: int | None
    extra: dict[str, Any]
    on_text: OnText | None
    stop: Callable[[], bool] | None
    alternatives: int = 0
    """How many hypotheses of the beam search are wanted beside the best one."""
    limits: tuple[int, ...] | None = None
    """New tokens at most of each source of the call, where they have limits of their own; the
    longest is `max_new_tokens`."""

    def limits_of(self, positions: Sequence[int]) -> list[int] | None:
        """The own limits of the sources at these positions, None where all have the same."""
        return None if self.limits is None else [self.limits[position] for position in positions]

    def stopped(self) -> bool:
        """Whether the caller wants no more."""
        return self.stop is not None and self.stop()


def generate(
    model: LoadedModel,
    sources: Sequence[Source],
    *,
    source_language: str | None = None,
    target_language: str | None = None,
    max_new_tokens: int | Sequence[int] | None = None,
    min_new_tokens: int | None = None,
    num_beams: int = 1,
    token_budget: int = 2048,
    on_text: OnText | None = None,
    stop: Callable[[], bool] | None = None,
    extra: dict[str, Any] | None = None,
    alternatives: int = 0,
) -> list[Generation]:
    """One Generation per source, in the order of the sources.

    Sources of similar length are computed together, at most `token_budget` source tokens at once.
    Languages are codes of the catalogue ("de"). `max_new_tokens` is one limit for all, or for
    models of transformers one for each. Greedy unless `num_beams` > 1; `extra` holds further
    settings of transformers' GenerationConfig, such as {"do_sample": True, "temperature": 0.7}.
    With `alternatives` N the search has at least N + 1 beams, and each Generation up to N further
    texts. `on_text(index, text_so_far, is_final)` is called at most ten times a second per batch,
    and once at the end of every source. `stop()` is asked before every token: once true, what there
    is comes back, with `finished` False.

    Raises WrongTask, UnknownLanguage, TooLong, InputError, or DoesNotFit when one source alone
    needs too much.
    """
    limits = _limits(model, sources, max_new_tokens)
    max_new_tokens = max_new_tokens if limits is None else max(limits, default=None)
    if model.is_remote:
        return generate_remote(
            model,
            sources,
            max_new_tokens=max_new_tokens,
            extra=extra,
            on_text=on_text,
            stop=stop,
            num_beams=max(num_beams, alternatives + 1),
        )
    if model.kind == "encoder":
        raise WrongTask(f"{model.reference} ({model.family}) encodes text, it does not write any")
    if model.is_house and model.kind == "causal":
        raise WrongTask(
            f"{model.reference} is a small language model trained here: it continues text "
            "and "
            "follows no request"
        )
    if model.is_house and extra:
        raise WrongTask(f"{model.reference} does not sample; leave out {', '.join(extra)}")
    for name, value in (
        ("num_beams", num_beams),
        ("token_budget", token_budget),
        ("max_new_tokens", max_new_tokens),
    ):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    ids = encode_sources(model, sources, source_language, target_language)
    request = Request(
        max(num_beams, alternatives + 1),
        max_new_tokens,
        min_new_tokens,
        forced_bos(model, target_language),
        dict(extra or {}),
        on_text,
        stop,
        alternatives,
        limits,
    )
    results: dict[int, Generation] = {}
    pending = bucketed([len(tokens) for tokens in ids], token_budget)
    while pending and not request.stopped():
        batch = pending.pop(0)
        done = _attempt(model, [ids[index] for index in batch], batch, request)
        if done is None:  # out of memory
            pending[:0] = _halves(model, batch)
            continue
        results |= dict(zip(batch, done, strict=True))
    return [
        results.get(index) or Generation("", (), len(ids[index]), 0, False)
        for index in range(len(ids))
    ]


def _limits(
    model: LoadedModel, sources: Sequence[Source], limits: int | Sequence[int] | None
) -> tuple[int, ...] | None:
    """One limit for each source, where each has its own."""
    if limits is None or isinstance(limits, int):
        return None
    if model.is_remote or model.is_house:
        raise InputError(
            f"{model.reference} takes one max_new_tokens for all sources, not one for each"
        )
    if len(limits) != len(sources):
        raise InputError(
            f"{len(limits)} limits of new tokens for {len(sources)} sources: give one for "
            "all, "
            "or one for each"
        )
    if min(limits, default=1) < 1:
        raise InputError(f"max_new_tokens must be at least 1, not {min(limits)}")
    return tuple(limits)


def _attempt(
    model: LoadedModel, ids: list[list[int]], batch: list[int], request: Request
) -> list[Generation] | None:
    """The batch's results, None when it does not fit into memory. Frames and tensors of a failure
    are gone then."""
    from llm_magics.models.folder.library_errors import is_out_of_memory

    try:
        with model.lock:
            done = _decoder(model)(model, ids, batch, request)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None
    if request.on_text is not None:
        for index, generation in zip(batch, done, strict=True):
            request.on_text(index, generation.text, True)
    return done


def _decoder(model: LoadedModel) -> Callable[..., list[Generation]]:
    from llm_magics.models.backends import hf_decode as decode_transformers
    from llm_magics.models.backends import native_decode as decode_house

    if model.engine == CTRANSLATE2:
        from llm_magics.models.backends.ctranslate2 import (
            decode as decode_ctranslate2,
        )  # brings nothing heavy, but is for the few

        return decode_ctranslate2.decode_batch
    return decode_house.decode_batch if model.is_house else decode_transformers.decode_batch


def _halves(model: LoadedModel, batch: list[int]) -> list[list[int]]:
    from llm_magics.models.manager.device import empty_cache

    if len(batch) == 1:
        raise DoesNotFit(
            f"{model.device} has too little memory left for text {batch[0] + 1}, alone in its "
            "batch: "
            "unload other models with %models, or use a smaller one"
        )
    empty_cache(model.device)
    middle = (len(batch) + 1) // 2
    return [batch[:middle], batch[middle:]]


def different(best: str, others: Sequence[str]) -> tuple[str, ...]:
    """Those of `others` that are neither `best` nor one before; white space around them does not
    count."""
    texts = dict.fromkeys(text.strip() for text in others)
    return tuple(text for text in texts if text and text != best.strip())


class Throttle:
    """Lets through at most every STREAM_EVERY_S seconds, and less often where a report costs
    much."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()
        self._pause_s = STREAM_EVERY_S

    def due(self) -> bool:
        """Whether it is time again."""
        now = time.monotonic()
        if now - self._last_s < self._pause_s:
            return False
        self._last_s = now
        return True

    def spent(self) -> None:
        """The report that was due is made: the next one waits until it would cost at most
        STREAM_SHARE of the time."""
        cost_s = time.monotonic() - self._last_s
        self._pause_s = min(max(STREAM_EVERY_S, cost_s / STREAM_SHARE), _RARELY * STREAM_EVERY_S)
