"""The optimizer a recipe names: the formulas of `nn.optimizers` for teaching, torch's AdamW for
work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from llm_magics.nn.optimizers import SGD, Adam, Momentum
from llm_magics.training.recipe.recipe import Optimizer

__all__ = ["MAKERS", "make_optimizer"]

MAKERS: dict[str, Callable[[list[dict[str, Any]], Optimizer], torch.optim.Optimizer]] = {
    "adamw": lambda groups, given: torch.optim.AdamW(
        groups, given.lr, betas=given.betas, fused=True
    ),
    "adam": lambda groups, given: Adam(groups, given.lr, betas=given.betas),
    "momentum": lambda groups, given: Momentum(groups, given.lr, momentum=given.momentum),
    "sgd": lambda groups, given: SGD(groups, given.lr),
}
"""Name in a recipe → what makes it, of groups of parameters and the recipe's settings."""


def make_optimizer(
    parameters: Iterable[torch.nn.Parameter], settings: Optimizer
) -> torch.optim.Optimizer:
    """The optimizer of this name; matrices decay, vectors (biases, norms) do not."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return MAKERS[settings.name](groups, settings)
