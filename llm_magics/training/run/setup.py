"""From a recipe to everything a training needs: the objective with its rows and model, the
optimizer, the steps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from llm_magics.display.progress import counted
from llm_magics.training.data.corpus import Corpus, load_corpus
from llm_magics.training.objectives import objective_class
from llm_magics.training.objectives.base import Objective
from llm_magics.training.recipe.recipe import Recipe, Schedule
from llm_magics.training.run.optimizers import make_optimizer
from llm_magics.training.runs import warm_start
from llm_magics.training.runs.runs import Run

__all__ = ["Given", "Setup", "prepare", "steps_of"]

_FEW_STEPS = 50
"""Fewer than these are told about: hardly anything is learnt in them."""


@dataclass(frozen=True)
class Given:
    """What a run uses that no file holds: objects of a notebook, and the model that translates
    back."""

    data: Mapping[str, Any] = field(default_factory=dict)
    """"train", "validation", "test" → a data frame, dataset or list."""
    module: Any = None
    """The module to train (task = "custom")."""
    loss: Any = None
    """From (output, target) to a scalar (task = "custom")."""
    translate_back: Callable[[list[str]], list[str]] | None = None


@dataclass
class Setup:
    """What the loop works on."""

    recipe: Recipe
    device: torch.device
    objective: Objective
    optimizer: torch.optim.Optimizer
    corpus: Corpus
    steps_per_epoch: int

    @property
    def total_steps(self) -> int:
        """Steps until the schedule of the recipe ends."""
        return steps_of(self.recipe.schedule, self.steps_per_epoch)

    @property
    def model(self) -> torch.nn.Module:
        return self.objective.model

    @property
    def every_steps(self) -> int:
        """Steps between two evaluations."""
        return self.recipe.evaluation.every_steps or max(1, min(500, self.total_steps // 10))

    def notes(self) -> list[str]:
        """What was left out of the data, as lines for people."""
        lines = [str(self.corpus.report)] if self.corpus.report.read else []
        lines += self.objective.remarks
        for part, count in self.objective.left_out.items():
            longest = (
                self.objective.recipe.batch.max_tokens_per_side
            )  # less than asked for, if a model reads less
            lines.append(
                f"{part}: {counted(count, 'row')} longer than {longest} tokens left out "
                "(batch.max_tokens_per_side)"
            )
        return lines

    def shortage(self) -> list[str]:
        """That there are few steps, as one line for people; empty where there are enough."""
        steps, warmup = self.total_steps, self.recipe.schedule.warmup_steps
        too_short_to_warm_up = self.recipe.schedule.kind != "one_cycle" and steps < warmup
        if steps >= _FEW_STEPS and not too_short_to_warm_up:
            return []
        warming = (
            f", fewer than the {counted(warmup, 'warm-up step')} of the schedule"
            if too_short_to_warm_up
            else ""
        )
        return [
            f"only {counted(steps, 'step')} in all, of "
            f"{counted(len(self.corpus.train), 'training row')}{warming}; more --epochs or a "
            "smaller batch give more"
        ]


def prepare(
    run: Run, device: torch.device | str, given: Given = Given(), recipe: Recipe | None = None
) -> Setup:
    """Read the data, train or read the tokenizer, build the model (seeded), and count the steps.

    recipe: in place of the run's own, which it may only be longer than (see `prolong`).
    """
    recipe, device = recipe or run.recipe(), torch.device(device)
    kind = objective_class(recipe)
    corpus = load_corpus(recipe, kind.kinds, given.data, given.translate_back)
    (run.folder / "report.json").write_text(
        json.dumps(corpus.report.to_dict(), indent=1), encoding="utf-8"
    )
    if recipe.model.from_run:
        warm_start.fetch(run, recipe)
    objective = kind(recipe, run, corpus, device, **kind.needs(given))
    if recipe.model.from_run:
        warm_start.take_weights(run, objective)
    per_epoch = math.ceil(sum(1 for _ in objective.batches(0)) / recipe.batch.accumulate)
    return Setup(
        recipe,
        device,
        objective,
        make_optimizer(objective.trainable(), recipe.optimizer),
        corpus,
        per_epoch,
    )


def steps_of(schedule: Schedule, per_epoch: int) -> int:
    """Steps of a whole training, where an epoch has `per_epoch` of them; one at least."""
    total = max(1, math.ceil(per_epoch * schedule.epochs))
    return min(total, schedule.max_steps or total)
