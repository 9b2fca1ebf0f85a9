"""Runs: one training each, a directory that outlives the kernel.

<data root>/runs/NAME/
  recipe.json        every setting
  recipe-until-00000120.json   the settings by which the steps until then were taken, where the run was prolonged
  report.json        what was read, cleaned and left out
  tokenizer.json     trained on the recipe's training data (target_tokenizer.json for the other side)
  events.jsonl       what happened, one event a line; the truth that every widget shows
  checkpoints/       see checkpoint.py
  start/             the model that it began with, where that is another run's (see warm_start.py)
  model/             the exported model, usable as run:NAME
  machine.txt        what it was trained on
  notes.md           what a person has to say about it, if there is something
  lock, lock.holder  held by the process that trains, and who that is
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from llm_magics.errors import RunError
from llm_magics.models.reference import is_run_name
from llm_magics.training.recipe.recipe import Recipe, recipe_from_dict
from llm_magics.training.run.events import Event, RunStarted, StepDone, from_record, to_record

__all__ = ["Recorder", "Run", "checked_name", "create_run", "find_run", "list_runs", "set_aside"]

_STEP_EVERY_S = 0.25


@dataclass(frozen=True)
class Run:
    """One run's directory."""

    folder: Path

    def __repr__(self) -> str:
        return f"run:{self.name}; files in {self.folder}"

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def model_folder(self) -> Path:
        """The exported model; it exists once the training has saved one."""
        return self.folder / "model"

    @property
    def tokenizer_file(self) -> Path:
        return self.folder / "tokenizer.json"

    @property
    def target_tokenizer_file(self) -> Path:
        """The tokenizer of the target texts, where they have one of their own."""
        return self.folder / "target_tokenizer.json"

    def tokenizer_files(self) -> list[Path]:
        """The files of its tokenizers that are there: one for both sides, or one a side."""
        return [
            file for file in (self.tokenizer_file, self.target_tokenizer_file) if file.is_file()
        ]

    def recipe(self) -> Recipe:
        """The recipe that the run is trained by."""
        return _read_recipe(self.folder / "recipe.json")

    def earlier_recipes(self) -> dict[int, Recipe]:
        """Step → the recipe by which the steps until then were taken; empty unless the run was
        prolonged."""
        return {
            int(file.stem.rpartition("-")[2]): _read_recipe(file)
            for file in sorted(self.folder.glob("recipe-until-*.json"))
        }

    def replace_recipe(self, recipe: Recipe, step: int) -> None:
        """Train by `recipe` from `step` on; the one so far stays readable, in `earlier_recipes`."""
        now, before = self.folder / "recipe.json", self.folder / f"recipe-until-{step:08d}.json"
        if step and not before.exists():  # one by which no step was taken need not be kept
            shutil.copyfile(now, before)
        unfinished = self.folder / "recipe.tmp"
        _write_recipe(unfinished, recipe)
        unfinished.replace(now)

    def events(self) -> list[Event]:
        """Everything that happened so far, as one story.

        A line cut short by a crash is left out; so is what a resumed training did anew, which is
        told once.
        """
        events: list[Event] = []
        for event in self.record()[0]:
            if isinstance(event, RunStarted) and event.step < max(
                (getattr(e, "step", 0) for e in events), default=0
            ):
                events = [
                    e
                    for e in events
                    if getattr(e, "step", 0) <= event.step or isinstance(e, RunStarted)
                ]
            events.append(event)
        return events

    def record(self, start: int = 0) -> tuple[list[Event], int]:
        """The events from byte `start` of the record on, as they were written, and the byte to
        start from next time."""
        path = self.folder / "events.jsonl"
        if not path.is_file():
            return [], start
        with path.open("rb") as file:
            file.seek(start)
            *lines, rest = file.read().split(b"\n")  # the last piece is no whole line yet
            end = file.tell() - len(rest)
        events = []
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                events.append(from_record(json.loads(line)))
        return events, end

    def append(self, event: Event) -> None:
        """Add an event to the record; a line that a crash cut short gets its end first."""
        with (self.folder / "events.jsonl").open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(json.dumps(to_record(event)).encode() + b"\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for training; RunError names the process that holds it already."""
        from filelock import FileLock, Timeout

        holder = self.folder / "lock.holder"
        try:
            with FileLock(
                self.folder / "lock", blocking=False
            ):  # the system frees it when the process dies
                holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
                yield
        except Timeout:
            who = holder.read_text(encoding="utf-8") if holder.is_file() else "another process"
            raise RunError(
                f"run {self.name} is being trained by {who}; stop it there, or start a run "
                "under another name"
            ) from None


class Recorder:
    """Adds the events of a training to the record of its run; of the steps, the first and then four
    a second."""

    def __init__(self, run: Run) -> None:
        self._run, self._step_s = run, -math.inf

    def add(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, StepDone):
            now = time.monotonic()
            if now - self._step_s < _STEP_EVERY_S:
                return
            self._step_s = now
        self._run.append(event)


def create_run(root: Path, recipe: Recipe, name: str | None = None) -> Run:
    """A new run directory under `root`; without a name, the recipe's name and the next free
    number."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    checked_name(name or recipe.name)
    building = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    _write_recipe(building / "recipe.json", recipe)
    number = 1
    while True:
        folder = root / (name or f"{recipe.name}-{number}")
        try:
            return Run(
                building.rename(folder)
            )  # a run appears whole; a filled folder is not replaced
        except OSError:
            if not folder.exists():
                raise
        if name:
            shutil.rmtree(building)
            raise RunError(
                f"a run named {name!r} exists; go on with it by %train --resume {name}, set it "
                "aside with --replace, or choose another name"
            )
        number += 1


def _read_recipe(file: Path) -> Recipe:
    return recipe_from_dict(json.loads(file.read_text(encoding="utf-8")))


def _write_recipe(file: Path, recipe: Recipe) -> None:
    file.write_text(json.dumps(recipe.to_dict(), indent=1), encoding="utf-8")


def set_aside(root: Path, name: str) -> Run | None:
    """Rename an existing run NAME to NAME-1, NAME-2, …, so that the name is free; None when it is
    free already."""
    folder = root / checked_name(name)
    if not folder.is_dir():
        return None
    number = 1
    while (root / checked_name(f"{name}-{number}")).exists():
        number += 1
    with Run(folder).locked():
        return Run(folder.rename(root / f"{name}-{number}"))


def find_run(root: Path, name: str) -> Run:
    """The run of this name; RunError lists those there are."""
    folder = root / checked_name(name)
    if not (folder / "recipe.json").is_file():
        names = ", ".join(run.name for run in list_runs(root)) or "none yet"
        raise RunError(f"no run named {name!r}; runs: {names}")
    return Run(folder)


def list_runs(root: Path) -> list[Run]:
    """Every run under `root`, by name."""
    return [Run(path.parent) for path in sorted(root.glob("[!.]*/recipe.json"))]


def checked_name(name: str) -> str:
    """`name` if it can name a run, else RunError."""
    if not is_run_name(name):  # run:NAME could not be written otherwise
        raise RunError(
            f"{name[:80]!r} cannot name a run: up to 64 letters, digits, '.', '_' or '-', "
            "the first a letter or digit"
        )
    return name
