"""What lies in the folder of the runs, damaged and foreign folders included: one line of figures
each."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llm_magics.errors import LLMMagicsError
from llm_magics.models.reference import is_run_name
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.recipe.settings import telling_differences
from llm_magics.training.run.events import (
    Evaluated,
    Failed,
    Finished,
    RunStarted,
    StepDone,
    from_record,
)
from llm_magics.training.runs.runs import Run

__all__ = ["RunSummary", "folder_bytes", "is_locked", "summary_of", "survey"]

_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    LLMMagicsError,
)
"""What files of strangers raise when they are read as a run's."""


@dataclass(frozen=True)
class RunSummary:
    """One folder under the runs, in figures. What is not known keeps its default."""

    name: str
    folder: Path
    state: str = "damaged"
    """"running here", "paused here", "running elsewhere", "finished", "stopped", "failed", "not
    ended", "not begun" or "damaged"."""
    reason: str = ""
    """Why it ended: "completed", "time limit", "early stop" or "stopped"; what is wrong with a
    damaged one."""
    task: str = ""
    model: str = ""
    """The architecture, or the reference of the model that is fine-tuned."""
    parameters: int = 0
    train_rows: int = 0
    step: int = 0
    total_steps: int = 0
    epochs: float = 0.0
    """Passes over the training data so far."""
    loss: float | None = None
    """The lowest validation loss."""
    loss_step: int = 0
    """Where that was."""
    loss_unit: str = ""
    """Of the loss, as it stands behind a number: "nats a target", or "" where it has none (mse) or
    is not known."""
    begun_with: str = ""
    """The run whose model it began with, as run:NAME; "" where it began anew or with a model from
    elsewhere."""
    earlier: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Step → the settings by which the run was trained until then, where they are not today's: it
    was prolonged."""
    metric: str = ""
    """The one that the recipe names."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Of the exported model on held-out rows; before the end, of the last evaluation."""
    seconds: float = 0.0
    """Training time over all its sessions."""
    n_bytes: int = 0
    """On disk."""
    changed_s: float = 0.0
    """When something happened last, in seconds since 1970."""

    @property
    def loss_text(self) -> str:
        """The lowest validation loss with its unit and place; "" without one."""
        if self.loss is None:
            return ""
        return (
            f"{self.loss:.4f}{self.loss_unit and f' {self.loss_unit}'}, at step {self.loss_step:,}"
        )


def survey(root: Path, here: Mapping[str, str] | None = None) -> list[RunSummary]:
    """Every folder under `root` but hidden ones, newest first.

    here: name → state of the runs that this process knows more about ("running here", "failed").
    """
    try:
        folders = [
            path for path in root.iterdir() if not path.name.startswith(".") and path.is_dir()
        ]
    except OSError:
        return []
    found = [summary_of(Run(folder), (here or {}).get(folder.name)) for folder in folders]
    return sorted(found, key=lambda one: (-one.changed_s, one.name))


def summary_of(run: Run, state: str | None = None) -> RunSummary:
    """One run in figures; never raises. state: what this process knows of it."""
    bare = RunSummary(
        run.name, run.folder, n_bytes=folder_bytes(run.folder), changed_s=_changed_s(run.folder)
    )
    if not is_run_name(run.name):
        return replace(bare, reason="its name cannot name a run")
    if not (run.folder / "recipe.json").is_file():
        return replace(bare, reason="no recipe.json: it is no run, or has lost it")
    try:
        return _told(run, replace(bare, task=run.recipe().task), state)
    except _UNREADABLE as error:
        what = (str(error) or type(error).__name__).splitlines()[0][:120]
        return replace(bare, reason=f"its files cannot be read: {what}")


def _told(run: Run, bare: RunSummary, state: str | None) -> RunSummary:
    recipe, (start, step, looks, end) = run.recipe(), _story(run.folder / "events.jsonl")
    own = (
        recipe.name.removesuffix("-custom")
        if recipe.task == "custom"
        else recipe.model.architecture
    )
    known = replace(
        bare,
        model=recipe.model.reference or own,
        metric=recipe.evaluation.metric,
        begun_with=_begun_with(recipe),
        earlier={
            step: {name: was for name, (was, _) in telling_differences([before, recipe]).items()}
            for step, before in run.earlier_recipes().items()
        },
    )
    if start is not None:
        known = replace(
            known,
            parameters=start.parameters,
            train_rows=start.train_rows,
            total_steps=start.total_steps,
            loss_unit=start.loss_unit,
        )
    if step is not None:
        known = replace(known, step=step.step, epochs=step.epoch, seconds=step.seconds)
    if looks:
        best = min(looks, key=lambda look: look.loss)
        known = replace(
            known,
            epochs=max(known.epochs, looks[-1].epoch),
            loss=best.loss,
            loss_step=best.step,
            metrics=dict(looks[-1].metrics),
        )
    if isinstance(end, Finished):
        known = replace(
            known,
            step=end.step,
            seconds=end.seconds,
            reason=end.reason,
            metrics=dict(end.metrics) or known.metrics,
        )
    main = known.metric or next(iter(looks[-1].metrics if looks else known.metrics), "")
    known = replace(known, metric=main)
    ended = (
        "stopped"
        if known.reason == "stopped"
        else "failed"
        if isinstance(end, Failed)
        else "finished"
        if end
        else "not begun"
        if start is None
        else "not ended"
    )
    if state is None and is_locked(run):
        state = "running elsewhere"
    return replace(known, state=state or ended)


def _begun_with(recipe: Recipe) -> str:
    """run:NAME, also where that is a model of transformers, which goes by its reference."""
    reference = recipe.model.reference
    return (
        f"run:{recipe.model.from_run}"
        if recipe.model.from_run
        else reference
        if reference.startswith("run:")
        else ""
    )


_Story = tuple[RunStarted | None, StepDone | None, list[Evaluated], Finished | Failed | None]


def _story(path: Path) -> _Story:
    """(Last start, last step, evaluations, the end if nothing came after it) of a record.

    Of the steps, which are most of it, only the last one is parsed; what a resumed training did
    anew counts once, as in `Run.events`.
    """
    start, end, looks, last_step = None, None, [], b""
    if not path.is_file():
        return None, None, [], None
    with path.open("rb") as file:
        for line in file:
            if line.startswith(b'{"event": "StepDone"'):
                last_step = line if line.endswith(b"}\n") else last_step
                continue
            if not line.startswith(
                (b'{"event": "RunStarted"', b'{"event": "Evaluated"', b'{"event": "F')
            ):
                continue
            event = _event(line)
            if isinstance(event, RunStarted):
                start, end = event, None
                looks = [look for look in looks if look.step <= event.step]
            elif isinstance(event, Evaluated):
                looks.append(event)
            elif isinstance(event, Finished | Failed):
                end = event
    step = _event(last_step)
    return start, step if isinstance(step, StepDone) else None, looks, end


def _event(line: bytes) -> Any:
    try:
        return from_record(json.loads(line))
    except (ValueError, KeyError, TypeError):  # a line that a crash cut short
        return None


def is_locked(run: Run) -> bool:
    """Whether a process trains the run now, of this machine or another one on the same disk."""
    from filelock import FileLock, Timeout

    lock, holder = run.folder / "lock", run.folder / "lock.holder"
    if not lock.is_file() or _has_died(holder):
        return False
    try:
        with FileLock(lock, blocking=False):
            return False
    except Timeout:
        return True
    except OSError:  # a disk without locks, or without the right to ask
        return False


def _has_died(holder: Path) -> bool:
    """Whether the process that held the lock last is known to be gone, so that nobody need touch
    the lock."""
    import psutil

    try:
        _, number, _, machine = holder.read_text(encoding="utf-8").split(None, 3)
        return machine == platform.node() and not psutil.pid_exists(int(number))
    except (OSError, ValueError, OverflowError):
        return False


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; what cannot be read counts nothing, links are not
    followed."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def _changed_s(folder: Path) -> float:
    for name in ("events.jsonl", "recipe.json", "."):
        try:
            return (folder / name).stat().st_mtime
        except OSError:
            continue
    return 0.0
