"""How good a model is on held-out rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from llm_magics.training.objectives.base import Objective

__all__ = ["evaluation_mode", "held_out_figures", "loss_of"]


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """No dropout and no gradients; the model's mode is put back afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def loss_of(objective: Objective, model: nn.Module, part: str = "validation") -> float:
    """The mean loss over the targets of all rows of a part; 0 where there are none."""
    total, count = 0.0, 0
    with evaluation_mode(model):
        for batch in objective.fixed_batches(part):
            total, count = (
                total + objective.loss(model, objective.tensors(batch)).item(),
                count + objective.targets(batch),
            )
    return total / max(1, count)


def held_out_figures(objective: Objective, model: nn.Module) -> tuple[str, dict[str, float]]:
    """The final figures and the part they are of: the test rows, or the validation rows where there
    are none."""
    part = "test" if objective.corpus.test else "validation"
    wanted = objective.final_metrics
    with evaluation_mode(model):
        predictions = objective.predict(model, part, beams=objective.recipe.evaluation.beams)
        loss = loss_of(objective, model, part) if {"perplexity", "loss"} & set(wanted) else None
    return part, objective.figures(wanted, predictions, objective.expected(part), loss)
