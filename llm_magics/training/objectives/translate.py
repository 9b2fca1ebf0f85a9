"""From one text to another, with a model of our own: P(target | source) = Π_t P(y_t | y_<t, x)."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_magics.attention.explore import explore
from llm_magics.attention.store import AttentionStore, compand
from llm_magics.errors import AttentionError
from llm_magics.models.folder.native import save_native
from llm_magics.nn.cross_entropy import linear_cross_entropy
from llm_magics.nn.decoding import beam, greedy
from llm_magics.nn.randomness import initialised_from
from llm_magics.training.data.augment import drop_tokens, swap_tokens
from llm_magics.training.data.batches import Batch, bucketed
from llm_magics.training.data.corpus import Corpus
from llm_magics.training.data.mix import drawn, weights_of
from llm_magics.training.objectives.base import BOS, EOS, PAD, Objective, house_tokenizer, padded
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.run.build import model_class
from llm_magics.training.run.events import AttentionSeen
from llm_magics.training.runs.runs import Run

__all__ = ["Translate", "attention_of", "joined", "noisy"]

Pair = tuple[list[int], list[int]]
_SHOWN_TOKENS = 32


class Translate(Objective):
    """A sequence-to-sequence model from scratch."""

    kinds: ClassVar = {"source": "text", "target": "text"}
    metrics = (
        "chrf",
        "bleu",
        "bleu_tokenized",
        "exact_match",
        "rouge1",
        "rouge2",
        "rougeL",
        "perplexity",
    )
    final = ("bleu", "chrf")

    def __init__(self, recipe: Recipe, run: Run, corpus: Corpus, device: torch.device) -> None:
        super().__init__(recipe, run, corpus, device)
        self.tokenizer = house_tokenizer(
            run,
            recipe,
            lambda: (source for source, _ in corpus.train),
            lambda: (target for _, target in corpus.train),
        )
        self._drawn: list[int] = []  # the training items of the epoch, where rows have weights
        self.items = {part: self.encoded(part) for part in ("train", "validation")}
        sizes = self.tokenizer.source.get_vocab_size(), self.tokenizer.target.get_vocab_size()
        cls, self.arguments = model_class(recipe, *sizes)
        self.model = initialised_from(lambda: cls(**self.arguments), recipe.seed).to(device)

    def encoded(self, part: str) -> list[Pair]:
        rows = self.corpus[part]
        pairs = zip(
            self.tokenizer.encode_source([source for source, _ in rows]),
            self.tokenizer.encode_target([target for _, target in rows]),
            strict=True,
        )
        return self.kept_short(list(pairs), part)

    def place(self, item: int) -> str:
        return super().place(self._drawn[item] if self._drawn else item)

    def sizes(self, item: Pair) -> tuple[int, int]:
        return len(item[0]), len(item[1])

    def targets(self, batch: Batch) -> int:
        return sum(len(target) for _, target in batch.items)

    def augmented(self, items: list[Pair], rng: random.Random) -> list[Pair]:
        if self.recipe.data.weights:
            rows = range(len(items)) if self._rows is None else self._rows
            places = [self.corpus.places[row] for row in rows]
            self._drawn = drawn(weights_of(places, self.recipe.data.weights), rng)
            items = [items[item] for item in self._drawn]
        return noisy(joined(items, self.recipe, rng), self.recipe, rng)

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """Source ids (B, S), decoder input (B, T) that begins with bos, targets (B, T) that end
        with eos, and the padding of the sources (B, S), or None where there is none: attention
        without a mask is faster."""
        sources = padded([source for source, _ in batch.items], self.device)
        is_padded = any(len(source) < sources.shape[1] for source, _ in batch.items)
        return (
            sources,
            padded([[BOS, *target[:-1]] for _, target in batch.items], self.device),
            padded([target for _, target in batch.items], self.device),
            sources == PAD if is_padded else None,
        )

    def loss(
        self, model: nn.Module, tensors: tuple[Tensor | None, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        sources, inputs, targets, padding = tensors
        features = model.features(sources, inputs, src_key_padding_mask=padding)  # (B, T, D)
        counted = targets != PAD
        return linear_cross_entropy(
            features[counted],
            model.generator.weight,
            model.generator.bias,
            targets[counted],
            label_smoothing=label_smoothing,
        )

    @torch.no_grad()
    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[str]:
        sources = [source for source, *_ in self.corpus[part][:count]]
        encoded = self.tokenizer.encode_source(sources)
        results = [""] * len(sources)
        for batch in bucketed(encoded, 4_000 // beams, lambda ids: (len(ids),), seed=0, epoch=0):
            src = padded(batch.items, self.device)
            limits = {"bos": BOS, "eos": EOS, "max_new_tokens": int(1.5 * src.shape[1]) + 10}
            written = (
                beam(model, src, src == PAD, beams=beams, **limits)
                if beams > 1
                else greedy(model, src, src == PAD, **limits)
            )
            for row, sequence in zip(batch.rows, written, strict=True):
                results[row] = self.tokenizer.decode_target(sequence)
        return results

    def attention(self, model: nn.Module, step: int) -> AttentionSeen | None:
        if not self.corpus.validation:
            return None
        source, target = self.corpus.validation[0]
        return attention_of(model, self.tokenizer, "seq2seq", step, source, target)

    def export(self, folder: Path, model: nn.Module, card: str) -> None:
        data = self.recipe.data
        save_native(
            folder,
            model,
            arguments=self.arguments,
            task=self.recipe.task,
            source_language=data.source_language,
            target_language=data.target_language,
            source_tokenizer=self.tokenizer.source,
            target_tokenizer=self.tokenizer.target,
            card=card,
        )


def joined(items: list[Pair], recipe: Recipe, rng: random.Random) -> list[Pair]:
    """Some rows with another row behind them (the first row's end mark is dropped), as
    augmentation.join says."""
    share, longest = recipe.augmentation.join, recipe.batch.max_tokens_per_side
    if not share:
        return items
    result = []
    for source, target in items:
        if rng.random() < share:
            more_source, more_target = items[rng.randrange(len(items))]
            if (
                len(source) + len(more_source) <= longest
                and len(target) + len(more_target) <= longest
            ):
                source, target = source[:-1] + more_source, target[:-1] + more_target
        result.append((source, target))
    return result


def noisy(items: list[Pair], recipe: Recipe, rng: random.Random) -> list[Pair]:
    """The rows with tokens of the source dropped and swapped, as the recipe's augmentation says."""
    drop, swap = recipe.augmentation.drop, recipe.augmentation.swap
    if drop:
        items = [(drop_tokens(source, drop, rng), target) for source, target in items]
    if swap:
        items = [(swap_tokens(source, swap, rng), target) for source, target in items]
    return items


def attention_of(
    module: nn.Module, tokenizer: Any, kind: str, step: int, source: str, target: str | None
) -> AttentionSeen | None:
    """The maps of one text (cross-attention where there is any), cut to the first tokens; None
    without attention."""
    try:
        store = explore(
            SimpleNamespace(module=module, tokenizer=tokenizer, kind=kind, reference="training"),
            source,
            target,
        )
    except AttentionError:
        return None
    return _seen(store, step)


def _seen(store: AttentionStore, step: int) -> AttentionSeen | None:
    kinds = [panel.kind for panel in store.panels]
    if not kinds:
        return None
    panel = store.panel("cross" if "cross" in kinds else kinds[0])
    rows, columns = panel.rows[:_SHOWN_TOKENS], panel.columns[:_SHOWN_TOKENS]
    maps = torch.stack(
        [
            layer.weights(head).cpu()[: len(rows), : len(columns)]
            for layer in panel.layers
            for head in range(panel.heads)
        ]
    )
    return AttentionSeen(
        step,
        "cross" if panel.kind == "cross" else "self",
        tuple(rows),
        tuple(columns),
        len(panel.layers),
        panel.heads,
        base64.b64encode(compand(maps)).decode("ascii"),
    )
