"""From a recipe to everything a training needs: the objective with its rows and model, the optimizer, the steps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from llm_magics.training.data.corpus import Corpus, load_corpus
from llm_magics.training.objectives import objective_class
from llm_magics.training.objectives.base import Objective
from llm_magics.training.optimizers import make_optimizer
from llm_magics.training.recipe import Recipe
from llm_magics.training.runs import Run

__all__ = ["Given", "Setup", "prepare"]


@dataclass(frozen=True)
class Given:
    """What a run uses that no file holds: objects of a notebook, and the model that translates back."""

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
    total_steps: int

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
            longest = self.objective.recipe.batch.max_tokens_per_side  # less than asked for, if a model reads less
            lines.append(f"{part}: {count:,} rows longer than {longest} tokens left out (batch.max_tokens_per_side)")
        return lines


def prepare(run: Run, device: torch.device | str, given: Given = Given()) -> Setup:
    """Read the data, train or read the tokenizer, build the model (seeded), and count the steps."""
    recipe, device = run.recipe(), torch.device(device)
    kind = objective_class(recipe)
    corpus = load_corpus(recipe, kind.kinds, given.data, given.translate_back)
    (run.folder / "report.json").write_text(json.dumps(corpus.report.to_dict(), indent=1), encoding="utf-8")
    objective = kind(recipe, run, corpus, device, **kind.needs(given))
    per_epoch = math.ceil(sum(1 for _ in objective.batches(0)) / recipe.batch.accumulate)
    total = max(1, math.ceil(per_epoch * recipe.schedule.epochs))
    return Setup(recipe, device, objective, make_optimizer(objective.trainable(), recipe.optimizer), corpus,
                 min(total, recipe.schedule.max_steps or total))
