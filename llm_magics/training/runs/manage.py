"""Runs renamed, put into the trash, taken out of it, and deleted for good.

    <data root>/runs/.trash/NAME-20261123-201500/     a run that was deleted; its name before the date

Deleting moves a run into the trash, so that a typo costs nothing that took hours to train.
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

import re
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from llm_magics.errors import RunError
from llm_magics.training.runs.runs import Run, checked_name, find_run, list_runs
from llm_magics.training.runs.summary import folder_bytes

__all__ = ["Trashed", "delete_run", "empty_trash", "list_trash", "rename_run", "restore_run"]

_TRASH = ".trash"
_DATED = re.compile(r"(?P<name>.+)-(?P<when>\d{8}-\d{6})(?:\.\d+)?")


@dataclass(frozen=True)
class Trashed:
    """A run in the trash, or one that was there."""

    name: str
    """What it was called as a run."""
    folder: Path
    n_bytes: int
    when: str
    """When it was deleted, local time: "2026-11-23 20:15:00"."""


def rename_run(root: Path, old: str, new: str) -> Run:
    """Give the run `old` the name `new`. Raises RunError: no such run, a name that is taken or
    none, being trained."""
    run, place = find_run(root, old), root / checked_name(new)
    with run.locked():
        if place.exists():
            raise RunError(f"a run named {new!r} exists; choose another name for {old}")
        return Run(run.folder.rename(place))


def delete_run(root: Path, name: str, *, forever: bool = False) -> Trashed:
    """Move a run into the trash, or delete it for good; says how many bytes.

    Raises RunError: no such run, being trained; a folder that is no run can go into the trash only.
    """
    folder = root / checked_name(name)
    is_run = (folder / "recipe.json").is_file()
    if folder.is_symlink():
        raise RunError(f"{folder} is a link to a folder elsewhere; remove the link by hand")
    if not folder.is_dir():
        names = ", ".join(run.name for run in list_runs(root)) or "none"
        raise RunError(f"no run named {name!r}; runs: {names}")
    if forever and not is_run:
        raise RunError(
            f"{folder} has no recipe.json and may not be a run; look into it, then move it to "
            f"the trash with %runs delete {name}"
        )
    with Run(folder).locked() if is_run else nullcontext():
        trashed = _into_trash(root, folder)
    if forever:
        _remove(trashed.folder)
    return trashed


def list_trash(root: Path) -> list[Trashed]:
    """What lies in the trash, the last first."""
    try:
        folders = [
            path
            for path in (root / _TRASH).iterdir()
            if path.is_dir() and _DATED.fullmatch(path.name)
        ]
    except OSError:
        return []
    return sorted(map(_trashed, folders), key=lambda one: (one.when, one.folder.name), reverse=True)


def restore_run(root: Path, name: str) -> Run:
    """Take the run `name`, as it was deleted last, out of the trash; RunError when it is not there
    or the name is taken."""
    trash = list_trash(root)
    found = next((one for one in trash if name in (one.name, one.folder.name)), None)
    if found is None:
        names = ", ".join(dict.fromkeys(one.name for one in trash)) or "nothing"
        raise RunError(f"there is no run {name!r} in the trash; in it: {names}")
    place = root / checked_name(found.name)
    if place.exists():
        raise RunError(
            f"a run named {found.name!r} exists; rename it first: %runs rename {found.name} NEW"
        )
    return Run(found.folder.rename(place))


def empty_trash(root: Path) -> list[Trashed]:
    """Delete what lies in the trash for good; returns what that was."""
    trash = list_trash(root)
    for one in trash:
        _remove(one.folder)
    return trash


def _into_trash(root: Path, folder: Path) -> Trashed:
    trash = root / _TRASH
    trash.mkdir(mode=0o700, exist_ok=True)
    name = f"{folder.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    place, number = trash / name, 1
    while place.exists():  # deleted twice within a second
        place, number = trash / f"{name}.{number}", number + 1
    return _trashed(folder.rename(place))


def _trashed(folder: Path) -> Trashed:
    name, when = _DATED.fullmatch(folder.name).group("name", "when")
    shown = f"{when[:4]}-{when[4:6]}-{when[6:8]} {when[9:11]}:{when[11:13]}:{when[13:15]}"
    return Trashed(name, folder, folder_bytes(folder), shown)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise RunError(
            f"{folder} could not be deleted whole: {error.strerror or error}; delete the rest by "
            "hand"
        ) from None
