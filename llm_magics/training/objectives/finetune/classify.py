"""Fine-tuning classifiers of texts and of words."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_magics.errors import RecipeError
from llm_magics.models.folder.library_errors import boundary
from llm_magics.training.data.batches import Batch, bucketed
from llm_magics.training.objectives.base import padded
from llm_magics.training.objectives.classify import known_labels
from llm_magics.training.objectives.finetune.base import IGNORED, FineTune, summed_cross_entropy
from llm_magics.training.run.events import AttentionSeen

__all__ = ["FineTuneClassify", "FineTuneLabelTokens"]


class FineTuneClassify(FineTune):
    """P(label | text)."""

    kinds: ClassVar = {"text": "text", "label": "label"}
    metrics = ("accuracy", "macro_f1")
    final = ("accuracy", "macro_f1")
    unit = "rows"
    auto = "AutoModelForSequenceClassification"

    def known_labels(self) -> list[str]:
        return known_labels(self.corpus)

    def encoded(self, part: str) -> list[Any]:
        rows = self.corpus[part]
        ids = self.ids([text for text, _ in rows])
        number = {label: index for index, label in enumerate(self.labels)}
        return self.kept_short(
            [(tokens, number[label]) for tokens, (_, label) in zip(ids, rows, strict=True)], part
        )

    def sizes(self, item: Any) -> tuple[int, ...]:
        return (len(item[0]),)

    def targets(self, batch: Batch) -> int:
        return len(batch.items)

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """Token ids and mask (B, T), and class numbers (B,)."""
        return (
            *self.padded_ids([ids for ids, _ in batch.items]),
            torch.tensor([label for _, label in batch.items], device=self.device),
        )

    def loss(
        self, model: nn.Module, tensors: tuple[Tensor, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        ids, mask, targets = tensors
        logits = model(input_ids=ids, attention_mask=mask).logits  # (B, C); of words (B, T, C)
        return summed_cross_entropy(logits, targets, label_smoothing)

    @torch.no_grad()
    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[Any]:
        """The most probable label of each row; of a text that is too long, by its beginning."""
        rows = self.corpus[part][:count]
        results: list[Any] = [None] * len(rows)
        for batch in bucketed(
            self.ids([text for text, _ in rows], cut=True),
            8_000,
            lambda ids: (len(ids),),
            seed=0,
            epoch=0,
        ):
            ids, mask = self.padded_ids(batch.items)
            best = model(input_ids=ids, attention_mask=mask).logits.argmax(-1).tolist()
            for row, label in zip(batch.rows, best, strict=True):
                results[row] = self.labels[label]
        return results

    def attention(self, model: nn.Module, step: int) -> AttentionSeen | None:
        if not self.corpus.validation:
            return None
        text = self.corpus.validation[0][0]
        return self.attention_in(
            model,
            "encoder",
            step,
            text[:200] if isinstance(text, str) else " ".join(text)[:200],
            None,
        )


class FineTuneLabelTokens(FineTuneClassify):
    """P(tag of word t | the words): the first token of a word tells its tag, its other tokens are
    not asked."""

    kinds: ClassVar = {"tokens": "tokens", "tags": "tags"}
    metrics = ("entity_f1", "accuracy")
    final = ("entity_f1", "accuracy")
    unit = "words"
    auto = "AutoModelForTokenClassification"
    words = True

    def encoded(self, part: str) -> list[Any]:
        rows = self.corpus[part]
        number = {label: index for index, label in enumerate(self.labels)}
        items = []
        for (ids, firsts), (_, tags) in zip(
            self.coded([words for words, _ in rows], cut=False), rows, strict=True
        ):
            targets = [IGNORED] * len(ids)
            for word, place in firsts.items():
                targets[place] = number[tags[word]]
            items.append((ids, targets))
        return self.kept_short(items, part)

    def coded(self, rows: list[list[str]], cut: bool) -> list[tuple[list[int], dict[int, int]]]:
        """Of each row of words the token ids, and word → place of its first token, of the words
        that have one."""
        if not rows:
            return []
        if not self.tokenizer.is_fast:
            raise RecipeError(
                f"the tokenizer of {self.reference} cannot tell which token belongs to which "
                "word; choose a model with a fast tokenizer (tokenizer.json)"
            )
        with boundary(f"the tokenizer of {self.reference}", "used"):
            coded = self.tokenizer(
                rows,
                is_split_into_words=True,
                verbose=False,
                truncation=cut,
                max_length=self.longest if cut else None,
            )
        found = []
        for row, ids in enumerate(coded["input_ids"]):
            firsts: dict[int, int] = {}
            for place, word in enumerate(coded.word_ids(row)):
                if word is not None:
                    firsts.setdefault(word, place)
            found.append((list(ids), firsts))
        return found

    def targets(self, batch: Batch) -> int:
        return sum(target != IGNORED for _, targets in batch.items for target in targets)

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """Token ids and mask (B, T), and tag numbers (B, T)."""
        return (
            *self.padded_ids([ids for ids, _ in batch.items]),
            padded([targets for _, targets in batch.items], self.device, IGNORED),
        )

    @torch.no_grad()
    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[Any]:
        """A tag for every word; words beyond what the model reads, or without a token, are outside
        of everything."""
        rows = self.corpus[part][:count]
        outside = "O" if "O" in self.labels else self.labels[0]
        results: list[Any] = [[outside] * len(words) for words, _ in rows]
        for batch in bucketed(
            self.coded([words for words, _ in rows], cut=True), 8_000, self.sizes, seed=0, epoch=0
        ):
            ids, mask = self.padded_ids([tokens for tokens, _ in batch.items])
            best = model(input_ids=ids, attention_mask=mask).logits.argmax(-1).tolist()
            for row, (_, firsts), labels in zip(batch.rows, batch.items, best, strict=True):
                for word, place in firsts.items():
                    results[row][word] = self.labels[labels[place]]
        return results
