"""Fine-tuning language models: what comes next, and what is missing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from llm_magics.errors import DataError, RecipeError
from llm_magics.training.data.batches import Batch
from llm_magics.training.objectives.base import padded
from llm_magics.training.objectives.finetune.base import IGNORED, FineTune, summed_cross_entropy
from llm_magics.training.objectives.language_model import LanguageModel
from llm_magics.training.run.events import AttentionSeen, Sample

__all__ = ["FineTuneLanguageModel", "FineTuneMaskedLanguageModel"]

_PROMPT_TOKENS, _CONTINUED_TOKENS = 16, 60


class FineTuneLanguageModel(FineTune, LanguageModel):
    """P(x) = Π_t P(x_t | x_<t) over a stream of the model's own tokens, cut as for a model from
    scratch."""

    auto = "AutoModelForCausalLM"

    def prepare(self) -> None:
        self.length = self.room()
        self.streams = {part: self._stream(part) for part in ("train", "validation")}
        if len(self.streams["train"]) <= self.length:
            raise DataError(
                f"the training text has {len(self.streams['train']):,} tokens; it needs more than "
                f"batch.max_tokens_per_side = {self.length}"
            )

    def room(self) -> int:
        """Tokens of the text that a piece holds."""
        return self.longest

    def _stream(self, part: str) -> Tensor:
        """All rows of a part as one line of token ids, an end mark between rows where the model has
        one."""
        rows, end = (
            self.rows_of_ids([text for (text,) in self.corpus[part]]),
            self.tokenizer.eos_token_id,
        )
        if end is not None:
            rows = [row if row[-1:] == [end] else [*row, end] for row in rows]
            if rows:
                rows[-1] = rows[-1][:-1]  # nothing comes after the end
        return torch.tensor([token for row in rows for token in row], dtype=torch.long)

    def rows_of_ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text as the stream holds them."""
        return self.ids(texts)

    def loss(
        self, model: nn.Module, tensors: tuple[Tensor, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        inputs, targets = tensors  # no mask: what is padded comes last, and nothing looks ahead
        return summed_cross_entropy(
            model(input_ids=inputs, use_cache=False).logits, targets, label_smoothing
        )

    @torch.no_grad()
    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[str]:
        """Continuations of the beginnings of a few pieces, drawn from the model with a fixed
        seed."""
        if (
            count is None
            or part not in self.streams
            or len(self.streams[part]) <= 2 * _PROMPT_TOKENS
        ):
            return []
        prompts = self._prompts(part).to(self.device)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.recipe.seed)
            most = max(1, min(_CONTINUED_TOKENS, self.longest - prompts.shape[1]))
            written = model.generate(
                input_ids=prompts,
                attention_mask=torch.ones_like(prompts),
                do_sample=True,
                temperature=0.8,
                max_new_tokens=most,
                pad_token_id=self.pad,
            )
        return [self._text(row[prompts.shape[1] :]) for row in written]

    def _text(self, ids: Tensor) -> str:
        return self.tokenizer.decode(ids.tolist(), skip_special_tokens=True)

    def samples(self, predictions: list[Any], part: str = "validation") -> tuple[Sample, ...]:
        given = map(self._text, self._prompts(part)) if predictions else ()
        return tuple(
            Sample(prompt, continued) for prompt, continued in zip(given, predictions, strict=True)
        )

    def attention(self, model: nn.Module, step: int) -> AttentionSeen | None:
        return self.attention_in(
            model, "causal", step, self._text(self.streams["validation"][:24]), None
        )


class FineTuneMaskedLanguageModel(FineTuneLanguageModel):
    """P(x_t | the other tokens) for the 15 % of tokens that are hidden (Devlin et al. 2019),
    between the model's marks.

    Of the hidden tokens 80 % are replaced by the mask, 10 % by a random token, and 10 % stay as
    they are. Which, is a function of seed and epoch in training, and always the same on held-out
    rows.
    """

    auto = "AutoModelForMaskedLM"

    def prepare(self) -> None:
        if self.tokenizer.mask_token_id is None:
            raise RecipeError(
                f"{self.reference} has no mask token; masked-language-model needs a model such "
                "as BERT"
            )
        marked = self.ids(["a"])[0]
        inner = self.ids(["a"], add_special_tokens=False)[0]
        at = marked.index(inner[0])
        self.before, self.after = marked[:at], marked[at + len(inner) :]
        super().prepare()

    def room(self) -> int:
        return self.longest - len(self.before) - len(self.after)

    def rows_of_ids(self, texts: list[str]) -> list[list[int]]:
        return self.ids(texts, add_special_tokens=False)

    def batches(self, epoch: int) -> Iterator[Batch]:
        for batch in super().batches(epoch):
            items = [
                self._hidden(item, f"{self.recipe.seed} {epoch} {row}")
                for item, row in zip(batch.items, batch.rows, strict=True)
            ]
            yield replace(batch, items=items)

    def encoded(self, part: str) -> list[Any]:
        return [
            self._hidden(item, f"{part} {row}") for row, item in enumerate(super().encoded(part))
        ]

    def _hidden(self, item: Tensor, seed: str) -> tuple[list[int], list[int]]:
        """(Inputs with the marks, targets): targets are IGNORED where nothing is asked."""
        rng, ids = random.Random(seed), item[: self.length].tolist()
        inputs, targets = list(ids), [IGNORED] * len(ids)
        special = set(self.tokenizer.all_special_ids)
        able = [i for i, token in enumerate(ids) if token not in special] or list(range(len(ids)))
        for i in [i for i in able if rng.random() < 0.15] or [rng.choice(able)]:
            targets[i] = ids[i]
            draw = rng.random()
            if draw < 0.8:
                inputs[i] = self.tokenizer.mask_token_id
            elif draw < 0.9:
                inputs[i] = rng.randrange(len(self.tokenizer))
        return (
            [*self.before, *inputs, *self.after],
            [*[IGNORED] * len(self.before), *targets, *[IGNORED] * len(self.after)],
        )

    def sizes(self, item: Any) -> tuple[int, ...]:
        return (len(item[0]),) if isinstance(item, tuple) else (len(item) - 1,)

    def targets(self, batch: Batch) -> int:
        return sum(target != IGNORED for _, targets in batch.items for target in targets)

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """Token ids and mask (B, T), and targets (B, T)."""
        return (
            *self.padded_ids([inputs for inputs, _ in batch.items]),
            padded([targets for _, targets in batch.items], self.device, IGNORED),
        )

    def loss(
        self, model: nn.Module, tensors: tuple[Tensor, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        ids, mask, targets = tensors
        return summed_cross_entropy(
            model(input_ids=ids, attention_mask=mask).logits, targets, label_smoothing
        )

    @torch.no_grad()
    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[str]:
        """A few pieces with the most probable token in every gap."""
        if count is None:
            return []
        return [self._filled(item, self._guessed(model, item)) for item in self._shown(part)]

    def _shown(self, part: str) -> list[tuple[list[int], list[int]]]:
        self.fixed_batches(part)
        return self.items[part][: self.recipe.evaluation.samples]

    def _guessed(self, model: nn.Module, item: tuple[list[int], list[int]]) -> list[int]:
        ids, mask = self.padded_ids([item[0]])
        return model(input_ids=ids, attention_mask=mask).logits[0].argmax(-1).tolist()

    def _filled(self, item: tuple[list[int], list[int]], fillings: list[int] | None) -> str:
        """The first tokens as text, with [brackets] around what stands in the gaps; without
        fillings they are empty."""
        parts = []
        for place, (token, target) in enumerate(zip(*item, strict=True)):
            if target != IGNORED:
                inside = self.tokenizer.decode([fillings[place]]).strip() if fillings else ""
                parts.append(f" [{inside}] ")
            elif token not in self.tokenizer.all_special_ids:
                parts.append(token)
        return self._joined(parts)[:300]

    def _joined(self, parts: list[Any]) -> str:
        """Runs of token ids decoded together, texts as they are."""
        text, run = [], []
        for part in [*parts, ""]:
            if isinstance(part, int):
                run.append(part)
            else:
                text += [self.tokenizer.decode(run), part]
                run = []
        return " ".join("".join(text).split())

    def samples(self, predictions: list[Any], part: str = "validation") -> tuple[Sample, ...]:
        shown = self._shown(part) if predictions else []
        return tuple(
            Sample(self._filled(item, None), predicted, self._filled(item, item[1]))
            for item, predicted in zip(shown, predictions, strict=True)
        )

    def attention(self, model: nn.Module, step: int) -> AttentionSeen | None:
        return self.attention_in(
            model, "encoder", step, self._text(self.streams["validation"][:24]), None
        )
