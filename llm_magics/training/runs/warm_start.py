"""A new run that begins with the model of another one: its architecture, tokenizer and weights; the
optimizer is fresh.

    start/model.safetensors   the weights that the run begins with
    start/config.json         what they belong to, as in a folder of `models.folder.native`

Both are copied into the new run, with the tokenizers, so that the other run may then be trained on,
renamed or deleted. Models of transformers begin by their reference instead, see
`objectives.finetune_loading`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_magics.errors import RecipeError, RunError
from llm_magics.models.reference import embedded_root, runs_root
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.runs.runs import Run, find_run

if TYPE_CHECKING:
    from llm_magics.training.objectives.base import Objective

__all__ = ["fetch", "start_labels", "run_to_begin_from", "take_weights"]

_PREFIX = "run:"
_EMBEDDED = "embedded:"


def run_to_begin_from(root: Path, model: Any) -> Run | None:
    """The run that `run:NAME` begins with, where its model was built here; None for any other
    model.

    Raises RunError where there is no such run or it has no model yet, RecipeError where only a
    notebook has its module.
    """
    if not (isinstance(model, str) and model.startswith(_PREFIX)):
        return None
    run = find_run(root, model.removeprefix(_PREFIX))
    if run.recipe().task == "custom":
        raise RecipeError(
            f"{model} was a module of a notebook, and only the notebook knows how that is built; "
            "put its weights into one (safetensors.torch.load_model) and train that: %train "
            "MODULE --data DATA --loss LOSS"
        )
    config = run.model_folder / "config.json"
    if not config.is_file():
        raise RunError(
            f"{model} has no model to begin with yet; let it train until it ends, or stop it"
        )
    return (
        run
        if json.loads(config.read_text(encoding="utf-8")).get("format") == "llm_magics"
        else None
    )


def fetch(run: Run, recipe: Recipe) -> None:
    """Copy model and tokenizers of the run named by `model.from_run` into `run`, unless they are
    there."""
    start, building = _start(run), run.folder / "start.tmp"
    if start.is_dir():
        return
    model, tokenizers = _origin(recipe.model.from_run)
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(model / name, building / name)
        for tokenizer in tokenizers:
            shutil.copyfile(tokenizer, run.folder / tokenizer.name)
    except OSError as error:
        raise RunError(f"the model {recipe.model.from_run} cannot be copied: {error}") from None
    building.rename(start)  # whole, or not there


def _origin(name: str) -> tuple[Path, list[Path]]:
    """(Folder of the model, files of its tokenizers) of a run, or of `embedded:NAME`."""
    if not name.startswith(_EMBEDDED):
        source = find_run(runs_root(), name)
        return source.model_folder, source.tokenizer_files()
    folder = embedded_root() / name.removeprefix(_EMBEDDED)
    if not (folder / "tokenizer.json").is_file():
        raise RunError(f"{name} is not a model with one vocabulary that ships; see %models")
    return folder, [folder / "tokenizer.json"]


def take_weights(run: Run, objective: Objective) -> None:
    """Put the weights that the run begins with into the objective's model. Raises RecipeError for
    another model."""
    from safetensors.torch import load_file

    from llm_magics.training.run.checkpoint import with_shared_names

    name = objective.recipe.model.from_run
    came_from = name if name.startswith(_EMBEDDED) else _PREFIX + name
    theirs, ours = _config(run)["arguments"], json.loads(json.dumps(objective.arguments))
    for name in sorted(set(theirs) | set(ours)):
        if theirs.get(name) != ours.get(name):
            raise RecipeError(
                f"the model of {came_from} has {name} = {theirs.get(name)}, not "
                f"{ours.get(name)}; a training that begins with its weights keeps its sizes"
            )
    stored = load_file(_start(run) / "model.safetensors")
    objective.model.load_state_dict(with_shared_names(stored, objective.model))
    objective.remarks.append(
        f"begun with the model and the tokenizer of {came_from}; the optimizer is new"
    )


def start_labels(run: Run) -> list[str] | None:
    """The labels of the classifier that the run begins with, in the order of its outputs; None
    where it begins anew."""
    return _config(run).get("labels") if _start(run).is_dir() else None


def _start(run: Run) -> Path:
    return run.folder / "start"


def _config(run: Run) -> dict[str, Any]:
    return json.loads((_start(run) / "config.json").read_text(encoding="utf-8"))
