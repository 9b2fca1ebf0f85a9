"""One module for each thing that can be learnt; `make_objective` finds the one that a recipe
means."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_magics.training.objectives.base import Objective
    from llm_magics.training.recipe.recipe import Recipe

__all__ = ["objective_class"]


def objective_class(recipe: Recipe) -> type[Objective]:
    """The objective of the recipe's task with a model from scratch, or with one to fine-tune."""
    if recipe.model.reference:
        from llm_magics.training.objectives.finetune.objectives import FINE_TUNED

        return FINE_TUNED[recipe.task]
    if recipe.task in ("translate", "summarize"):
        from llm_magics.training.objectives.translate import Translate

        return Translate
    if recipe.task in ("language-model", "masked-language-model"):
        from llm_magics.training.objectives.language_model import LanguageModel, MaskedLanguageModel

        return LanguageModel if recipe.task == "language-model" else MaskedLanguageModel
    if recipe.task in ("classify", "label-tokens"):
        from llm_magics.training.objectives.classify import Classify, LabelTokens

        return Classify if recipe.task == "classify" else LabelTokens
    from llm_magics.training.objectives.custom import Custom

    return Custom
