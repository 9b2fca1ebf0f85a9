"""Settings of a recipe by their dotted names: which of them mean something to which training, and
where recipes differ.

A training is of one of four kinds: a model built from scratch, one begun with the model of another
run, a transformers model that is fine-tuned, and a module of the notebook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from llm_magics.errors import RecipeError
from llm_magics.training.recipe.recipe import Recipe

__all__ = ["check_meaning", "differing_settings", "matters", "telling_differences"]

_SCRATCH, _BEGUN, _FINE_TUNED, _MODULE = "scratch", "begun", "fine-tuned", "module"
_BUILT = (_SCRATCH, _BEGUN)
_OF_TEXTS = (*_BUILT, _FINE_TUNED)
_PAIRS = ("translate", "summarize")
_RECURRENT = ("rnn", "lstm", "gru")


@dataclass(frozen=True)
class _Scope:
    """To which trainings a setting means something; an empty tuple: to all of them."""

    of: str
    """What has such a setting, in words."""
    kinds: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()

    def covers(self, recipe: Recipe) -> bool:
        kind = _kind(recipe)
        return all(
            not wanted or value in wanted
            for value, wanted in (
                (kind, self.kinds),
                (recipe.task, self.tasks),
                (recipe.optimizer.name, self.optimizers),
                (recipe.model.architecture if kind in _BUILT else "", self.architectures),
            )
        )


_FROM_SCRATCH = _Scope("a model that is built from scratch", (_SCRATCH,))
_TRANSFORMER = _Scope(
    "a transformer that is built from scratch", (_SCRATCH,), architectures=("transformer",)
)
_TEXTS = _Scope("models of text", _OF_TEXTS)
_TWO_SIDES = _Scope("translate and summarize", _OF_TEXTS, _PAIRS)
_NOISE = _Scope("translate, summarize and classify", _OF_TEXTS, (*_PAIRS, "classify"))

_SCOPES: dict[str, _Scope] = {
    "from": _TWO_SIDES,
    "to": _TWO_SIDES,
    "fields": _TEXTS,
    "loss": _Scope("a module of the notebook", (_MODULE,)),
    "data.fields": _TEXTS,
    "data.skip_bad_rows": _TEXTS,
    "data.rows": _TEXTS,
    "cleaning": _TEXTS,
    "data.also": _TEXTS,
    "data.group": _TEXTS,
    "data.test_groups": _TEXTS,
    "augmentation.join": _Scope("translate and summarize with a model of our own", _BUILT, _PAIRS),
    "augmentation.back_translate": _TWO_SIDES,
    "augmentation.drop": _NOISE,
    "augmentation.swap": _NOISE,
    "tokenizer": _FROM_SCRATCH,
    "tokenizer.shared": _Scope(
        "a translator, a summariser or a language model that is built from scratch",
        (_SCRATCH,),
        (*_PAIRS, "language-model", "masked-language-model"),
    ),
    "model": _FROM_SCRATCH,
    "model.reference": _Scope("everything"),
    "model.from_run": _Scope("everything"),
    "model.nhead": _TRANSFORMER,
    "model.dim_feedforward": _TRANSFORMER,
    "model.norm_first": _TRANSFORMER,
    "model.attention": _Scope("a recurrent translator", (_SCRATCH,), _PAIRS, _RECURRENT),
    "model.embedding_size": _Scope(
        "a recurrent translator or language model",
        (_SCRATCH,),
        (*_PAIRS, "language-model"),
        _RECURRENT,
    ),
    "model.bidirectional": _Scope(
        "a recurrent encoder", (_SCRATCH,), (*_PAIRS, "classify", "label-tokens"), _RECURRENT
    ),
    "model.num_layers": _Scope(
        "a model with one stack of layers",
        (_SCRATCH,),
        ("language-model", "masked-language-model", "classify", "label-tokens"),
        ("transformer", *_RECURRENT),
    ),
    "model.num_encoder_layers": _Scope("translate and summarize from scratch", (_SCRATCH,), _PAIRS),
    "model.num_decoder_layers": _Scope(
        "translate and summarize with a transformer from scratch",
        (_SCRATCH,),
        _PAIRS,
        ("transformer",),
    ),
    "lora": _Scope("a transformers model that is fine-tuned", (_FINE_TUNED,)),
    "optimizer.betas": _Scope("adam and adamw", optimizers=("adam", "adamw")),
    "optimizer.momentum": _Scope("the optimizer momentum", optimizers=("momentum",)),
    "optimizer.label_smoothing": _TEXTS,
    "batch.tokens": _TEXTS,
    "batch.max_tokens_per_side": _TEXTS,
    "batch.rows": _Scope("a module of the notebook", (_MODULE,)),
    "evaluation.beams": _TWO_SIDES,
}
"""Dotted setting, table, or word of `Session.train` → the trainings it means something to; others
mean something to all."""

_WORDS = ("description", "published")
_NO_SETTINGS = (*_WORDS, "name", "data.licence", "data.attribution")
"""Parts of a recipe that change no training."""
_PLACES = ("data.train", "data.validation", "data.test")
"""Settings that name a file; the folder it lies in changes no training."""


def matters(recipe: Recipe, setting: str) -> bool:
    """Whether the dotted setting changes anything in the recipe's training."""
    scope = _scope(setting)
    return not _among(setting, _NO_SETTINGS) and (scope is None or scope.covers(recipe))


def check_meaning(
    recipe: Recipe, given: Iterable[str], said: Mapping[str, str] | None = None
) -> None:
    """Raise RecipeError for the first setting that was given and means nothing to this training.

    given: dotted settings, and the words "from", "to", "fields" and "loss"; said: how a person gave
    them, such as {"tokenizer.kind": "--tokenizer"}.
    """
    for name in given:
        scope = _scope(name)
        if scope is not None and not scope.covers(recipe):
            raise RecipeError(
                f"{(said or {}).get(name, name)} is for {scope.of}; {_about(recipe)}, so "
                "leave "
                "it out"
            )


def differing_settings(documents: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Dotted setting → value in each recipe (as `Recipe.to_dict` gives it), for the settings that
    are not all equal.

    Descriptions and published results do not count; None: a recipe does not have the setting.
    """
    flat = [_flat(document) for document in documents]
    names = [
        name
        for name in dict.fromkeys(name for one in flat for name in one)
        if not _among(name, _WORDS)
    ]
    values = {name: tuple(one.get(name) for one in flat) for name in names}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row[1:])}


def telling_differences(recipes: Sequence[Recipe]) -> dict[str, tuple[Any, ...]]:
    """The differing settings that can have made a difference: not names, folders, and what means
    nothing to any of them."""
    return {
        name: row
        for name, row in differing_settings([recipe.to_dict() for recipe in recipes]).items()
        if any(matters(recipe, name) for recipe in recipes)
        and len({_comparable(name, value) for value in row}) > 1
    }


def _kind(recipe: Recipe) -> str:
    if recipe.task == "custom":
        return _MODULE
    return _FINE_TUNED if recipe.model.reference else _BEGUN if recipe.model.from_run else _SCRATCH


def _about(recipe: Recipe) -> str:
    """What this training is, so that it is plain why a setting has no place in it."""
    return {
        _MODULE: "a module of the notebook learns from rows as they are",
        _FINE_TUNED: (
            f"{recipe.model.reference} is fine-tuned ({recipe.task}), with its own tokenizer and "
            "layers"
        ),
        _BEGUN: (
            "this training begins with the model and the tokenizer of "
            f"run:{recipe.model.from_run} ({recipe.task})"
        ),
        _SCRATCH: (
            f"this is {recipe.task} with the architecture {recipe.model.architecture}, from scratch"
        ),
    }[_kind(recipe)]


def _scope(setting: str) -> _Scope | None:
    return _SCOPES.get(setting) or _SCOPES.get(setting.partition(".")[0])


def _among(setting: str, parts: tuple[str, ...]) -> bool:
    return setting in parts or setting.partition(".")[0] in parts


def _comparable(name: str, value: Any) -> str:
    return repr(
        PurePath(value).name
        if name in _PLACES and isinstance(value, str) and not value.startswith("hub:")
        else value
    )


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        elif not isinstance(value, Mapping):
            flat[f"{prefix}{key}"] = tuple(value) if isinstance(value, list) else value
    return flat
