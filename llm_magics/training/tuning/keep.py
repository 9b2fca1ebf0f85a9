"""The end of a search: the best trial becomes run:NAME, the weights of the others go."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from llm_magics.display.tuning_board import Trial
from llm_magics.errors import RunError
from llm_magics.training.run.control import Control
from llm_magics.training.run.events import Finished
from llm_magics.training.run.loop import train
from llm_magics.training.run.setup import Given
from llm_magics.training.runs.runs import Run
from llm_magics.training.tuning.study import Study

__all__ = ["check_free", "drop_weights", "keep_best"]

_MARK = "study.json"
"""In a run that a study keeps: which study, and which of its trials."""


def check_free(runs_root: Path, name: str, token: str = "") -> None:
    """Raise RunError when there is a run of this name that the study with this token has not put
    there."""
    if (runs_root / name).exists() and _kept(runs_root / name).get("token") != token:
        raise RunError(
            f"the best trial is to be kept as run:{name}, but there is a run of this name; "
            "choose another name for the study, or rename the run"
        )


def keep_best(
    study: Study, best: Trial | None, runs_root: Path, device: str, given_of: Callable[[Run], Given]
) -> Run | None:
    """Copy the best trial to the runs as run:NAME and export its model; None when there is none to
    keep.

    The figures on the test rows are computed here, and of the best trial only: the search has not
    seen them.
    """
    if best is None:
        return None
    check_free(runs_root, study.name, study.settings.token)
    trial, target = study.run_of(best.number), runs_root / study.name
    if _kept(target).get("trial") == trial.name:
        return Run(target)
    if not any(trial.checkpoints.glob("*/manifest.json")):
        raise RunError(
            f"the weights of the best trial {trial.name} are gone, so run:{study.name} cannot be "
            f"made again; train its recipe: %train --recipe {trial.folder / 'recipe.json'}"
        )
    runs_root.mkdir(parents=True, exist_ok=True, mode=0o700)
    building = Path(tempfile.mkdtemp(prefix=".new-", dir=runs_root)) / study.name
    try:
        shutil.copytree(
            trial.folder, building, ignore=shutil.ignore_patterns("lock", "lock.holder")
        )
        (building / _MARK).write_text(
            json.dumps({"token": study.settings.token, "trial": trial.name}), encoding="utf-8"
        )
        _export(Run(building), device, given_of)
        if target.exists():  # an earlier best of this study
            target.rename(building.parent / "before")
        building.rename(target)
    finally:
        shutil.rmtree(building.parent, ignore_errors=True)
    return Run(target)


def _export(run: Run, device: str, given_of: Callable[[Run], Given]) -> None:
    """Let the loop write the model of a run whose training is over, without another step."""
    ends = [event for event in run.events() if isinstance(event, Finished)]
    control = Control()
    control.stop()
    for event in train(run, device=device, control=control, given=given_of(run)):
        if isinstance(event, Finished):
            event = replace(event, reason=ends[-1].reason if ends else event.reason)
        run.append(event)


def drop_weights(study: Study, trials: Iterable[Trial]) -> None:
    """Remove the checkpoints of these trials; their recipes and curves stay."""
    for trial in trials:
        shutil.rmtree(study.run_of(trial.number).checkpoints, ignore_errors=True)


def _kept(folder: Path) -> dict[str, str]:
    try:
        return json.loads((folder / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
