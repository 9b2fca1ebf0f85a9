"""The runs on this machine, as an object: lists, compares, renames, exports and deletes them, and
holds the handles on what was started in this process.

Importing this module loads no torch; what works is imported when there is work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from llm_magics.errors import ModelNotFound, RunError

if TYPE_CHECKING:
    from pathlib import Path

    from llm_magics.models.manager.manager import ModelManager
    from llm_magics.training.export.publish import Export
    from llm_magics.training.run.launch import TrainingResult, TrainingRun
    from llm_magics.training.runs.compare import Comparison
    from llm_magics.training.runs.manage import Trashed
    from llm_magics.training.runs.runs import Run
    from llm_magics.training.runs.summary import RunSummary
    from llm_magics.training.tuning.result import TuningResult
    from llm_magics.training.tuning.search import TuningRun
    from llm_magics.training.tuning.study import Study

__all__ = ["Runs", "Translate"]

Handle = TypeVar("Handle", bound="TrainingRun | TuningRun")


class Translate(Protocol):
    """Texts → their translations, "" for one that failed."""

    def __call__(
        self, texts: Sequence[str], *, model: str, source: str | None, target: str | None
    ) -> list[str]: ...


def _none() -> ModelManager | None:
    return None


@dataclass
class Runs:
    """The runs and studies of this machine; `session.runs` of the notebook.

    `llm_magics.training.api` holds the functions that start trainings and searches with it.
    """

    translate: Translate | None = field(default=None, repr=False)
    """Translates many texts: what augmentation by back-translation asks for."""
    open_models: Callable[[], ModelManager | None] = field(default=_none, repr=False)
    """The model manager if it is open already: what holds the models of runs."""
    training: dict[str, TrainingRun] = field(default_factory=dict)
    """Handles on the trainings started here, by run name."""
    tuning: dict[str, TuningRun] = field(default_factory=dict)
    """Handles on the searches started here, by study name."""

    @property
    def root(self) -> Path:
        """The folder of the runs."""
        from llm_magics.models.reference import runs_root

        return runs_root()

    @property
    def studies_root(self) -> Path:
        """The folder of the studies."""
        return self.root.parent / "studies"

    def all(self) -> list[Run]:
        """Every run on this machine, by name."""
        from llm_magics.training.runs.runs import list_runs

        return list_runs(self.root)

    def find(self, name: str) -> Run:
        """The run of this name; RunError lists those there are."""
        from llm_magics.training.runs.runs import find_run

        return find_run(self.root, name)

    def survey(self) -> list[RunSummary]:
        """Every folder under the runs in figures, newest first; damaged and foreign ones with what
        is wrong."""
        from llm_magics.training.runs.summary import survey

        return survey(self.root, self._states())

    def compare(self, *names: str) -> Comparison:
        """Two runs or more beside each other: the settings that differ, their figures, their
        curves."""
        from llm_magics.training.runs.compare import compare

        return compare([self.find(name) for name in names], self._states())

    def rename(self, old: str, new: str) -> Run:
        """Give a run another name; RunError while it trains, or when the name is taken. Its model
        is unloaded."""
        from llm_magics.training.runs.manage import rename_run

        self._release(old)
        renamed = rename_run(self.root, old, new)
        self.training.pop(old, None)
        return renamed

    def delete(self, name: str, *, forever: bool = False) -> Trashed:
        """Move a run into the trash, or delete it for good; RunError while it trains or its model
        is pinned."""
        from llm_magics.training.runs.manage import delete_run

        self._release(name, pinned=False)
        deleted = delete_run(self.root, name, forever=forever)
        self.training.pop(name, None)
        return deleted

    def trash(self) -> list[Trashed]:
        """The runs in the trash, the last first."""
        from llm_magics.training.runs.manage import list_trash

        return list_trash(self.root)

    def restore(self, name: str) -> Run:
        """Take a run out of the trash again; RunError when it is not there or its name is taken."""
        from llm_magics.training.runs.manage import restore_run

        return restore_run(self.root, name)

    def empty_trash(self) -> list[Trashed]:
        """Delete what lies in the trash for good; returns what that was."""
        from llm_magics.training.runs.manage import empty_trash

        return empty_trash(self.root)

    def export(
        self, name: str, folder: str | Path, format: str = "safetensors", *, force: bool = False
    ) -> Export:
        """See `llm_magics.training.export.publish.export_run`."""
        from llm_magics.training.export.publish import export_run

        return export_run(self.find(name), folder, format, force=force)

    def export_plan(
        self, name: str, folder: str | Path, format: str = "safetensors", *, force: bool = False
    ) -> str:
        """What `export` would write, in one line."""
        from llm_magics.training.export.publish import export_plan

        return export_plan(self.find(name), folder, format, force=force)

    def _states(self) -> dict[str, str]:
        """What only this process knows of its runs."""
        states = {}
        for name, handle in self.training.items():
            if not handle.done:
                states[name] = "paused here" if handle.control.paused else "running here"
            elif handle.error is not None and handle.began:
                states[name] = "failed"
        return states

    def _release(self, name: str, *, pinned: bool = True) -> None:
        """Unload the model of a run that is about to move; RunError while it trains, or where a pin
        keeps it."""
        handle = self.training.get(name)
        if handle is not None and not handle.done:
            raise RunError(
                f"run {name} trains in this notebook; stop it first: %train --stop {name}"
            )
        models, reference = self.open_models(), f"run:{name}"
        if models is None:
            return
        if not pinned and any(
            row.name == reference and row.state == "pinned" for row in models.rows()
        ):
            raise RunError(f"{reference} is pinned; first %models unpin {reference}")
        self.unload(name)

    def unload(self, name: str) -> None:
        """Drop the model of the run `name` from memory, where it is loaded."""
        models = self.open_models()
        if models is not None:
            with contextlib.suppress(ModelNotFound):  # it was not loaded
                models.unload(f"run:{name}")

    def stop(self, name: str, timeout_s: float = 60.0) -> TrainingResult:
        """Stop a training that was started here after its current step, and wait for its checkpoint
        and model."""
        return _stopped(self.training, "training", name, timeout_s).result

    def stop_study(self, name: str, timeout_s: float = 120.0) -> TuningResult:
        """Stop a search that was started here; its trial under way can be taken up again, the best
        run so far is kept."""
        return _stopped(self.tuning, "search", name, timeout_s).result

    def studies(self) -> list[Study]:
        """Every search for settings on this machine, by name."""
        from llm_magics.training.tuning.study import list_studies

        return list_studies(self.studies_root)

    def find_study(self, name: str) -> Study:
        """The study of this name; RunError lists those there are."""
        from llm_magics.training.tuning.study import find_study

        return find_study(self.studies_root, name)

    def close(self) -> None:
        """Stop the trainings and searches started here, and wait for their checkpoints."""
        running = [
            handle for handle in (*self.training.values(), *self.tuning.values()) if not handle.done
        ]
        for handle in running:
            handle.stop()
        for handle in running:
            handle.wait(30)


def _stopped(handles: Mapping[str, Handle], what: str, name: str, timeout_s: float) -> Handle:
    """Stop the work of this name after its current step; its handle. RunError where none runs, or
    it does not end in time."""
    handle = handles.get(name)
    if handle is None or handle.error is not None:
        names = ", ".join(n for n, h in handles.items() if not h.done) or "none"
        raise RunError(f"no {what} named {name!r} runs in this notebook; running here: {names}")
    handle.stop()
    if not handle.wait(timeout_s):
        raise RunError(
            f"{what} {name} has not stopped after {timeout_s:.0f} s; it will after its current step"
        )
    return handle
