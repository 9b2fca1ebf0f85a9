"""One optimizer step: forward, backward, clip, update; in parts when memory runs out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from llm_magics.errors import NonFinite, TrainingError
from llm_magics.nn.randomness import drawing_from
from llm_magics.training.data.batches import Batch
from llm_magics.training.run.events import BatchSplit, Event
from llm_magics.training.run.layers import LayerWatch
from llm_magics.training.run.setup import Setup

__all__ = ["Done", "Stepper"]


@dataclass
class Done:
    """What a step came to."""

    loss: float
    """Mean over the targets."""
    grad_norm: float
    targets: int
    padding: float
    most_cells: int
    events: list[Event] = field(default_factory=list)


class Stepper:
    """Takes the steps of one training."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.objective, self.model, self.optimizer = setup.objective, setup.model, setup.optimizer
        self.parameters = [p for group in setup.optimizer.param_groups for p in group["params"]]
        self.watch = LayerWatch(setup.model)
        self.loss = self.objective.loss
        if setup.recipe.compute.compile:
            self.loss = torch.compile(self.objective.loss, dynamic=True)

    def step(
        self, number: int, batches: list[Batch], rate: float, most_cells: int, watched: bool
    ) -> Done:
        """Take step `number` on these batches together, whose gradients add up to those of one
        large batch.

        most_cells: larger batches go through in parts (0: whole). When memory runs out, the step
        begins again with half as much at once. Raises NonFinite before the weights change,
        TrainingError when a single row does not fit.
        """
        events: list[Event] = []
        while True:
            parts = [
                part
                for batch in batches
                for part in (
                    batch.parts(self.objective.sizes, most_cells) if most_cells else [batch]
                )
            ]
            try:
                with _own_randomness(self.setup.recipe.seed, number, self.setup.device):
                    total, targets = self._gradients(parts, watched)
                break
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                cells = max(part.cells for part in parts)
                message = str(error).splitlines()[0][:160]
            most_cells = self._halved(parts, cells, message)
            events.append(BatchSplit(number, most_cells))
        if watched:
            events.append(self.watch.seen(number))
        norm = torch.nn.utils.clip_grad_norm_(
            self.parameters, self.setup.recipe.optimizer.clip_norm or math.inf, foreach=True
        )
        loss, norm_value = total.item() / max(1, targets), norm.item()
        if not (math.isfinite(loss) and math.isfinite(norm_value)):
            self._refuse(number, batches, loss, norm_value, rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        cells = sum(batch.cells for batch in batches)
        return Done(
            loss,
            norm_value,
            targets,
            1 - sum(batch.real for batch in batches) / max(1, cells),
            most_cells,
            events,
        )

    def _gradients(self, parts: list[Batch], watched: bool) -> tuple[Tensor, int]:
        """The gradient of the mean loss over all parts, into .grad; returns the sum of the losses
        and the targets."""
        recipe, device = self.setup.recipe, self.setup.device
        targets = sum(self.objective.targets(part) for part in parts)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=device)
        for index, part in enumerate(parts):
            look = self.watch.watching() if watched and index == 0 else nullcontext()
            with _precision(recipe.compute.precision, device), look:
                loss = self.loss(
                    self.model, self.objective.tensors(part), recipe.optimizer.label_smoothing
                )
            (loss / max(1, targets)).backward()
            total += loss.detach()
        return total, targets

    def _halved(self, parts: list[Batch], cells: int, message: str) -> int:
        """Half of what did not fit, once the memory of the failed step is free again."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.setup.device.type == "cuda":
            torch.cuda.empty_cache()
        if max(len(part.rows) for part in parts if part.cells == cells) == 1:
            raise TrainingError(
                f"memory does not suffice for one row of {cells} tokens ({message}); lower "
                "batch.max_tokens_per_side, or train a smaller model"
            )
        return cells // 2

    def _refuse(
        self, number: int, batches: list[Batch], loss: float, norm: float, rate: float
    ) -> None:
        rows = [row for batch in batches for row in batch.rows]
        shown = ", ".join(self.objective.place(row) for row in rows[:5])
        self.optimizer.zero_grad(set_to_none=True)
        raise NonFinite(
            f"step {number}: loss {loss}, gradient norm {norm} at learning rate {rate:.3g}; the "
            "step was not taken. Training rows of the batch: "
            f"{shown}{' …' if len(rows) > 5 else ''}. Try a lower optimizer.lr"
        )


@contextmanager
def _own_randomness(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Randomness that is a function of seed and step, and leaves torch's generator as it was.

    Our own models draw from a generator of their own; transformers' models know only torch's, so a
    background run of one is exact as long as no other cell draws in the middle of a step.
    """
    number = (seed * 1_000_003 + step) % 2**63
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(number)
        with drawing_from(torch.Generator(device).manual_seed(number)):
            yield


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(
        error, (torch.OutOfMemoryError, MemoryError)
    ) or "can't allocate memory" in str(error)


def _precision(name: str, device: torch.device) -> Any:
    """The context that matrix products are computed in: bfloat16 on a GPU, unless the recipe says
    otherwise."""
    low = name == "bfloat16" or (name == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16) if low else nullcontext()
