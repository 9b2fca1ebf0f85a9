"""From what a cell says to a search that runs: the recipe, the space, the study, and the objects of
the notebook."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from llm_magics.errors import InputError, RecipeError, RunError
from llm_magics.training.objectives import objective_class
from llm_magics.training.recipe.recipe import Recipe, recipe_from_dict
from llm_magics.training.run.setup import Given
from llm_magics.training.runs.runs import Run
from llm_magics.training.tuning.keep import check_free
from llm_magics.training.tuning.search import TuningRun
from llm_magics.training.tuning.space import Space
from llm_magics.training.tuning.study import Pruning, Settings, Study, create_study

__all__ = ["OBJECTS", "go_on", "settings_of", "start_search"]

OBJECTS = ("model", "data", "validation", "test", "loss")
"""What a document may name by a file or an architecture, or give as an object of the notebook."""
_SPOKEN = {"task": "task", "from": "source", "to": "target", "fields": "fields"}
_OWN = ("recipe", "search", "pruning", "set")

MakeRecipe = Callable[..., Recipe]
"""`training.api.make_recipe`."""
GivenOf = Callable[..., Given]
"""From (run, model, loss, train=…, validation=…, test=…) to what the run needs of them:
`training.api._given`."""


def settings_of(
    document: Mapping[str, Any],
    make_recipe: MakeRecipe,
    *,
    metric: str = "loss",
    trials: int = 20,
    seed: int = 0,
    keep_all: bool = False,
    said: Mapping[str, str] | None = None,
) -> Settings:
    """What to search, out of the document of a cell.

    It has [search] and, if wanted, [pruning]; and one of: recipe = "NAME" or a [recipe] table;
    model and data as %train takes them (with task, from, to, fields, loss, validation, test); or
    the tables of a recipe themselves. [set] changes settings of the recipe. Raises RecipeError
    before anything is trained.
    """
    overrides = _dotted(document.get("set", {}))
    recipe = _recipe(document, make_recipe, overrides)
    space = Space.read(document.get("search", {}), recipe)
    if metric != "loss":
        known = ("loss", *objective_class(recipe).metrics)
        if metric not in known:
            raise RecipeError(
                f"the metric {metric!r} is not measured in task = {recipe.task!r}; choose "
                f"{', '.join(known)}"
            )
        recipe = recipe.with_settings({"evaluation.metric": metric})
    if trials < 1:
        raise InputError(f"{trials} trials are no search; ask for 1 or more")
    named = {key: document[key] for key in OBJECTS if isinstance(document.get(key), str)} | dict(
        said or {}
    )
    search = {
        name: list(one.of) if hasattr(one, "of") else _table(one)
        for name, one in space.dimensions.items()
    }
    return Settings(
        recipe.to_dict(),
        search,
        Pruning.read(document.get("pruning", {})),
        metric,
        trials,
        seed,
        keep_all,
        said=named,
    )


def start_search(
    studies_root: Path,
    runs_root: Path,
    name: str,
    settings: Settings,
    objects: Mapping[str, Any],
    given_of: GivenOf,
    **how: Any,
) -> TuningRun:
    """Make the study and search in a worker thread. Raises RunError when the name is taken."""
    check_free(runs_root, name)
    _check_objects(recipe_from_dict(settings.recipe), objects, name, settings)
    study = create_study(studies_root, name, settings)
    return _started(study, runs_root, objects, given_of, {**how, "is_new": True})


def go_on(
    study: Study,
    runs_root: Path,
    objects: Mapping[str, Any],
    given_of: GivenOf,
    *,
    trials: int | None = None,
    **how: Any,
) -> TuningRun:
    """Search on, with `trials` trials in all where that is said. Raises RunError when a process
    searches already."""
    if study.busy():
        raise RunError(
            f"study {study.name} is being searched already; look at it by %tune --attach "
            f"{study.name}"
        )
    objects = {**study.settings.said, **objects}
    _check_objects(study.recipe, objects, study.name, study.settings)
    if trials is not None:
        (study.folder / "tune.json").write_text(
            json.dumps(asdict(replace(study.settings, trials=trials)), indent=1), encoding="utf-8"
        )
        study = Study(study.folder)
    return _started(study, runs_root, objects, given_of, how)


def _recipe(
    document: Mapping[str, Any], make_recipe: MakeRecipe, overrides: dict[str, Any]
) -> Recipe:
    given, own = (
        document.get("recipe"),
        {key: value for key, value in document.items() if key not in _OWN},
    )
    spoken = {
        key: own.pop(key) for key in (*OBJECTS, *_SPOKEN) if key in own and not _is_table(key, own)
    }
    if given is not None:
        if spoken or own:
            raise RecipeError(
                f"the recipe is given already, so {next(iter({**spoken, **own}))} is not "
                "understood; change a setting of the recipe below [set]"
            )
        return make_recipe(dict(given) if isinstance(given, Mapping) else given, overrides)
    if "data" not in spoken:
        if spoken or not own:
            raise RecipeError(
                'what is to be trained? write recipe = "NAME", or model = "…" and data = "…", or '
                "a recipe, above "
                "[search]"
            )
        return make_recipe(own, overrides)
    if own:
        raise RecipeError(
            f"{next(iter(own))} is no word for what is trained; settings of the recipe belong "
            "below [set]"
        )
    spoken.pop("loss", None)
    return make_recipe(
        None, overrides, **{_SPOKEN.get(key, key): value for key, value in spoken.items()}
    )


def _dotted(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`model.dropout = 0.1`, which TOML reads as a table in a table, under its dotted name."""
    dotted: dict[str, Any] = {}
    for key, value in table.items():
        name = prefix + key
        dotted |= (
            _dotted(value, f"{name}.")
            if isinstance(value, Mapping) and name != "data.fields"
            else {name: value}
        )
    return dotted


def _is_table(key: str, document: Mapping[str, Any]) -> bool:
    """Whether `key` is a table of a recipe, rather than a word that says what is trained."""
    return (
        isinstance(document["data" if key == "task" and "data" in document else key], Mapping)
        and key != "fields"
    )


def _table(dimension: Any) -> dict[str, Any]:
    said = {"low": dimension.low, "high": dimension.high}
    return {
        **said,
        **({"log": True} if dimension.log else {}),
        **({"step": dimension.step} if dimension.step else {}),
    }


def _check_objects(
    recipe: Recipe, objects: Mapping[str, Any], name: str, settings: Settings
) -> None:
    """RunError when the study trains on objects of a notebook that are not given."""
    needed = [
        *(["data"] if recipe.data.source == "notebook" else []),
        *(["model", "loss"] if recipe.task == "custom" else []),
    ]
    missing = [
        key
        for key in needed
        if objects.get(key) is None or (key != "loss" and isinstance(objects[key], str))
    ]
    if missing:
        which = ", ".join(f"{key} = {settings.said.get(key, '…')}" for key in missing)
        raise RunError(
            f"study {name} needs objects of the notebook that are not there ({which}); make them "
            "first"
        )


def _started(
    study: Study,
    runs_root: Path,
    objects: Mapping[str, Any],
    given_of: GivenOf,
    how: dict[str, Any],
) -> TuningRun:
    model, loss = objects.get("model"), objects.get("loss")
    parts = {
        "train": objects.get("data"),
        "validation": objects.get("validation"),
        "test": objects.get("test"),
    }

    def given(run: Run) -> Given:
        """Each trial trains a copy: the notebook's module stays what it is."""
        return given_of(run, copy.deepcopy(model), loss, **parts)

    return TuningRun(study, runs_root, given_of=given, **how).start()
