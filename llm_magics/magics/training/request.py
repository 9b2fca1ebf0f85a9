"""From a line of %train to the arguments of `Session.train`: one source of what is trained,
settings, objects."""

from __future__ import annotations

import math
import tomllib
from typing import Any

from llm_magics.magics.core.call import Call
from llm_magics.magics.core.objects import module_or_text, object_or_text
from llm_magics.magics.core.options import Bounded, number, suggestion, whole
from llm_magics.training.recipe.recipe import SETTINGS, shipped_recipes
from llm_magics.training.recipe.request import AUGMENTATIONS, OPTION_SETTINGS

__all__ = ["arguments_of", "choices_of", "typed"]

_WITH_DATA = ("validation", "test", "task", "from", "to", "fields", "loss")
"""Options that say something about --data."""


def arguments_of(call: Call, as_source: bool = False) -> dict[str, Any]:
    """Arguments of `Session.train`, from exactly one source of what is to be trained.

    as_source: objects of the notebook as `python_call` writes them. Raises UsageError for a line
    that makes no sense.
    """
    model = call.words[0] if call.words else None
    _check_source(call, model)
    if call["resume"] and call["name"]:
        raise call.wrong("--resume names the run already; leave --name out")
    if not call["data"]:
        extra = [f"--{name}" for name in _WITH_DATA if call[name]]
        if extra or model:
            raise call.wrong(
                f"{model or extra[0]} goes with --data; a recipe names its own model and data "
                "(change a setting of it with --set)"
            )
    # With neither recipe nor data, the run goes on with its own recipe.
    recipe = call.toml("no recipe in TOML") if (call.cell or "").strip() else call["recipe"]
    arguments = {
        "recipe": recipe,
        "name": call["name"] or call["resume"],
        "overrides": _overrides(call),
        "replace": bool(call["replace"]),
        "device": call["device"],
    }
    if call["data"]:
        arguments |= {
            "model": module_or_text(call, model, as_source),
            "task": call["task"],
            "source": call["from"],
            "target": call["to"],
            "fields": _pairs(call, "fields"),
            **{
                name: object_or_text(call, call[name], as_source)
                for name in ("data", "validation", "test", "loss")
            },
        }
        if call["resume"]:
            arguments["resume"] = True
    return arguments


def _check_source(call: Call, model: str | None) -> None:
    """UsageError unless what is trained comes from one place."""
    given = {
        "--recipe": call["recipe"],
        "--data": call["data"],
        "the cell": (call.cell or "").strip(),
    }
    if not call["data"]:
        given["--resume"] = call["resume"]
    sources = [name for name, value in given.items() if value]
    if len(sources) == 1:
        return
    if sources:
        raise call.wrong(f"what is trained comes from {' and '.join(sources)}; give one of them")
    if model in shipped_recipes():
        raise call.wrong(f"{model} is a recipe: %train --recipe {model}")
    if model and model.startswith("run:"):
        raise call.wrong(
            f"{model} begins a new training with that run's model: give --data; to go on with "
            f"the run itself: %train --resume {model.removeprefix('run:')}"
        )
    raise call.wrong(
        f"{model} needs data to be trained on: give --data"
        if model
        else "what is to be trained? write %train MODEL --data DATA, --recipe NAME (%train --list "
        "shows them), or a recipe in TOML below %%train"
    )


def _overrides(call: Call) -> dict[str, object]:
    """Dotted settings: the options that stand for one, --augment and --set."""
    settings = {
        setting: call[option]
        for option, setting in OPTION_SETTINGS.items()
        if call[option] is not None and call[option] is not False
    }  # 0 is a seed
    for kind, value in _pairs(call, "augment").items():
        if kind not in AUGMENTATIONS:
            hint = suggestion(kind, AUGMENTATIONS) or f"; known: {', '.join(AUGMENTATIONS)}"
            raise call.wrong(f"--augment: there is no {kind!r}{hint}")
        settings[f"augmentation.{kind}"] = _value(value)
    return {**settings, **{key: _value(value) for key, value in _pairs(call, "set").items()}}


def _pairs(call: Call, option: str) -> dict[str, str]:
    """`a=1,b=2` as a dict."""
    pairs = {}
    for piece in filter(None, (call[option] or "").split(",")):
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not (key and equals and value):
            raise call.wrong(
                f"--{option}: {piece!r} should read "
                f"{'ROLE=COLUMN' if option == 'fields' else 'KEY=VALUE'}"
            )
        pairs[key] = value
    return pairs


def _value(text: str) -> object:
    """A number, true or false where it reads as one, else the text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def typed(option: str) -> Bounded:
    """The converter of an option that sets one setting, with the range declared there."""
    low, high = SETTINGS[OPTION_SETTINGS[option.removeprefix("--")]].typed or (-math.inf, math.inf)
    return whole(low, high) if isinstance(low, int) and isinstance(high, int) else number(low, high)


def choices_of(option: str) -> tuple[str, ...]:
    """The values there are for an option that sets one setting."""
    return SETTINGS[OPTION_SETTINGS[option.removeprefix("--")]].one_of
