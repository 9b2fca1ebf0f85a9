"""A module, a dataset and a loss from the notebook, on the same loop as everything else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_magics.errors import DataError, InputError
from llm_magics.training.data.batches import Batch, batch_of
from llm_magics.training.data.corpus import Corpus
from llm_magics.training.objectives.base import Objective
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.run.events import Sample
from llm_magics.training.runs.runs import Run

__all__ = ["LOSSES", "Custom"]

LOSSES = {
    "cross_entropy": nn.functional.cross_entropy,
    "mse": nn.functional.mse_loss,
    "l1": nn.functional.l1_loss,
    "bce": nn.functional.binary_cross_entropy_with_logits,
    "nll": nn.functional.nll_loss,
}
"""Names that --loss knows; each a mean over the batch."""
_IN_NATS = (LOSSES["cross_entropy"], LOSSES["bce"], LOSSES["nll"])
_ELEMENTWISE = (LOSSES["mse"], LOSSES["l1"], LOSSES["bce"])


class Custom(Objective):
    """loss(module(*inputs), target) for rows (*inputs, target); the module itself is trained, in
    place."""

    kinds: ClassVar = {"row": "object"}
    metrics = ("loss",)
    unit = "rows"

    def __init__(
        self,
        recipe: Recipe,
        run: Run,
        corpus: Corpus,
        device: torch.device,
        *,
        module: nn.Module,
        loss: Callable[[Any, Any], Tensor],
    ) -> None:
        super().__init__(recipe, run, corpus, device)
        self.given_loss, self.model = loss, module.to(device)
        self.loss_unit = "nats a target" if loss in _IN_NATS else ""
        self.items = {part: corpus[part] for part in ("train", "validation")}

    @classmethod
    def needs(cls, given: Any) -> dict[str, Any]:
        """The module, and the loss as a function."""
        if not isinstance(given.module, nn.Module):
            raise InputError(
                "the model of this run was an object of a notebook "
                f"({type(given.module).__name__} was given); give the torch.nn.Module again: "
                "%train MODEL --data DATA --loss LOSS --resume NAME"
            )
        loss = LOSSES.get(given.loss, given.loss) if isinstance(given.loss, str) else given.loss
        if not callable(loss):
            said = "none was given" if loss is None else f"got {loss!r}"
            raise InputError(
                "a module learns what its loss says: give --loss, a function of (output, target) "
                f"or one of {', '.join(LOSSES)}; {said}"
            )
        return {"module": given.module, "loss": loss}

    def encoded(self, part: str) -> list[Any]:
        return self.corpus[part]

    def sizes(self, item: Any) -> tuple[int, ...]:
        return (1,)

    def targets(self, batch: Batch) -> int:
        return len(batch.items)

    def batches(self, epoch: int) -> Iterator[Batch]:
        order = list(range(len(self.items["train"])))
        random.Random(f"{self.recipe.seed} {epoch}").shuffle(order)
        return self._cut(self.items["train"], order)

    def fixed_batches(self, part: str) -> Iterator[Batch]:
        return self._cut(self.corpus[part], list(range(len(self.corpus[part]))))

    def _cut(self, items: Any, order: list[int]) -> Iterator[Batch]:
        rows = self.recipe.batch.rows
        count = -(-len(order) // rows)
        for position in range(count):
            chosen = order[position * rows : (position + 1) * rows]
            yield replace(
                batch_of(chosen, [items[i] for i in chosen], self.sizes),
                position=position,
                count=count,
            )

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """The rows collated, column by column; numbers become tensors."""
        try:
            rows = [row if isinstance(row, (tuple, list)) else (row,) for row in batch.items]
            columns = torch.utils.data.default_collate(rows)
        except (TypeError, RuntimeError) as error:
            raise DataError(
                f"rows {batch.rows[:3]} cannot be put into one batch: "
                f"{str(error).splitlines()[0][:160]}"
            ) from None
        return tuple(
            column.to(self.device) if isinstance(column, Tensor) else column for column in columns
        )

    def loss(
        self, model: nn.Module, tensors: tuple[Tensor, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        *inputs, target = tensors
        output = model(*inputs)
        if (
            self.given_loss in _ELEMENTWISE and output.shape != target.shape
        ):  # torch would compare each with each
            raise InputError(
                f"this loss compares number by number, but the output is {tuple(output.shape)} "
                f"and the target {tuple(target.shape)}; give both one shape"
            )
        value = self.given_loss(output, target)
        if not (isinstance(value, Tensor) and value.dim() == 0):
            raise InputError(
                "the loss must be one number (a tensor without dimensions), not "
                f"{tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__}"
            )
        return value * len(target)  # the mean of the batch, as a sum

    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[Any]:
        return []

    def samples(self, predictions: list[Any], part: str = "validation") -> tuple[Sample, ...]:
        return ()

    def figures(
        self, metrics: Any, predictions: list[Any], expected: list[Any], loss: float | None
    ) -> dict[str, float]:
        return {"loss": loss} if "loss" in metrics and loss is not None else {}

    def copied(self) -> nn.Module:
        return self.model  # the user's own object gets the best weights

    def export(self, folder: Path, model: nn.Module, card: str) -> None:
        """The weights alone: only the notebook knows how the module is built."""
        from safetensors.torch import save_model

        folder.mkdir(parents=True, exist_ok=True)
        save_model(model, str(folder / "model.safetensors"))
        (folder / "config.json").write_text(
            json.dumps(
                {"format": "llm_magics", "architecture": type(model).__name__, "task": "custom"},
                indent=1,
            ),
            encoding="utf-8",
        )
        (folder / "card.md").write_text(card, encoding="utf-8")
