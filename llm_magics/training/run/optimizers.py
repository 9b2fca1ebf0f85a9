"""The optimizer a recipe names: the formulas of `nn.optimizers` for teaching, torch's AdamW for
work."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from llm_magics.nn.optimizers import SGD, Adam, Momentum
from llm_magics.training.recipe.recipe import Optimizer

__all__ = ["make_optimizer"]


def make_optimizer(
    parameters: Iterable[torch.nn.Parameter], settings: Optimizer
) -> torch.optim.Optimizer:
    """The optimizer of this name; matrices decay, vectors (biases, norms) do not."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if settings.name == "sgd":
        return SGD(groups, settings.lr)
    if settings.name == "momentum":
        return Momentum(groups, settings.lr, momentum=settings.momentum)
    if settings.name == "adam":
        return Adam(groups, settings.lr, betas=settings.betas)
    return torch.optim.AdamW(groups, settings.lr, betas=settings.betas, fused=True)
