"""One module for each thing that can be learnt; `objective_class` finds the one that a recipe
means."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_magics.training.objectives.base import Objective
    from llm_magics.training.recipe.recipe import Recipe

__all__ = ["FINE_TUNED", "FROM_SCRATCH", "objective_class"]

FROM_SCRATCH = {
    "translate": "translate:Translate",
    "summarize": "translate:Translate",
    "language-model": "language_model:LanguageModel",
    "masked-language-model": "language_model:MaskedLanguageModel",
    "classify": "classify:Classify",
    "label-tokens": "classify:LabelTokens",
    "custom": "custom:Custom",
}
"""Task → module and class of its objective with a model from scratch, or of the notebook."""
FINE_TUNED = {
    "translate": "finetune.seq2seq:FineTuneTranslate",
    "summarize": "finetune.seq2seq:FineTuneSummarize",
    "language-model": "finetune.language:FineTuneLanguageModel",
    "masked-language-model": "finetune.language:FineTuneMaskedLanguageModel",
    "classify": "finetune.classify:FineTuneClassify",
    "label-tokens": "finetune.classify:FineTuneLabelTokens",
    "answer": "finetune.answer:FineTuneAnswer",
}
"""Likewise with a model of transformers."""


def objective_class(recipe: Recipe) -> type[Objective]:
    """The objective of the recipe's task with a model from scratch, or with one to fine-tune."""
    of_task = FINE_TUNED if recipe.model.reference else FROM_SCRATCH
    module, _, name = of_task[recipe.task].partition(":")
    # only the module that is needed: transformers is imported by those that fine-tune
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
