"""What a backend is asked for and what it answers; plain data, without torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_magics.models.generate.sampling import SamplingParams

__all__ = [
    "INTERRUPTED",
    "LENGTH",
    "MODEL_END",
    "STOP_STRING",
    "Continuation",
    "DecodeRequest",
    "Generation",
    "OnCandidate",
    "OnText",
    "SampleRequest",
    "SamplingOptions",
    "Source",
    "Throttle",
    "different",
]

MODEL_END, LENGTH, STOP_STRING, INTERRUPTED = "end", "length", "stop string", "interrupted"
"""Why a text ended."""
STREAM_EVERY_S = 0.1
STREAM_SHARE = 0.02
_RARELY = 20

Source = str | Sequence[Mapping[str, str]]
"""A text as it stands, or, for a chat model, messages: [{"role": "user", "content": "..."}]."""
OnText = Callable[[int, str, bool], None]
"""(number of the source, its text so far, whether that is the end)."""
OnCandidate = Callable[[int, int, str], None]
"""(number of the source, of the candidate, its text so far)."""


@dataclass(frozen=True)
class DecodeRequest:
    """The one best text of every source: translations, summaries, answers."""

    sources: Sequence[Source]
    source_language: str | None = None
    """A code of the catalogue, as `target_language`."""
    target_language: str | None = None
    num_beams: int = 1
    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    token_budget: int = 2048
    """Source tokens that are computed at once, for backends that compute here."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further settings, by their names in transformers' GenerationConfig."""
    on_text: OnText | None = None
    stop: Callable[[], bool] | None = None
    alternatives: int = 0
    """How many hypotheses of the beam search are wanted beside the best one."""
    limits: tuple[int, ...] | None = None
    """New tokens at most of each source of the call, where they have limits of their own; the
    longest is `max_new_tokens`."""
    forced_bos: int | None = None
    """The token that names the target language to the decoder; the backend fills it in."""

    def limits_of(self, positions: Sequence[int]) -> list[int] | None:
        """The own limits of the sources at these positions, None where all have the same."""
        return None if self.limits is None else [self.limits[position] for position in positions]

    def stopped(self) -> bool:
        """Whether the caller wants no more."""
        return self.stop is not None and self.stop()


@dataclass(frozen=True)
class Generation:
    """What a model wrote for one source."""

    text: str
    token_ids: tuple[int, ...] = ()
    """The tokens written, without those that start, end or pad; a language token at the front
    stays."""
    n_source_tokens: int = 0
    n_new_tokens: int = 0
    """How many tokens were computed, the ending one included."""
    finished: bool = True
    """False when `stop` ended it before the model or the limit did."""
    alternatives: tuple[str, ...] = ()
    """Other texts that the beam search reached, best first, none of them twice."""


@dataclass(frozen=True)
class SamplingOptions:
    """How texts go on from prompts, the same for all of them."""

    params: SamplingParams = field(default_factory=SamplingParams)
    max_new_tokens: int = 256
    stops: tuple[str, ...] = ()
    """The text ends before the first of these."""
    count: int = 1
    """Candidates for each prompt."""


@dataclass(frozen=True)
class SampleRequest:
    """Candidates that go on from prompts."""

    sources: Sequence[Source]
    options: SamplingOptions
    seeds: Sequence[int]
    """One for each source."""
    on_text: OnCandidate | None = None
    stop: Callable[[], bool] | None = None

    def stopped(self) -> bool:
        """Whether the caller wants no more."""
        return self.stop is not None and self.stop()


@dataclass(frozen=True)
class Continuation:
    """One candidate."""

    text: str
    """What was written, without the prompt and without the stop string."""
    finish: str
    """Why it ended: "end" (the model said so), "length", "stop string" or "interrupted"."""
    n_tokens: int
    """Tokens computed, an ending one and those of a stop string included."""
    stopped_by: str = ""
    """The stop string."""


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
