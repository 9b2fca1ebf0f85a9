"""The next token: the most probable one, or one drawn from the likely ones by numbers that belong
to this text alone.

    u ~ U(0, 1) of the text's own stream;  token = min {v : Σ_{w ≤ v} P'(w) ≥ u},
    P' = softmax(logits / temperature) after `nn.decoding.keep_likely`

Drawing by inversion needs one number a token, so a seed gives the same text on every device,
whatever else in the process draws from torch's generators meanwhile, and however many texts are
written beside it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_magics.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RandomStreams", "SamplingParams", "choose_tokens"]

MOST_TEMPERATURE = 10.0


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is chosen. Raises InputError for values without meaning."""

    temperature: float = 0.0
    """0: always the most probable token. Below 1 the likely tokens become likelier."""
    top_p: float = 1.0
    """Draw from the smallest set of tokens whose probabilities add up to so much (Holtzman et al.
    2020)."""
    top_k: int = 0
    """Draw from so many of the likeliest tokens; 0: from all."""

    def __post_init__(self) -> None:
        if not _is_number(self.temperature) or not 0 <= self.temperature <= MOST_TEMPERATURE:
            raise InputError(
                f"temperature must be a number from 0 to {MOST_TEMPERATURE:g}, not "
                f"{self.temperature!r}"
            )
        if not _is_number(self.top_p) or not 0 < self.top_p <= 1:
            raise InputError(f"top_p must be a number above 0 and up to 1, not {self.top_p!r}")
        if isinstance(self.top_k, bool) or not isinstance(self.top_k, int) or self.top_k < 0:
            raise InputError(f"top_k must be a whole number from 0 on, not {self.top_k!r}")

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is left to chance."""
        return self.temperature == 0


class RandomStreams:
    """A stream of numbers for each text that is written; `streams` are what sets them apart, such
    as (seed, candidate)."""

    def __init__(self, streams: Sequence[tuple[int, ...]]) -> None:
        # From text: `random` hashes it the same way on every machine, where a tuple's hash is no
        # promise.
        self._streams = [random.Random(" ".join(map(str, stream))) for stream in streams]

    def draw(self, places: Sequence[int]) -> list[float]:
        """One number in [0, 1) for each of these texts."""
        return [self._streams[place].random() for place in places]


def choose_tokens(
    logits: Tensor, params: SamplingParams, streams: RandomStreams, places: Sequence[int]
) -> Tensor:
    """The next token of each text: logits (B, V) → ids (B,); `places` are the numbers of these
    texts among the streams."""
    import torch

    from llm_magics.nn.decoding import keep_likely

    if params.is_greedy:
        return logits.argmax(-1)
    likely = keep_likely(
        logits.float() / params.temperature, top_k=params.top_k, top_p=params.top_p
    )
    # In float64: a float32 sum over 150,000 tokens is off by more than the rare ones' probability.
    below = likely.softmax(-1).double().cumsum(-1)  # (B, V)
    drawn = torch.tensor(streams.draw(places), dtype=torch.float64, device=logits.device)[
        :, None
    ]  # (B, 1)
    chosen = torch.searchsorted(below, drawn * below[:, -1:], right=True)[:, 0]  # (B,)
    return chosen.clamp(max=logits.shape[-1] - 1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
