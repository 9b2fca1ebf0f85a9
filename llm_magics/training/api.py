"""What a session does with trainings: starts them, goes on with them, stops them, and searches for
settings.

Importing this module loads no torch; what works is imported when there is work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from llm_magics.errors import ModelNotFound, RecipeError, RunError
from llm_magics.training.runs.api import RunShelf

if TYPE_CHECKING:
    from pathlib import Path

    from llm_magics.display.tuning_board import Board
    from llm_magics.models.manager.entry import LoadPlan
    from llm_magics.training.recipe.recipe import Recipe
    from llm_magics.training.run.events import Event
    from llm_magics.training.run.launch import TrainingResult, TrainingRun
    from llm_magics.training.run.setup import Given
    from llm_magics.training.runs.runs import Run
    from llm_magics.training.tuning.find_lr import LearningRateSearch
    from llm_magics.training.tuning.result import TuningResult
    from llm_magics.training.tuning.search import TuningRun
    from llm_magics.training.tuning.study import Study

__all__ = ["TrainingBench"]


class TrainingBench(RunShelf):
    """The part of `llm_magics.session.Session` that trains."""

    training: dict[str, TrainingRun]
    """Handles on the trainings started here, by run name."""
    tuning: dict[str, TuningRun]
    """Handles on the searches started here, by study name."""

    def train(
        self,
        recipe: str | dict[str, Any] | None = None,
        *,
        model: Any = None,
        data: Any = None,
        validation: Any = None,
        test: Any = None,
        task: str | None = None,
        source: str | None = None,
        target: str | None = None,
        fields: dict[str, str] | None = None,
        loss: Any = None,
        name: str | None = None,
        overrides: dict[str, Any] | None = None,
        replace: bool = False,
        resume: bool = False,
        device: str | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> TrainingRun:
        """Start a training in a worker thread, or go on with the run `name` when there is nothing
        else.

        What is trained comes from `recipe` (a shipped recipe's name, a TOML file, or the recipe as
        a dict), or from `model` and `data`: an architecture ("transformer", "lstm", "gru", "rnn",
        "softmax-regression"), the reference of a model to fine-tune, run:NAME to begin a new run
        with that run's model (and, where nothing else is said, its settings), or a torch module
        with its `loss`; a file, a data frame, a dataset or a list of rows. task: "translate" (told
        by source and target languages), "language-model", "classify", "label-tokens", "answer", …
        fields: role → column, such as {"text": "review", "label": "stars"}. overrides: dotted
        settings of the recipe, such as {"schedule.epochs": 2}; a run that goes on can be given a
        later end only (see `prolong.ENDS`).

        The handle's `wait()`, `pause()`, `resume()`, `stop()` and `result` follow it; `on_event` is
        called in the worker thread. `replace`: an existing run of this name keeps its files under
        the next free NAME-1, NAME-2, … `resume`: go on with the run `name`, whose data (and module
        and loss) of the notebook are given again. Returns at once. Raises RecipeError, RunError,
        InputError for a device that is not there or a loss that is none.
        """
        from llm_magics.training.run.launch import start

        device = _device(device)  # before a run takes the name
        held_out = {"validation": validation, "test": test}
        if model is not None and name is None and data is None:
            raise RecipeError("a model needs data to be trained on: give data (--data)")
        goes_on = recipe is None and (data is None or resume)
        if goes_on:
            run = self._run_to_go_on_with(name, overrides or {})
            given = self._given(run.recipe(), model, loss, train=data, **held_out)
        else:
            made = self.recipe(
                recipe,
                overrides,
                model=model,
                data=data,
                task=task,
                source=source,
                target=target,
                fields=fields,
                loss=loss,
                **held_out,
            )
            given = self._given(made, model, loss, train=data, **held_out)
            run = self._new_run(made, name, replace)
        handle = start(
            run,
            device=device,
            given=given,
            on_event=on_event,
            is_new=not goes_on,
            longer=overrides if goes_on else None,
        )
        self.training[run.name] = handle
        return handle

    def _run_to_go_on_with(self, name: str | None, overrides: Mapping[str, Any]) -> Run:
        from llm_magics.training.runs.extend import check_goes_on

        if name is None:
            raise RecipeError("no recipe was given, no data, and no name of a run to go on with")
        run, handle = self.find_run(name), self.training.get(name)
        if handle is not None and not handle.done:
            raise RunError(
                f"run {name} trains in this notebook already; %train --attach {name} shows it, "
                f"%train --stop {name} stops it"
            )
        check_goes_on(run, overrides)
        return run

    def _new_run(self, recipe: Recipe, name: str | None, replace: bool) -> Run:
        from llm_magics.training.runs.runs import create_run, set_aside

        if replace and name is not None:
            set_aside(self.runs_root, name)
            self._unload(name)
        return create_run(self.runs_root, recipe, name)

    def recipe(
        self,
        recipe: str | dict[str, Any] | None = None,
        overrides: dict[str, Any] | None = None,
        *,
        model: Any = None,
        data: Any = None,
        loss: Any = None,
        **spoken: Any,
    ) -> Recipe:
        """The recipe of this name, file or dict, or of this model and data (as in `train`), with
        dotted settings changed.

        Raises RecipeError, also for a setting that means nothing to such a training.
        """
        from llm_magics.training.recipe.recipe import load_recipe, recipe_from_dict
        from llm_magics.training.recipe.request import SAID, continued_document, recipe_document
        from llm_magics.training.recipe.settings import check_meaning
        from llm_magics.training.runs.warm_start import run_to_begin_from

        if recipe is None:
            held_out = {part: spoken.pop(part, None) for part in ("validation", "test")}
            begins = run_to_begin_from(self.runs_root, model)
            made = recipe_from_dict(
                continued_document(begins, data, held_out=held_out, **spoken)
                if begins
                else recipe_document(
                    "transformer" if model is None else model, data, held_out=held_out, **spoken
                )
            )
        else:
            made = recipe_from_dict(recipe) if isinstance(recipe, dict) else load_recipe(recipe)
        made = made.with_settings(overrides or {})
        words = {
            "from": spoken.get("source"),
            "to": spoken.get("target"),
            "fields": spoken.get("fields"),
            "loss": loss,
        }
        check_meaning(
            made, [*(word for word, value in words.items() if value), *(overrides or {})], SAID
        )
        return made

    def find_lr(
        self,
        recipe: str | dict[str, Any] | None = None,
        *,
        model: Any = None,
        data: Any = None,
        validation: Any = None,
        test: Any = None,
        loss: Any = None,
        name: str | None = None,
        overrides: dict[str, Any] | None = None,
        device: str | None = None,
        on_step: Callable[[int, float, float], None] | None = None,
        **spoken: Any,
    ) -> LearningRateSearch:
        """The learning-rate range test of what `train` would train with these arguments, or of the
        run `name`.

        Works on copies: weights, optimizer and random numbers are afterwards what they were.
        on_step is told (step, rate, loss). Raises what `train` raises, and TrainingError when the
        loss is not finite from the start.
        """
        from llm_magics.training.runs.runs import Run
        from llm_magics.training.tuning.find_lr import find_lr

        device, held_out = _device(device), {"validation": validation, "test": test}
        what = (
            self.find_run(name)
            if recipe is None and data is None and name
            else self.recipe(
                recipe, overrides, model=model, data=data, loss=loss, **held_out, **spoken
            )
        )
        made = what.recipe() if isinstance(what, Run) else what
        return find_lr(
            what,
            device=device,
            given=self._given(made, model, loss, train=data, **held_out),
            on_step=on_step,
        )

    def training_plan(
        self,
        recipe: str | dict[str, Any] | None = None,
        *,
        model: Any = None,
        data: Any = None,
        validation: Any = None,
        test: Any = None,
        loss: Any = None,
        name: str | None = None,
        resume: bool = False,
        overrides: dict[str, Any] | None = None,
        device: str | None = None,
        **spoken: Any,
    ) -> LoadPlan:
        """What `train` would take with these arguments: parameters and memory; the first rows of
        the data are read."""
        from llm_magics.training.run.dry_run import training_plan

        held_out = {"validation": validation, "test": test}
        goes_on = recipe is None and (data is None or resume)
        made = (
            self._run_to_go_on_with(name, overrides or {}).recipe().with_settings(overrides or {})
            if goes_on
            else self.recipe(
                recipe, overrides, model=model, data=data, loss=loss, **held_out, **spoken
            )
        )
        return training_plan(
            made, _device(device), self._given(made, model, loss, train=data, **held_out)
        )

    def _given(self, recipe: Recipe, model: Any, loss: Any, **parts: Any) -> Given:
        """The objects of the notebook that this recipe needs beside its files; raises where one is
        none that can be used."""
        from llm_magics.training.objectives import objective_class
        from llm_magics.training.run.setup import Given

        back, languages = (
            recipe.augmentation.back_translate,
            (recipe.data.target_language, recipe.data.source_language),
        )
        translate_back = (
            None
            if not back
            else (
                lambda texts: [
                    getattr(done, "text", "")
                    for done in self.translate_each(
                        texts, model=back, source=languages[0], target=languages[1]
                    )
                ]
            )
        )
        is_here = recipe.data.source == "notebook"
        objects = (
            {part: value for part, value in parts.items() if value is not None} if is_here else {}
        )
        given = Given(objects, model if recipe.task == "custom" else None, loss, translate_back)
        objective_class(recipe).needs(given)
        return given

    def stop_run(self, name: str, timeout_s: float = 60.0) -> TrainingResult:
        """Stop a training of this session after its current step, and wait for its checkpoint and
        model."""
        return _stopped(self.training, "training", name, timeout_s)

    def tune(
        self,
        document: Mapping[str, Any] | None = None,
        *,
        name: str,
        trials: int | None = None,
        metric: str = "loss",
        hours: float | None = None,
        seed: int = 0,
        keep_all: bool = False,
        device: str | None = None,
        said: dict[str, str] | None = None,
        objects: dict[str, Any] | None = None,
        on_board: Callable[[Board], None] | None = None,
    ) -> TuningRun:
        """Start a search for settings in a worker thread, or, without a document, go on with the
        study `name`.

        document: see `llm_magics.training.tuning.start.settings_of`; model, data, validation, test
        and loss may be objects. trials: how many in all (20 for a new study). hours: of this
        search; the trial under way is then interrupted. said: names of the objects, for whoever
        goes on later; objects: the same again, when the search goes on. on_board is called in the
        worker thread. The best trial is kept as run:NAME. Raises RecipeError, RunError, InputError.
        """
        from llm_magics.training.tuning.start import OBJECTS, go_on, settings_of, start_search

        def given_of(run: Run, model: Any, loss: Any, **parts: Any) -> Given:
            return self._given(run.recipe(), model, loss, **parts)

        how = {
            "device": _device(device),
            "max_seconds": 3600 * (hours or 0),
            "on_board": on_board,
            "on_kept": lambda run: self._unload(run.name),
        }
        if document is None:
            handle = go_on(
                self.find_study(name), self.runs_root, objects or {}, given_of, trials=trials, **how
            )
        else:
            settings = settings_of(
                document,
                self.recipe,
                metric=metric,
                trials=20 if trials is None else trials,
                seed=seed,
                keep_all=keep_all,
                said=said,
            )
            given = {key: document[key] for key in OBJECTS if document.get(key) is not None}
            handle = start_search(
                self.studies_root, self.runs_root, name, settings, given, given_of, **how
            )
        self.tuning[name] = handle
        return handle

    @property
    def studies_root(self) -> Path:
        """The folder of the studies."""
        return self.runs_root.parent / "studies"

    def studies(self) -> list[Study]:
        """Every search for settings on this machine, by name."""
        from llm_magics.training.tuning.study import list_studies

        return list_studies(self.studies_root)

    def find_study(self, name: str) -> Study:
        """The study of this name; RunError lists those there are."""
        from llm_magics.training.tuning.study import find_study

        return find_study(self.studies_root, name)

    def stop_study(self, name: str, timeout_s: float = 120.0) -> TuningResult:
        """Stop a search of this session; its trial under way can be taken up again, the best run so
        far is kept."""
        return _stopped(self.tuning, "search", name, timeout_s)

    def _unload(self, name: str) -> None:
        """Drop the model of a run whose files are about to change."""
        with contextlib.suppress(ModelNotFound):  # it was not loaded
            self.manager.unload(f"run:{name}")


def _device(name: str | None) -> str:
    """The device of this name, or the best there is; InputError for one that is not there."""
    from llm_magics.models.manager.device import check_device, choose_device

    return check_device(name) if name else choose_device()


def _stopped(
    handles: Mapping[str, TrainingRun | TuningRun], what: str, name: str, timeout_s: float
) -> Any:
    """Stop the work of this name after its current step; its result. RunError where none runs, or
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
    return handle.result
