"""Settings of a recipe by their dotted names: which of them mean something to which training, and
where recipes differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from llm_magics.errors import RecipeError
from llm_magics.training.recipe.recipe import SETTINGS, TABLES, WORDS, Data, Recipe
from llm_magics.training.recipe.setting import (
    BEGUN,
    FINE_TUNED,
    MODULE,
    SCRATCH,
    Scope,
    Setting,
    kind_of_training,
    value_of,
)

__all__ = [
    "check_meaning",
    "differing_settings",
    "matters",
    "settings_table",
    "telling_differences",
]

_TEXTUAL = ("description", "published")
_NO_SETTINGS = (*_TEXTUAL, "name", "data.licence", "data.attribution")
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
                f"{(said or {}).get(name, name)} is for {scope.of}; {_about(recipe)}, so leave "
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
        if not _among(name, _TEXTUAL)
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


def _about(recipe: Recipe) -> str:
    """What this training is, so that it is plain why a setting has no place in it."""
    return {
        MODULE: "a module of the notebook learns from rows as they are",
        FINE_TUNED: (
            f"{recipe.model.reference} is fine-tuned ({recipe.task}), with its own tokenizer and "
            "layers"
        ),
        BEGUN: (
            "this training begins with the model and the tokenizer of "
            f"run:{recipe.model.from_run} ({recipe.task})"
        ),
        SCRATCH: (
            f"this is {recipe.task} with the architecture {recipe.model.architecture}, from scratch"
        ),
    }[kind_of_training(recipe)]


def _scope(setting: str) -> Scope | None:
    """That of the word or setting, or else of its table; None: it means something to all."""
    if setting in WORDS:
        return WORDS[setting]
    for name in (setting, setting.partition(".")[0]):
        if name in SETTINGS and (scope := SETTINGS[name].scope) is not None:
            return scope
    return None


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


def settings_table() -> str:
    """Every setting as a table in Markdown: default, range, option of %train, and the trainings it
    means something to."""
    defaults = Recipe(data=Data(train="FILE"))
    lines = ["| setting | default | may be | option | for |", "|---|---|---|---|---|"]
    for name, one in SETTINGS.items():
        if name in TABLES:
            continue
        default = "FILE" if name == "data.train" else _as_toml(value_of(defaults, name))
        option = f"`{one.option}`" if one.option else ""
        scope = _scope(name)
        of = scope.of if scope else ""
        lines.append(f"| `{name}` | `{default}` | {_range(one)} | {option} | {of} |")
    return "\n".join(lines)


def _range(one: Setting) -> str:
    if one.above is not None:
        return f"above {one.above:g}"
    return "a share from 0 to below 1" if one.share else ", ".join(one.one_of)


def _as_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{}"
    return json.dumps(list(value) if isinstance(value, tuple) else value)
