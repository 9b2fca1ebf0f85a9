"""Learning-rate schedules: the factor on the recipe's rate at each step."""

from __future__ import annotations

import math

from llm_magics.training.recipe.recipe import Schedule

__all__ = ["factor"]

_START, _END = (
    1 / 25,
    1e-4,
)  # of a one-cycle schedule, as in Smith & Topin's experiments and torch's OneCycleLR


def factor(schedule: Schedule, step: int, total_steps: int) -> float:
    """The factor at `step` (1 is the first): a linear warm-up to 1, then

    constant      1
    linear        1 - progress                 from 1 to 0 at the last step
    inverse_sqrt  √(warmup / step)             (Vaswani et al. 2017, section 5.3, scaled to 1 at the peak)
    cosine        (1 + cos(π · progress)) / 2  from 1 to 0.01 of the rate (Loshchilov & Hutter 2017)

    or one_cycle: 1/25 to 1 over the first 30 % of the steps, then to 1/10,000, both along a cosine
    (Smith & Topin 2018); it has no other warm-up. A short training warms up for a quarter of its
    steps at most, so that it reaches the rate.
    """  # noqa: E501  a table or a pattern
    if schedule.kind == "one_cycle":
        return _one_cycle(step, total_steps)
    warmup = max(
        1, min(schedule.warmup_steps, total_steps // 4) if total_steps else schedule.warmup_steps
    )
    if step < warmup:
        return step / warmup
    progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    if schedule.kind == "inverse_sqrt":
        return math.sqrt(warmup / step)
    if schedule.kind == "cosine":
        return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
    if schedule.kind == "linear":
        return 1 - progress
    return 1.0


def _one_cycle(step: int, total_steps: int) -> float:
    up = max(1.0, 0.3 * total_steps)
    if step <= up:
        return _between(_START, 1.0, (step - 1) / max(1.0, up - 1))
    return _between(1.0, _END, min(1.0, (step - up) / max(1.0, total_steps - up)))


def _between(start: float, end: float, share: float) -> float:
    """From `start` at share 0 to `end` at share 1, along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
