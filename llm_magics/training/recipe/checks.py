"""What a recipe's settings may be, one by one and together."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from llm_magics.errors import RecipeError
from llm_magics.training.recipe.setting import Setting, value_of

if TYPE_CHECKING:
    from llm_magics.training.recipe.recipe import Recipe

__all__ = ["check_recipe"]


def check_recipe(recipe: Recipe, settings: Mapping[str, Setting]) -> None:
    """RecipeError for the first setting that is out of its range, or that contradicts another one;
    `settings` are the declarations by dotted name."""
    for name, one in settings.items():
        if one.one_of:
            _one_of(name, value_of(recipe, name), one.one_of)
    _check_together(recipe)
    for name, one in settings.items():
        if one.above is not None and not one.above < (value := value_of(recipe, name)) < math.inf:
            raise RecipeError(f"{name} = {value}: expected a number above {one.above:g}")
    for name, one in settings.items():
        if one.share and not 0 <= (value := value_of(recipe, name)) < 1:
            raise RecipeError(f"{name} = {value}: expected a share from 0 to below 1")


def _check_together(recipe: Recipe) -> None:
    model, data = recipe.model, recipe.data
    if model.architecture == "transformer" and model.d_model % model.nhead:
        raise RecipeError(
            f"model.d_model = {model.d_model} is not divisible by model.nhead = {model.nhead}; "
            "choose another nhead"
        )
    for name in ("join", "back_translate"):
        if (
            getattr(recipe.augmentation, name)
            and recipe.task not in ("translate", "summarize")
            and not model.reference
        ):
            raise RecipeError(
                f"augmentation.{name} makes rows of a source and a target; task = "
                f"{recipe.task!r} has none"
            )
    if recipe.lora.rank and not model.reference:
        raise RecipeError(
            f"lora.rank = {recipe.lora.rank} updates a model that is fine-tuned; name one "
            "(model.reference), or leave LoRA out"
        )
    if recipe.task == "answer" and not model.reference:
        raise RecipeError(
            "task = 'answer' is learnt by fine-tuning only; name a model to fine-tune "
            "(model.reference)"
        )
    if (data.made or data.held_out) and not (data.source_language and data.target_language):
        raise RecipeError(
            "data.made and data.held_out need data.source_language and target_language"
        )
    if data.source == "files" and not data.train:
        raise RecipeError("data.train names no training data")
    if data.group and (data.source not in ("files", "notebook") or recipe.task == "custom"):
        raise RecipeError(
            f"data.group = {data.group!r} names a column, and these rows have none; leave it out"
        )
    if data.test_groups and not data.group:
        raise RecipeError("data.test_groups names values of a column; say which one in data.group")
    if data.test_groups and data.test:
        raise RecipeError(
            f"the test rows come from data.test = {data.test!r} and from data.test_groups; give "
            "one of them"
        )
    if data.also and data.source != "files":
        raise RecipeError(
            f"data.also names more training files, but data.source = {data.source!r}; leave it out"
        )


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        close = difflib.get_close_matches(str(value), allowed, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(allowed)}"
        raise RecipeError(f"{name} = {value!r}: {hint}")
