"""Fine-tuning: a model of transformers goes on learning, all of it or through low-rank updates."""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_magics.errors import RecipeError
from llm_magics.models.folder.library_errors import boundary
from llm_magics.models.folder.native import put_in_place
from llm_magics.training.data.corpus import Corpus
from llm_magics.training.objectives.base import Objective, padded
from llm_magics.training.objectives.finetune.loading import Base, open_base, quiet, reading_limit
from llm_magics.training.objectives.finetune.lora import adapted, merged, save_adapter
from llm_magics.training.objectives.translate import attention_of
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.run.events import AttentionSeen
from llm_magics.training.runs.runs import Run

__all__ = ["IGNORED", "FineTune", "summed_cross_entropy"]

IGNORED = -100
"""The target of a place where nothing is asked."""


class FineTune(Objective):
    """What the tasks have in common. The dropout is the model's own; model.dropout of a recipe is
    for models from scratch."""

    auto: ClassVar[str]
    """The Auto class of transformers that has the head of the task."""
    words: ClassVar[bool] = False
    """Whether texts come as lists of words."""
    augments: ClassVar[bool] = False
    """Whether augmentation.drop and augmentation.swap can be done."""

    def __init__(self, recipe: Recipe, run: Run, corpus: Corpus, device: torch.device) -> None:
        Objective.__init__(
            self, recipe, run, corpus, device
        )  # by name: a task's other base builds a model from scratch
        self._check_augmentation()
        base = open_base(recipe, run, self.auto, self.known_labels(), self.words)
        self.reference, self.base_name, self.labels = base.reference, base.name, base.labels
        self.tokenizer, self.model = base.tokenizer, base.module
        self.remarks = _remarks(base, recipe)
        self._limit_length()
        self.adapter = adapted(self.model, recipe, base.new) if recipe.lora.rank else None
        self.model.to(device)
        self._copy: Any = None
        self.items = {}
        self.prepare()

    def known_labels(self) -> list[str] | None:
        """The labels of a classifier's rows."""
        return None

    def prepare(self) -> None:
        """Encode the rows, once model and tokenizer are there."""
        self.items = {part: self.encoded(part) for part in ("train", "validation")}

    def _check_augmentation(self) -> None:
        wanted = self.recipe.augmentation
        for name, value, able in (
            ("join", wanted.join, False),
            ("drop", wanted.drop, self.augments),
            ("swap", wanted.swap, self.augments),
        ):
            if value and not able:
                raise RecipeError(
                    f"augmentation.{name} is not done when a model is fine-tuned for "
                    f"{self.recipe.task}; leave it out"
                )

    def _limit_length(self) -> None:
        """Rows no longer than the model reads, whatever the recipe allows."""
        limit, asked = (
            reading_limit(self.model, self.tokenizer),
            self.recipe.batch.max_tokens_per_side,
        )
        if limit is not None and limit < asked:
            self.recipe = self.recipe.with_settings({"batch.max_tokens_per_side": limit})
            self.remarks.append(
                f"the model reads at most {limit:,} tokens; batch.max_tokens_per_side is "
                f"{limit}, not {asked}"
            )

    @property
    def longest(self) -> int:
        """The most tokens of a row on one side."""
        return self.recipe.batch.max_tokens_per_side

    @property
    def pad(self) -> int:
        """The id that fills a row; a mask hides it."""
        return next(
            (
                number
                for number in (
                    self.tokenizer.pad_token_id,
                    self.model.config.pad_token_id,
                    self.tokenizer.eos_token_id,
                )
                if isinstance(number, int)
            ),
            0,
        )

    def ids(self, texts: list[str], *, cut: bool = False, **options: Any) -> list[list[int]]:
        """Token ids of each text with the model's own marks; `cut` to what the recipe allows."""
        if not texts:
            return []
        with boundary(f"the tokenizer of {self.reference}", "used"):
            coded = self.tokenizer(
                texts,
                verbose=False,
                truncation=cut,
                max_length=self.longest if cut else None,
                return_attention_mask=False,
                **options,
            )
        return [list(row) for row in coded["input_ids"]]

    def padded_ids(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Token ids (B, T), and the mask (B, T) that is 1 where there is a token."""
        return padded(rows, self.device, self.pad), padded(
            [[1] * len(row) for row in rows], self.device
        )

    def copied(self) -> nn.Module:
        """A copy of the model; with an adapter, the model inside a copy of that."""
        if self.adapter is None:
            return copy.deepcopy(self.model)
        self._copy = copy.deepcopy(self.adapter)
        return self._copy.get_base_model()

    def attention_in(
        self, model: nn.Module, kind: str, step: int, source: str, target: str | None
    ) -> AttentionSeen | None:
        """The attention over one text, or the beginning of it that the model reads; None where it
        cannot be seen."""
        while len(self.ids([source])[0]) > self.longest:
            source = source[: len(source) // 2]
        if not source.strip() or (model.config.is_encoder_decoder and kind != "seq2seq"):
            return None
        return attention_of(model, self.tokenizer, kind, step, source, target)

    def export(self, folder: Path, model: nn.Module, card: str) -> None:
        """A folder that transformers loads; after LoRA the merged weights, and the updates alone
        under adapter/."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            if self.adapter is not None:
                adapter = self._adapter_of(model)
                save_adapter(adapter, building / "adapter", self.base_name)
                model = merged(adapter)
            model.config._name_or_path = self.base_name  # no path of this machine
            self.describe(model.config)
            with quiet():
                model.save_pretrained(building)
            self.tokenizer.save_pretrained(building)
            (building / "card.md").write_text(card, encoding="utf-8")
            building.chmod(0o755)
            put_in_place(building, folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def describe(self, config: Any) -> None:
        """Note in config.json what only the recipe knows."""
        config.llm_magics = {"task": self.recipe.task}

    def _adapter_of(self, model: nn.Module) -> Any:
        """An adapter around these weights that may be used up."""
        if self._copy is not None and self._copy.get_base_model() is model:
            adapter, self._copy = self._copy, None
            return adapter
        own = copy.deepcopy(self.adapter)
        own.get_base_model().load_state_dict(model.state_dict())
        return own


def _remarks(base: Base, recipe: Recipe) -> list[str]:
    lines = [f"fine-tuned from {base.name}"]
    if base.new:
        lines.append(f"new weights, drawn from seed {recipe.seed}: {', '.join(base.new)}")
    if recipe.lora.rank:
        lines.append(
            f"LoRA: updates of rank {recipe.lora.rank}, α = {recipe.lora.alpha:g}; all other "
            "weights stay as they are"
        )
    return lines


def summed_cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The sum over all places with a target of the cross-entropy in nats; logits (…, C), targets
    (…) with IGNORED."""
    asked = targets != IGNORED
    return nn.functional.cross_entropy(
        logits[asked].float(), targets[asked], reduction="sum", label_smoothing=label_smoothing
    )
