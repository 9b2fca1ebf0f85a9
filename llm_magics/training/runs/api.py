"""What a session does with the runs on this machine: lists, compares, renames, exports and deletes
them.

Importing this module loads no torch; what works is imported when there is work.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from llm_magics.errors import ModelNotFound, RunError

if TYPE_CHECKING:
    from pathlib import Path

    from llm_magics.models.manager.manager import ModelManager
    from llm_magics.training.export.publish import Export
    from llm_magics.training.run.launch import TrainingRun
    from llm_magics.training.runs.compare import Comparison
    from llm_magics.training.runs.manage import Trashed
    from llm_magics.training.runs.runs import Run
    from llm_magics.training.runs.summary import RunSummary

__all__ = ["RunShelf"]


class RunShelf:
    """The part of `llm_magics.session.Session` that manages runs."""

    training: dict[str, TrainingRun]
    manager: ModelManager

    @property
    def runs_root(self) -> Path:
        """The folder of the runs."""
        from llm_magics.models.reference import runs_root

        return runs_root()

    def runs(self) -> list[Run]:
        """Every run on this machine, by name."""
        from llm_magics.training.runs.runs import list_runs

        return list_runs(self.runs_root)

    def find_run(self, name: str) -> Run:
        """The run of this name; RunError lists those there are."""
        from llm_magics.training.runs.runs import find_run

        return find_run(self.runs_root, name)

    def survey_runs(self) -> list[RunSummary]:
        """Every folder under the runs in figures, newest first; damaged and foreign ones with what
        is wrong."""
        from llm_magics.training.runs.summary import survey

        return survey(self.runs_root, self._states())

    def compare_runs(self, *names: str) -> Comparison:
        """Two runs or more beside each other: the settings that differ, their figures, their
        curves."""
        from llm_magics.training.runs.compare import compare

        return compare([self.find_run(name) for name in names], self._states())

    def rename_run(self, old: str, new: str) -> Run:
        """Give a run another name; RunError while it trains, or when the name is taken. Its model
        is unloaded."""
        from llm_magics.training.runs.manage import rename_run

        self._let_go(old)
        renamed = rename_run(self.runs_root, old, new)
        self.training.pop(old, None)
        return renamed

    def delete_run(self, name: str, *, forever: bool = False) -> Trashed:
        """Move a run into the trash, or delete it for good; RunError while it trains or its model
        is pinned."""
        from llm_magics.training.runs.manage import delete_run

        self._let_go(name, pinned=False)
        deleted = delete_run(self.runs_root, name, forever=forever)
        self.training.pop(name, None)
        return deleted

    def trash(self) -> list[Trashed]:
        """The runs in the trash, the last first."""
        from llm_magics.training.runs.manage import list_trash

        return list_trash(self.runs_root)

    def restore_run(self, name: str) -> Run:
        """Take a run out of the trash again; RunError when it is not there or its name is taken."""
        from llm_magics.training.runs.manage import restore_run

        return restore_run(self.runs_root, name)

    def empty_trash(self) -> list[Trashed]:
        """Delete what lies in the trash for good; returns what that was."""
        from llm_magics.training.runs.manage import empty_trash

        return empty_trash(self.runs_root)

    def export_run(
        self, name: str, folder: str | Path, format: str = "safetensors", *, force: bool = False
    ) -> Export:
        """See `llm_magics.training.export.publish.export_run`."""
        from llm_magics.training.export.publish import export_run

        return export_run(self.find_run(name), folder, format, force=force)

    def export_plan(
        self, name: str, folder: str | Path, format: str = "safetensors", *, force: bool = False
    ) -> str:
        """What `export_run` would write, in one line."""
        from llm_magics.training.export.publish import export_plan

        return export_plan(self.find_run(name), folder, format, force=force)

    def _states(self) -> dict[str, str]:
        """What only this process knows of its runs."""
        states = {}
        for name, handle in self.training.items():
            if not handle.done:
                states[name] = "paused here" if handle.control.paused else "running here"
            elif handle.error is not None and handle.began:
                states[name] = "failed"
        return states

    def _let_go(self, name: str, *, pinned: bool = True) -> None:
        """Unload the model of a run that is about to move; RunError while it trains, or where a pin
        keeps it."""
        handle = self.training.get(name)
        if handle is not None and not handle.done:
            raise RunError(
                f"run {name} trains in this notebook; stop it first: %train --stop {name}"
            )
        if "manager" not in self.__dict__:
            return
        reference = f"run:{name}"
        if not pinned and any(
            row.name == reference and row.state == "pinned" for row in self.manager.rows()
        ):
            raise RunError(f"{reference} is pinned; first %models unpin {reference}")
        with contextlib.suppress(ModelNotFound):  # it was not loaded
            self.manager.unload(reference)
