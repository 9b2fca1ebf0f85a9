"""Learning-rate schedules: the factor on the recipe's rate at each step."""

from __future__ import annotations

import math

from llm_magics.training.recipe import Schedule

__all__ = ["factor"]


def factor(schedule: Schedule, step: int, total_steps: int) -> float:
    """The factor at `step` (1 is the first): a linear warm-up to 1, then

    constant      1
    inverse_sqrt  √(warmup / step)            (Vaswani et al. 2017, section 5.3, scaled to 1 at the peak)
    cosine        (1 + cos(π · progress)) / 2  from 1 to 0.01 of the rate (Loshchilov & Hutter 2017)
    """
    warmup = max(1, schedule.warmup_steps)
    if step < warmup:
        return step / warmup
    if schedule.kind == "inverse_sqrt":
        return math.sqrt(warmup / step)
    if schedule.kind == "cosine":
        progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
    return 1.0
