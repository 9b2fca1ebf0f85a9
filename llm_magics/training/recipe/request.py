"""From what a person says in one line to a recipe and the objects that go with it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_magics.errors import RecipeError
from llm_magics.training.recipe.recipe import ARCHITECTURES, SETTINGS, TASKS, WORDS

if TYPE_CHECKING:
    from llm_magics.training.runs.runs import Run

__all__ = ["AUGMENTATIONS", "OPTION_SETTINGS", "SAID", "continued_document", "recipe_document"]

OPTION_SETTINGS = {
    one.option.removeprefix("--"): name for name, one in SETTINGS.items() if one.option
}
"""Options of %train that stand for one setting of a recipe."""
AUGMENTATIONS = ("join", "drop", "swap", "back_translate")
"""Settings that --augment knows."""
SAID = {
    **{setting: f"--{option}" for option, setting in OPTION_SETTINGS.items()},
    **{f"augmentation.{kind}": f"--augment {kind}" for kind in AUGMENTATIONS},
    **{word: f"--{word}" for word in WORDS},
}
"""Dotted setting, or word of `llm_magics.train` → how a person says it."""

_FINE_TUNING = {
    "optimizer": {"lr": 5e-5, "weight_decay": 0.01, "betas": [0.9, 0.999]},
    "schedule": {"kind": "linear", "epochs": 3.0},
}
_FROM_SCRATCH = {
    "classify": {
        "batch": {"tokens": 4_000, "max_tokens_per_side": 512},
        "model": {"num_layers": 1, "dropout": 0.3},
    },
    "label-tokens": {
        "tokenizer": {"kind": "word", "vocab_size": 30_000, "min_frequency": 1},
        "model": {"num_layers": 1, "dropout": 0.3},
    },
    "custom": {"optimizer": {"weight_decay": 0.0}},
}


def recipe_document(
    model: Any,
    data: Any,
    *,
    task: str | None = None,
    source: str | None = None,
    target: str | None = None,
    fields: Mapping[str, str] | None = None,
    held_out: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The recipe, as plain values, of training `model` on `data`.

    model: an architecture ("transformer", "lstm", …), a reference of a model to fine-tune, or a
    torch module; data: a file, hub:NAME, or an object of the notebook (named "notebook" in the
    recipe); held_out: "validation" and "test" likewise. Without a task, languages say translate, a
    module custom, and a .txt file language-model. Raises RecipeError when the task cannot be told.
    """
    kind, what = _model(model)
    if kind == "module" and task not in (None, "custom"):
        raise RecipeError(
            f"task = {task!r} is for the models that are built or loaded here; a module of yours "
            "learns what its --loss says"
        )
    task = task or _task(kind, data, source, target)
    document: dict[str, Any] = {
        "task": task,
        "name": f"{what}-{task}".replace("/", "-").replace(":", "-")[:48],
    }
    defaults = _FINE_TUNING if kind == "reference" else _FROM_SCRATCH.get(task, {})
    for table, values in defaults.items():
        document[table] = dict(values)
    if kind != "module":
        document.setdefault("model", {})[kind] = model
    document["data"] = _data_table(data, source, target, fields, held_out)
    return document


def continued_document(
    run: Run,
    data: Any,
    *,
    task: str | None = None,
    source: str | None = None,
    target: str | None = None,
    fields: Mapping[str, str] | None = None,
    held_out: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The recipe of a new training that begins with the model of `run` and learns from `data`, as
    plain values.

    Every setting but those of the data is that of `run`. Raises RecipeError for another task.
    """
    before = run.recipe()
    if task not in (None, before.task):
        raise RecipeError(
            f"the model of run:{run.name} learnt task = {before.task!r} and can begin no other "
            f"({task!r}); leave --task out, or train a new model"
        )
    document = {
        **before.to_dict(),
        "name": f"from-{run.name}"[:48],
        "description": "",
        "published": {},
    }
    document["model"] |= {"from_run": run.name}
    document["data"] = _data_table(
        data,
        source or before.data.source_language,
        target or before.data.target_language,
        fields,
        held_out,
    )
    return document


def _data_table(
    data: Any,
    source: str | None,
    target: str | None,
    fields: Mapping[str, str] | None,
    held_out: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The [data] table: the names of files, or of the types of a notebook's objects."""
    parts = {
        "train": data,
        **{part: value for part, value in (held_out or {}).items() if value is not None},
    }
    given = [value for value in parts.values() if not isinstance(value, (str, Path))]
    if given and len(given) < len(parts):
        raise RecipeError(
            "the data are partly files and partly objects of the notebook; give all of them in "
            "one way"
        )
    return {
        "fields": dict(fields or {}),
        "source_language": source or "",
        "target_language": target or "",
        "source": "notebook" if given else "files",
        **{part: type(value).__name__ if given else str(value) for part, value in parts.items()},
    }


def _model(model: Any) -> tuple[str, str]:
    """("architecture" | "reference" | "module", a name for it)."""
    if not isinstance(model, (str, Path)):
        return "module", type(model).__name__.lower()
    name = str(model)
    if name in ARCHITECTURES:
        return "architecture", name
    if "/" in name or ":" in name or Path(name).expanduser().is_dir():
        return "reference", Path(name).name
    close = difflib.get_close_matches(name, ARCHITECTURES, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"architectures: {', '.join(ARCHITECTURES)}"
    raise RecipeError(
        f"{name!r} is no architecture, no model reference (ORGANISATION/NAME, run:NAME, a "
        f"folder) and no module of this notebook; {hint}"
    )


def _task(kind: str, data: Any, source: str | None, target: str | None) -> str:
    if kind == "module":
        return "custom"
    if source and target:
        return "translate"
    if isinstance(data, (str, Path)) and str(data).removesuffix(".gz").endswith(".txt"):
        return "language-model"
    raise RecipeError(
        f"what is to be learnt? give --from and --to for a translator, or --task: "
        f"{', '.join(task for task in TASKS if task != 'custom')}"
    )
