"""From a text to a label, or to a label for each of its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_magics.errors import DataError
from llm_magics.models.folder.native import save_native
from llm_magics.nn.randomness import initialised_from
from llm_magics.training.data.augment import drop_tokens, swap_tokens
from llm_magics.training.data.batches import Batch, bucketed
from llm_magics.training.data.corpus import Corpus
from llm_magics.training.objectives.base import PAD, Objective, house_tokenizer, padded
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.run.build import model_class
from llm_magics.training.runs.runs import Run
from llm_magics.training.runs.warm_start import start_labels

__all__ = ["Classify", "LabelTokens", "known_labels"]

_NONE = -100


class Classify(Objective):
    """P(label | text), from scratch."""

    kinds: ClassVar = {"text": "text", "label": "label"}
    metrics = ("accuracy", "macro_f1")
    final = ("accuracy", "macro_f1")
    unit = "rows"

    def __init__(self, recipe: Recipe, run: Run, corpus: Corpus, device: torch.device) -> None:
        super().__init__(recipe, run, corpus, device)
        self.labels = known_labels(corpus, start_labels(run))
        self.tokenizer = house_tokenizer(run, recipe, self._texts)
        self.items = {part: self.encoded(part) for part in ("train", "validation")}
        cls, self.arguments = model_class(
            recipe, self.tokenizer.source.get_vocab_size(), classes=len(self.labels)
        )
        self.model = initialised_from(lambda: cls(**self.arguments), recipe.seed).to(device)

    def _texts(self):
        return (text for text, _ in self.corpus.train)

    def encoded(self, part: str) -> list[Any]:
        rows = self.corpus[part]
        ids = self.tokenizer.encode_source([text for text, _ in rows])
        return self.kept_short(
            [
                (tokens, self.labels.index(label))
                for tokens, (_, label) in zip(ids, rows, strict=True)
            ],
            part,
        )

    def sizes(self, item: Any) -> tuple[int, ...]:
        return (len(item[0]),)

    def targets(self, batch: Batch) -> int:
        return len(batch.items)

    def augmented(self, items: list[Any], rng: Any) -> list[Any]:
        drop, swap = self.recipe.augmentation.drop, self.recipe.augmentation.swap
        if drop or swap:
            items = [
                (swap_tokens(drop_tokens(ids, drop, rng), swap, rng), label) for ids, label in items
            ]
        return items

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """Token ids (B, T) and class numbers (B,)."""
        return (
            padded([ids for ids, _ in batch.items], self.device),
            torch.tensor([label for _, label in batch.items], device=self.device),
        )

    def loss(
        self, model: nn.Module, tensors: tuple[Tensor, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        ids, targets = tensors
        log_p = model(ids, ids == PAD).flatten(0, -2)  # (N, C)
        asked = targets.flatten() != _NONE
        return nn.functional.cross_entropy(
            log_p[asked], targets.flatten()[asked], reduction="sum", label_smoothing=label_smoothing
        )

    @torch.no_grad()
    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[Any]:
        rows = self.corpus[part][:count]
        encoded = [(ids, 0) for ids in self.inputs(rows)]
        results: list[Any] = [None] * len(rows)
        for batch in bucketed(encoded, 8_000, self.sizes, seed=0, epoch=0):
            ids = padded([tokens for tokens, _ in batch.items], self.device)
            for row, best in zip(
                batch.rows, model(ids, ids == PAD).argmax(-1).tolist(), strict=True
            ):
                results[row] = self.written(best, rows[row])
        return results

    def inputs(self, rows: list[tuple]) -> list[list[int]]:
        """Token ids of each row's text."""
        return self.tokenizer.encode_source([row[0] for row in rows])

    def written(self, best: Any, row: tuple) -> Any:
        """The label of the most probable class."""
        return self.labels[best]

    def export(self, folder: Path, model: nn.Module, card: str) -> None:
        language = self.recipe.data.source_language
        save_native(
            folder,
            model,
            arguments=self.arguments,
            task=self.recipe.task,
            source_language=language,
            target_language=language,
            source_tokenizer=self.tokenizer.source,
            labels=self.labels,
            card=card,
        )


class LabelTokens(Classify):
    """P(tag of word t | the words), from scratch: every word is a token of the vocabulary, or
    <unk>."""

    kinds: ClassVar = {"tokens": "tokens", "tags": "tags"}
    metrics = ("entity_f1", "accuracy")
    final = ("entity_f1", "accuracy")
    unit = "tokens"

    def _texts(self):
        return (" ".join(tokens) for tokens, _ in self.corpus.train)

    def encoded(self, part: str) -> list[Any]:
        rows = self.corpus[part]
        items = [
            (ids, [self.labels.index(tag) for tag in tags])
            for ids, (_, tags) in zip(self.inputs(rows), rows, strict=True)
        ]
        return self.kept_short(items, part)

    def inputs(self, rows: list[tuple]) -> list[list[int]]:
        """One id a word: that of its first piece."""
        words = sorted({word for tokens, *_ in rows for word in tokens})
        first = {
            word: ids[0]
            for word, ids in zip(words, self.tokenizer.encode_source(words), strict=True)
        }
        return [[first[word] for word in tokens] for tokens, *_ in rows]

    def augmented(self, items: list[Any], rng: Any) -> list[Any]:
        return items  # a dropped word would take its tag with it

    def targets(self, batch: Batch) -> int:
        return batch.real

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """Token ids (B, T) and tag numbers (B, T), -100 behind the shorter rows."""
        return (
            padded([ids for ids, _ in batch.items], self.device),
            padded([tags for _, tags in batch.items], self.device, _NONE),
        )

    def written(self, best: Any, row: tuple) -> list[str]:
        return [self.labels[number] for number in best[: len(row[0])]]


def known_labels(corpus: Corpus, begun_with: list[str] | None = None) -> list[str]:
    """Every label of the training rows, sorted, or those of the classifier that the training begins
    with.

    Raises DataError where a row has another one, or where there is nothing to tell apart.
    """

    def labels_of(part: str) -> set[str]:
        return {
            label
            for row in corpus[part]
            for label in (row[-1] if isinstance(row[-1], (list, tuple)) else [row[-1]])
        }

    known = set(begun_with or labels_of("train"))
    if len(known) < 2:
        raise DataError(
            f"every training row has the label {next(iter(known), '')!r}; there is nothing to "
            "tell apart"
        )
    for part in ("train", "validation", "test"):
        new = ", ".join(sorted(labels_of(part) - known)[:5])
        if new and begun_with:
            raise DataError(
                f"the {part} rows have labels that the model to begin with does not know: {new}; "
                f"it knows {', '.join(begun_with[:12])}. Leave those rows out, or train a new "
                "model"
            )
        if new:
            raise DataError(f"the {part} rows have labels that no training row has: {new}")
    return list(begun_with or sorted(known))
