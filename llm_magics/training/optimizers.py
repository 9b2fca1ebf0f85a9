"""The optimizer a recipe names."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from llm_magics.training.recipe import Optimizer

__all__ = ["make_optimizer"]


def make_optimizer(parameters: Iterable[torch.nn.Parameter], settings: Optimizer) -> torch.optim.Optimizer:
    """torch's optimizer of this name; matrices decay, vectors (biases, norms) do not."""
    parameters = list(parameters)
    groups = [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": settings.weight_decay},
              {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0}]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr)
    if settings.name == "momentum":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    cls = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return cls(groups, lr=settings.lr, betas=settings.betas, fused=True)
