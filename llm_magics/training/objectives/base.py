"""What is learnt: from rows to batches, from a batch to its loss, from a model to predictions and
figures."""

from __future__ import annotations

import copy
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_magics.errors import DataError, RecipeError
from llm_magics.metrics import check_installed, perplexity, score
from llm_magics.models.folder.native_tokenizer import NativeTokenizer
from llm_magics.training.data.batches import Batch, bucketed
from llm_magics.training.data.corpus import Corpus
from llm_magics.training.data.tokenizer import SPECIAL, train_tokenizer
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.run.events import AttentionSeen, Sample
from llm_magics.training.runs.runs import Run

__all__ = ["Objective", "house_tokenizer", "padded"]

PAD, BOS, EOS = SPECIAL["pad"], SPECIAL["bos"], SPECIAL["eos"]


class Objective(ABC):
    """One task with one kind of model, on the rows of one corpus. Subclasses build `model` in
    `__init__`."""

    kinds: ClassVar[dict[str, str]]
    """Role → kind of its value (see `rows.read_rows`), in the order of a row's values."""
    metrics: ClassVar[tuple[str, ...]]
    """What can be measured; the first is measured unless the recipe names another. "perplexity"
    needs no predictions."""
    final: ClassVar[tuple[str, ...]] = ()
    """What is usually measured at the end."""
    unit: ClassVar[str] = "tokens"
    """What `targets` counts."""
    loss_unit: str = "nats a target"
    """Of the mean loss, as it stands behind a number; "" for a loss without one."""

    model: nn.Module

    def __init__(self, recipe: Recipe, run: Run, corpus: Corpus, device: torch.device) -> None:
        self.recipe, self.run, self.corpus, self.device = recipe, run, corpus, device
        self._rows: list[int] | None = None  # of the training items, where some rows have none
        self.left_out: dict[str, int] = {}
        """Rows longer than the recipe's limit, by part."""
        self.remarks: list[str] = []
        """What a person should know about model and rows, a line each."""
        self.metric = recipe.evaluation.metric or self.metrics[0]
        usual = self.final if self.metric in self.final else (self.metric,)
        self.final_metrics = recipe.evaluation.final or usual
        for metric in (self.metric, *self.final_metrics):
            if metric not in self.metrics:
                raise RecipeError(
                    f"the metric {metric!r} does not fit task = {recipe.task!r}; "
                    f"choose {', '.join(self.metrics)}"
                )
            check_installed(metric)

    @classmethod
    def needs(cls, given: Any) -> dict[str, Any]:
        """Further arguments of the constructor, out of what a notebook gave (see `setup.Given`).

        Raises InputError where it gave none, or none that can be used.
        """
        return {}

    # Batches

    items: dict[str, list[Any]]
    """The encoded rows of "train" and "validation"; "test" comes when it is asked for."""

    @abstractmethod
    def encoded(self, part: str) -> list[Any]:
        """The rows of a part as items."""

    @abstractmethod
    def sizes(self, item: Any) -> tuple[int, ...]:
        """The item's length on every side that is padded."""

    @abstractmethod
    def targets(self, batch: Batch) -> int:
        """How many targets the loss sums over."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch of training: a function of the recipe's seed and the epoch."""
        rng = random.Random(f"augment {self.recipe.seed} {epoch}")
        items = self.augmented(self.items["train"], rng)
        return bucketed(
            items, self.recipe.batch.tokens, self.sizes, seed=self.recipe.seed, epoch=epoch
        )

    def augmented(self, items: list[Any], rng: random.Random) -> list[Any]:
        """The items as this epoch sees them."""
        return items

    def fixed_batches(self, part: str) -> Iterator[Batch]:
        """The rows of a held-out part, always in the same batches."""
        if part not in self.items:
            self.items[part] = self.encoded(part)
        return bucketed(self.items[part], 2 * self.recipe.batch.tokens, self.sizes, seed=0, epoch=0)

    # Learning

    @abstractmethod
    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """The batch on the device."""

    @abstractmethod
    def loss(
        self, model: nn.Module, tensors: tuple[Tensor, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        """The sum of the losses of the batch's targets: cross-entropies in nats, but for a module
        of the notebook."""

    # Figures

    @abstractmethod
    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[Any]:
        """What the model makes of the first `count` rows of a part ([] where the task has no
        predictions)."""

    def expected(self, part: str, count: int | None = None) -> list[Any]:
        """What it should make of them: the last value of each row."""
        return [row[-1] for row in self.corpus[part][:count]]

    def figures(
        self,
        metrics: Sequence[str],
        predictions: list[Any],
        expected: list[Any],
        loss: float | None,
    ) -> dict[str, float]:
        """Each metric of these predictions; perplexity from the loss."""
        found = {
            metric: score(metric, predictions, expected, self.recipe.data.target_language)
            for metric in metrics
            if metric != "perplexity" and predictions
        }
        if "perplexity" in metrics and loss is not None:
            found["perplexity"] = perplexity(loss)
        return found

    def samples(self, predictions: list[Any], part: str = "validation") -> tuple[Sample, ...]:
        """The first few rows as people read them."""
        shown = zip(self.corpus[part], predictions[: self.recipe.evaluation.samples], strict=False)
        return tuple(
            Sample(_short(row[0]), _short(predicted), _short(row[-1])) for row, predicted in shown
        )

    def attention(self, model: nn.Module, step: int) -> AttentionSeen | None:
        """The attention of the first validation row; None for a model without."""
        return None

    # The end

    def copied(self) -> nn.Module:
        """A copy of the model, to be given other weights."""
        return copy.deepcopy(self.model)

    @abstractmethod
    def export(self, folder: Path, model: nn.Module, card: str) -> None:
        """Write the model so that run:NAME can be used."""

    def trainable(self) -> Iterator[nn.Parameter]:
        """The parameters that are trained."""
        return (p for p in self.model.parameters() if p.requires_grad)

    def place(self, item: int) -> str:
        """Where the training item of this number came from, for people."""
        row = self._rows[item] if self._rows is not None else item
        return self.corpus.places[row] if row < len(self.corpus.places) else f"row {row}"

    def kept_short(self, items: list[Any], part: str) -> list[Any]:
        """The items within batch.max_tokens_per_side on every side; the others are counted in
        `left_out`."""
        longest = self.recipe.batch.max_tokens_per_side
        rows = [row for row, item in enumerate(items) if max(self.sizes(item)) <= longest]
        kept = [items[row] for row in rows]
        if len(kept) < len(items):
            self.left_out[part] = len(items) - len(kept)
            if part == "train":
                self._rows = rows
        if items and not kept:
            raise DataError(
                f"every {part} row is longer than batch.max_tokens_per_side = {longest}; raise it"
            )
        return kept


def padded(rows: Sequence[Sequence[int]], device: torch.device, value: int = PAD) -> Tensor:
    """Lists of numbers as one (B, T) tensor, `value` behind the shorter ones."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], device=device)


def house_tokenizer(
    run: Run,
    recipe: Recipe,
    source_texts: Callable[[], Iterator[str]],
    target_texts: Callable[[], Iterator[str]] | None = None,
) -> NativeTokenizer:
    """The run's tokenizers, trained on the texts unless the run has them already; one for both
    sides where shared."""
    both = target_texts is None or recipe.tokenizer.shared
    if both:

        def texts() -> Iterator[str]:
            yield from source_texts()
            if target_texts is not None:
                yield from target_texts()

        tokenizer = _trained(run.tokenizer_file, recipe, texts)
        return NativeTokenizer(tokenizer, tokenizer, SPECIAL)
    return NativeTokenizer(
        _trained(run.tokenizer_file, recipe, source_texts),
        _trained(run.target_tokenizer_file, recipe, target_texts),
        SPECIAL,
    )


def _trained(file: Path, recipe: Recipe, texts: Callable[[], Iterator[str]]) -> Any:
    from tokenizers import Tokenizer

    if file.is_file():
        return Tokenizer.from_file(str(file))
    tokenizer = train_tokenizer(texts(), recipe.tokenizer)
    unfinished = file.with_suffix(".tmp")
    tokenizer.save(str(unfinished))
    unfinished.replace(file)  # whole, or not there
    return tokenizer


def _short(value: Any, limit: int = 300) -> str:
    text = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
