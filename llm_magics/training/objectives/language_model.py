"""The language models: what comes next, and what is missing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_magics.errors import DataError
from llm_magics.models.folder.native import save_native
from llm_magics.nn.cross_entropy import linear_cross_entropy
from llm_magics.nn.decoding import sample
from llm_magics.nn.randomness import initialised_from
from llm_magics.training.data.batches import Batch, batch_of
from llm_magics.training.data.corpus import Corpus
from llm_magics.training.data.tokenizer import SPECIAL
from llm_magics.training.objectives.base import EOS, PAD, Objective, house_tokenizer, padded
from llm_magics.training.objectives.translate import attention_of
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.run.build import model_class
from llm_magics.training.run.events import AttentionSeen, Sample
from llm_magics.training.runs.runs import Run

__all__ = ["LanguageModel", "MaskedLanguageModel"]

_PROMPT_TOKENS, _CONTINUED_TOKENS = 16, 60


class LanguageModel(Objective):
    """P(x) = Π_t P(x_t | x_<t) over a stream of tokens, cut into pieces of
    batch.max_tokens_per_side.

    Every epoch cuts at other places, so that no position of the text is always the first of its
    piece.
    """

    kinds: ClassVar = {"text": "text"}
    metrics = ("perplexity",)
    marks = 0
    """Ids that the model knows beyond the tokenizer's."""

    def __init__(self, recipe: Recipe, run: Run, corpus: Corpus, device: torch.device) -> None:
        super().__init__(recipe, run, corpus, device)
        self.tokenizer = house_tokenizer(run, recipe, lambda: (text for (text,) in corpus.train))
        self.length = recipe.batch.max_tokens_per_side
        self.streams = {part: self._stream(part) for part in ("train", "validation")}
        if len(self.streams["train"]) <= self.length:
            raise DataError(
                f"the training text has {len(self.streams['train']):,} tokens; it needs more than "
                f"batch.max_tokens_per_side = {self.length}"
            )
        self.items = {}
        self.vocab_size = self.tokenizer.source.get_vocab_size() + self.marks
        cls, self.arguments = model_class(recipe, self.vocab_size)
        self.model = initialised_from(lambda: cls(**self.arguments), recipe.seed).to(device)

    def _stream(self, part: str) -> Tensor:
        """All rows of a part as one line of token ids, an end mark between rows."""
        rows = self.tokenizer.encode_source([text for (text,) in self.corpus[part]])
        if rows:
            rows[-1] = rows[-1][:-1]  # nothing comes after the end
        return torch.tensor([token for row in rows for token in row], dtype=torch.long)

    def encoded(self, part: str) -> list[Any]:
        if part not in self.streams:
            self.streams[part] = self._stream(part)
        return self._pieces(self.streams[part], 0)

    def _pieces(self, stream: Tensor, start: int) -> list[Tensor]:
        """Overlapping by one token: the last target of a piece is the first input of the next."""
        return [
            stream[at : at + self.length + 1] for at in range(start, len(stream) - 1, self.length)
        ]

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = random.Random(f"{self.recipe.seed} {epoch}")
        pieces = self._pieces(self.streams["train"], rng.randrange(self.length))
        order = list(range(len(pieces)))
        rng.shuffle(order)
        rows = max(1, self.recipe.batch.tokens // self.length)
        count = -(-len(order) // rows)
        for position in range(count):
            chosen = order[position * rows : (position + 1) * rows]
            yield replace(
                batch_of(chosen, [pieces[i] for i in chosen], self.sizes),
                position=position,
                count=count,
            )

    def place(self, item: int) -> str:
        return f"about token {item * self.length:,} of the training text"

    def sizes(self, item: Tensor) -> tuple[int, ...]:
        return (len(item) - 1,)

    def targets(self, batch: Batch) -> int:
        return batch.real

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """Input ids (B, T) and targets (B, T), the ids one place on; -100 where there is none."""
        pieces = nn.utils.rnn.pad_sequence(batch.items, batch_first=True, padding_value=-100).to(
            self.device
        )
        return pieces[:, :-1].clamp(min=PAD), pieces[:, 1:]

    def loss(
        self, model: nn.Module, tensors: tuple[Tensor, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        inputs, targets = tensors
        features = model.features(inputs)  # (B, T, D)
        return linear_cross_entropy(
            features.flatten(0, 1),
            model.generator.weight,
            model.generator.bias,
            targets.flatten(),
            label_smoothing=label_smoothing,
        )

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
        prompts = self._prompts(part)
        generator = torch.Generator(self.device).manual_seed(self.recipe.seed)
        written = sample(
            model,
            prompts.to(self.device),
            max_new_tokens=_CONTINUED_TOKENS,
            eos=EOS,
            temperature=0.8,
            generator=generator,
        )
        return [self.tokenizer.decode_target(tokens) for tokens in written]

    def _prompts(self, part: str) -> Tensor:
        stream, wanted = self.streams[part], self.recipe.evaluation.samples
        starts = [i * (len(stream) - _PROMPT_TOKENS) // max(1, wanted) for i in range(wanted)]
        return (
            torch.stack([stream[at : at + _PROMPT_TOKENS] for at in starts])
            if starts
            else stream[:0, None]
        )

    def expected(self, part: str, count: int | None = None) -> list[Any]:
        return []

    def samples(self, predictions: list[Any], part: str = "validation") -> tuple[Sample, ...]:
        given = (
            [self.tokenizer.decode_target(row.tolist()) for row in self._prompts(part)]
            if predictions
            else []
        )
        return tuple(
            Sample(prompt, continued) for prompt, continued in zip(given, predictions, strict=True)
        )

    def attention(self, model: nn.Module, step: int) -> AttentionSeen | None:
        stream = self.streams["validation"]
        if not len(stream):
            return None
        text = self.tokenizer.decode_target(stream[:24].tolist())
        return (
            attention_of(model, self.tokenizer, "causal", step, text, None)
            if text.strip()
            else None
        )

    def export(self, folder: Path, model: nn.Module, card: str) -> None:
        save_native(
            folder,
            model,
            arguments=self.arguments,
            task=self.recipe.task,
            source_language=self.recipe.data.source_language,
            target_language=self.recipe.data.source_language,
            source_tokenizer=self.tokenizer.source,
            card=card,
            special=self.special(),
            trained_tokens=self.length,
        )

    def special(self) -> dict[str, int]:
        """The ids of the marks."""
        return dict(SPECIAL)


class MaskedLanguageModel(LanguageModel):
    """P(x_t | the other tokens) for the 15 % of tokens that are hidden (Devlin et al. 2019).

    Of the hidden tokens 80 % are replaced by the mask, 10 % by a random token, and 10 % stay as
    they are. Which, is a function of seed and epoch in training, and always the same on held-out
    rows.
    """

    marks = 1

    def batches(self, epoch: int) -> Iterator[Batch]:
        for batch in super().batches(epoch):
            yield replace(
                batch,
                items=[
                    self._hidden(item, f"{self.recipe.seed} {epoch} {row}")
                    for item, row in zip(batch.items, batch.rows, strict=True)
                ],
            )

    def encoded(self, part: str) -> list[Any]:
        return [
            self._hidden(item, f"{part} {row}") for row, item in enumerate(super().encoded(part))
        ]

    def _hidden(self, item: Tensor, seed: str) -> tuple[list[int], list[int]]:
        """(inputs, targets): targets are -100 where nothing is asked."""
        rng, ids = random.Random(seed), item[: self.length].tolist()
        inputs, targets = list(ids), [-100] * len(ids)
        chosen = [i for i in range(len(ids)) if rng.random() < 0.15] or [rng.randrange(len(ids))]
        for i in chosen:
            targets[i] = ids[i]
            draw = rng.random()
            if draw < 0.8:
                inputs[i] = self.vocab_size - 1
            elif draw < 0.9:
                inputs[i] = rng.randrange(len(SPECIAL), self.vocab_size - 1)
        return inputs, targets

    def sizes(self, item: Any) -> tuple[int, ...]:
        return (len(item[0]),) if isinstance(item, tuple) else super().sizes(item)

    def targets(self, batch: Batch) -> int:
        return sum(target != -100 for _, targets in batch.items for target in targets)

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        return (
            padded([inputs for inputs, _ in batch.items], self.device),
            padded([targets for _, targets in batch.items], self.device, -100),
        )

    def loss(
        self, model: nn.Module, tensors: tuple[Tensor, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        inputs, targets = tensors
        asked = targets != -100
        features = model.features(inputs, inputs == PAD)[asked]  # (N, D)
        return linear_cross_entropy(
            features,
            model.generator.weight,
            model.generator.bias,
            targets[asked],
            label_smoothing=label_smoothing,
        )

    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[str]:
        """The most probable token of every gap of a few pieces, in its place."""
        if count is None:
            return []
        return [self._written(item[1], self._guessed(model, item)) for item in self._shown(part)]

    def _shown(self, part: str) -> list[tuple[list[int], list[int]]]:
        self.fixed_batches(part)
        return [
            (inputs[:40], targets[:40])
            for inputs, targets in self.items[part][: self.recipe.evaluation.samples]
        ]

    @torch.no_grad()
    def _guessed(self, model: nn.Module, item: tuple[list[int], list[int]]) -> list[int]:
        best = model(torch.tensor([item[0]], device=self.device))[0].argmax(-1).tolist()
        return [
            guess if target != -100 else token
            for token, target, guess in zip(*item, best, strict=True)
        ]

    def _written(self, targets: list[int], filled: list[int | None]) -> str:
        """The text with [brackets] around what stands in the gaps; None leaves a gap empty."""
        tokens = [
            "" if token is None else self.tokenizer.source.id_to_token(token) or ""
            for token in filled
        ]
        return (
            "".join(
                f"[{token}]" if target != -100 else token
                for token, target in zip(tokens, targets, strict=True)
            )
            .replace("▁", " ")
            .strip()
        )

    def samples(self, predictions: list[Any], part: str = "validation") -> tuple[Sample, ...]:
        shown = self._shown(part) if predictions else []
        return tuple(
            Sample(
                self._written(
                    targets,
                    [None if t != -100 else i for i, t in zip(inputs, targets, strict=True)],
                ),
                predicted,
                self._written(
                    targets, [t if t != -100 else i for i, t in zip(inputs, targets, strict=True)]
                ),
            )
            for (inputs, targets), predicted in zip(shown, predictions, strict=True)
        )

    def special(self) -> dict[str, int]:
        return {**SPECIAL, "mask": self.vocab_size - 1}
