"""Going on with a run, also beyond the end that it has reached: the same training with a later
end."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from llm_magics.display.progress import counted, duration
from llm_magics.errors import RecipeError, RunError
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.run.events import Finished, RunStarted
from llm_magics.training.run.schedule import factor
from llm_magics.training.run.setup import Setup, steps_of
from llm_magics.training.runs.runs import Run

__all__ = ["ENDS", "check_goes_on", "prolong"]

ENDS = {
    "schedule.epochs": "--epochs",
    "schedule.max_steps": "--set schedule.max_steps=N",
    "schedule.max_seconds": "--set schedule.max_seconds=N",
    "evaluation.patience": "--early-stop",
}
"""Settings of when a training ends, which alone may change when a run goes on, and how they are
said."""


def check_goes_on(run: Run, overrides: Mapping[str, Any]) -> None:
    """Raise unless the run can go on with these dotted settings changed.

    RecipeError for a setting that is none of its end, RunError for a run that has reached its end
    and is given no later one.
    """
    recipe = run.recipe()
    others = [setting for setting in overrides if setting not in ENDS]
    if others:
        raise RecipeError(
            f"run {run.name} goes on with its own settings, of which only the end can change "
            f"({', '.join(ENDS.values())}), not {', '.join(others)}; begin a new run with its "
            f"model: %train run:{run.name} --data DATA"
        )
    marks = [event for event in run.events() if isinstance(event, RunStarted | Finished)]
    end = marks[-1] if marks and isinstance(marks[-1], Finished) else None
    if end is None or end.reason == "stopped" or recipe.with_settings(dict(overrides)) != recipe:
        return
    how = {
        "early stop": f"--early-stop {2 * recipe.evaluation.patience}",
        "time limit": f"--set schedule.max_seconds={2 * recipe.schedule.max_seconds:g}",
    }
    raise RunError(
        f"run {run.name} is finished ({end.reason}, {counted(end.step, 'step')}); give --epochs, "
        "counted from the beginning, or another later end to train it further: %train --resume "
        f"{run.name} {how.get(end.reason, f'--epochs {2 * recipe.schedule.epochs:g}')}"
    )


def prolong(run: Run, setup: Setup, step: int, seconds: float, rate_factor: float) -> list[str]:
    """Make the setup's recipe that of the run, which stands at `step` after `seconds`; what to tell
    people of it.

    The recipe so far stays in the run's folder, and so does the best checkpoint until it is
    bettered. A model that is the mean of several checkpoints, which later ones will push out, is
    kept beside it. Raises RecipeError where the new end is already behind the run.
    """
    before, recipe = run.recipe(), setup.recipe
    if recipe == before:
        return []
    _check_is_ahead(run, setup, step, seconds)
    kept = run.folder / f"model-until-{step:08d}"
    if recipe.evaluation.average_last > 1 and run.model_folder.is_dir() and not kept.exists():
        shutil.copytree(run.model_folder, kept)
    run.replace_recipe(recipe, step)
    return [_told(before, setup, step, rate_factor)]


def _check_is_ahead(run: Run, setup: Setup, step: int, seconds: float) -> None:
    recipe = setup.recipe
    if setup.total_steps <= step:
        epochs = step / setup.steps_per_epoch
        raise RecipeError(
            f"run {run.name} has {counted(step, 'step')} ({epochs:.3g} epochs) behind it, and "
            f"the new end is at step {setup.total_steps:,}; --epochs counts from the beginning: "
            f"give more than {epochs:.3g}"
        )
    if 0 < recipe.schedule.max_seconds <= seconds:
        raise RecipeError(
            f"run {run.name} has trained for {duration(seconds)}, and schedule.max_seconds = "
            f"{recipe.schedule.max_seconds:g} counts from the beginning; give more, or 0 for no "
            "limit"
        )


def _told(before: Recipe, setup: Setup, step: int, rate_factor: float) -> str:
    """Where the schedule ends now, and the jump of the learning rate: the schedule is that of the
    new length throughout."""
    recipe, total, total_before = (
        setup.recipe,
        setup.total_steps,
        steps_of(before.schedule, setup.steps_per_epoch),
    )
    if total == total_before:
        changed = [
            f"{name} = {new:g} in place of {old:g}"
            for name in ENDS
            for old, new in [(_value(before, name), _value(recipe, name))]
            if old != new
        ]
        return f"goes on with {', '.join(changed)}"
    peak = recipe.optimizer.lr * rate_factor
    last, following = (
        peak * factor(schedule, at, steps)
        for schedule, at, steps in (
            (before.schedule, max(1, step), total_before),
            (recipe.schedule, step + 1, total),
        )
    )
    limit = recipe.schedule.max_steps
    end = (
        counted(limit, "step")
        if limit == total
        else f"{recipe.schedule.epochs:g} epochs ({counted(total, 'step')})"
    )
    return (
        f"the schedule now runs to {end}, before to {counted(total_before, 'step')}: learning "
        f"rate {following:.3g} at step {step + 1:,}, {last:.3g} at the one before"
    )


def _value(recipe: Recipe, dotted: str) -> Any:
    table, name = dotted.split(".")
    return getattr(getattr(recipe, table), name)
