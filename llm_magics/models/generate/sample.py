"""Prompts -> texts that go on from them: drawn or most probable tokens, several candidates, until a
stop string.

What `models.generate.generate` does for translations and summaries, one best text each, is done
here for text that is open: every candidate has its own stream of random numbers, ends by itself,
and says why it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.generate.types import (
    Continuation,
    OnCandidate,
    SampleRequest,
    SamplingOptions,
    Source,
)

__all__ = ["continue_texts"]


def continue_texts(
    model: LoadedModel,
    sources: Sequence[Source],
    options: SamplingOptions,
    *,
    seeds: Sequence[int],
    on_text: OnCandidate | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[list[Continuation]]:
    """The candidates of every source, in their order. A source is a text, or messages for a chat
    model.

    `seeds` has a seed for each source; candidate c of a source is the same however many candidates
    or sources are written beside it (but for the rounding of a batch). `on_text(source, candidate,
    text so far)` is called about ten times a second; `stop()` is asked before every token, and what
    there is then comes back as "interrupted".

    Raises WrongTask for encoders and translators, TooLong, InputError, or DoesNotFit.
    """
    return model.backend.sample(model, SampleRequest(sources, options, seeds, on_text, stop))
