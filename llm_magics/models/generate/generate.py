"""Sources -> the one best text of each, by whatever computes the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llm_magics.errors import InputError
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.generate.types import DecodeRequest, Generation, OnText, Source

__all__ = ["Generation", "count_tokens", "generate"]


def count_tokens(model: LoadedModel, texts: Sequence[str]) -> list[int]:
    """How many tokens each text has for this model, special tokens included, a word for the target
    language not."""
    return model.backend.count_tokens(model, texts)


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
    most = max_new_tokens if limits is None else max(limits, default=None)
    request = DecodeRequest(
        sources=sources,
        source_language=source_language,
        target_language=target_language,
        num_beams=max(num_beams, alternatives + 1),
        max_new_tokens=most if isinstance(most, int) else None,
        min_new_tokens=min_new_tokens,
        token_budget=token_budget,
        extra=dict(extra or {}),
        on_text=on_text,
        stop=stop,
        alternatives=alternatives,
        limits=limits,
    )
    for name, value in (
        ("num_beams", num_beams),
        ("token_budget", token_budget),
        ("max_new_tokens", request.max_new_tokens),
    ):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    return model.backend.generate(model, request)


def _limits(
    model: LoadedModel, sources: Sequence[Source], limits: int | Sequence[int] | None
) -> tuple[int, ...] | None:
    """One limit for each source, where each has its own."""
    if limits is None or isinstance(limits, int):
        return None
    if not model.backend.capabilities.limit_per_source:
        raise InputError(
            f"{model.reference} takes one max_new_tokens for all sources, not one for each"
        )
    if len(limits) != len(sources):
        raise InputError(
            f"{len(limits)} limits of new tokens for {len(sources)} sources: give one for all, or "
            "one for each"
        )
    if min(limits, default=1) < 1:
        raise InputError(f"max_new_tokens must be at least 1, not {min(limits)}")
    return tuple(limits)
