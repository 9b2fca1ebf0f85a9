"""What a recipe's settings may be, one by one and together."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from llm_magics.errors import RecipeError

if TYPE_CHECKING:
    from llm_magics.training.recipe.recipe import Recipe

__all__ = ["ARCHITECTURES", "GENERATED", "OPTIMIZERS", "SCHEDULES", "TASKS", "check_recipe"]

TASKS = (
    "translate",
    "summarize",
    "language-model",
    "masked-language-model",
    "classify",
    "label-tokens",
    "answer",
    "custom",
)
ARCHITECTURES = ("transformer", "rnn", "lstm", "gru", "softmax-regression")
OPTIMIZERS = ("adamw", "adam", "momentum", "sgd")
SCHEDULES = ("constant", "linear", "inverse_sqrt", "cosine", "one_cycle")
GENERATED = ("number-words", "repeated-sequences")
"""Sources whose rows the project makes itself, a test part among them."""

_CHOICES = {
    "task": TASKS,
    "cleaning.normalize": ("nfc", "nfkc", "none"),
    "tokenizer.kind": ("bpe", "unigram", "word", "char"),
    "model.architecture": ARCHITECTURES,
    "model.attention": ("none", "context", "additive"),
    "optimizer.name": OPTIMIZERS,
    "schedule.kind": SCHEDULES,
    "compute.precision": ("auto", "float32", "bfloat16"),
    "data.source": ("files", *GENERATED, "notebook"),
}
_ABOVE_ZERO = (
    "optimizer.lr",
    "batch.tokens",
    "batch.accumulate",
    "schedule.epochs",
    "tokenizer.vocab_size",
)
_SHARES = (
    "model.dropout",
    "augmentation.drop",
    "augmentation.swap",
    "augmentation.join",
    "data.validation_share",
    "optimizer.label_smoothing",
)


def check_recipe(recipe: Recipe) -> None:
    """RecipeError for the first setting that is out of its range, or that contradicts another
    one."""
    for name, allowed in _CHOICES.items():
        _one_of(name, _setting(recipe, name), allowed)
    _check_together(recipe)
    for name in _ABOVE_ZERO:
        if not 0 < (value := _setting(recipe, name)) < float("inf"):
            raise RecipeError(f"{name} = {value}: expected a number above 0")
    for name in _SHARES:
        if not 0 <= (value := _setting(recipe, name)) < 1:
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
            "(model.reference), "
            "or leave LoRA out"
        )
    if recipe.task == "answer" and not model.reference:
        raise RecipeError(
            "task = 'answer' is learnt by fine-tuning only; name a model to fine-tune "
            "(model.reference)"
        )
    mixes = [name for name in ("weights", "made", "held_out") if getattr(data, name)]
    if mixes and recipe.task != "translate":
        raise RecipeError(
            f"data.{mixes[0]} is for translators; task = {recipe.task!r} cannot have it"
        )
    if (data.made or data.held_out) and not (data.source_language and data.target_language):
        raise RecipeError(
            "data.made and data.held_out need data.source_language and target_language"
        )
    if data.source == "files" and not data.train:
        raise RecipeError("data.train names no training data")
    if data.group and (data.source in GENERATED or recipe.task == "custom"):
        raise RecipeError(
            f"data.group = {data.group!r} names a column, and these rows have none; leave it out"
        )
    if data.test_groups and not data.group:
        raise RecipeError("data.test_groups names values of a column; say which one in data.group")
    if data.test_groups and data.test:
        raise RecipeError(
            f"the test rows come from data.test = {data.test!r} and from data.test_groups; "
            "give "
            "one of them"
        )
    if data.also and data.source != "files":
        raise RecipeError(
            f"data.also names more training files, but data.source = {data.source!r}; leave it out"
        )


def _setting(recipe: Recipe, dotted: str) -> object:
    table, _, name = dotted.rpartition(".")
    return getattr(getattr(recipe, table) if table else recipe, name)


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        close = difflib.get_close_matches(str(value), allowed, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(allowed)}"
        raise RecipeError(f"{name} = {value!r}: {hint}")
