"""Session: the one mutable object of a notebook: the model manager and the training runs.

A user's defaults are settings of the extension (`%config LLM`), which the magics pass on. Importing this module
loads no torch; the manager is built when it is first asked for.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llm_magics.errors import AttentionError, ModelNotFound, RecipeError, RunError

if TYPE_CHECKING:
    from pathlib import Path

    from llm_magics.attention import AttentionStore
    from llm_magics.display.tuning import Board
    from llm_magics.models.ledger import LoadPlan
    from llm_magics.models.manager import ModelManager
    from llm_magics.tasks.results import Summary, Translation
    from llm_magics.training.compare import Comparison
    from llm_magics.training.events import Event
    from llm_magics.training.launch import TrainingResult, TrainingRun
    from llm_magics.training.manage import Trashed
    from llm_magics.training.publishing.publish import Export
    from llm_magics.training.recipe import Recipe
    from llm_magics.training.runs import Run
    from llm_magics.training.setup import Given
    from llm_magics.training.survey import RunSummary
    from llm_magics.training.tuning.find_lr import LearningRateSearch
    from llm_magics.training.tuning.result import TuningResult
    from llm_magics.training.tuning.search import TuningRun
    from llm_magics.training.tuning.study import Study

__all__ = ["AttentionView", "Session", "close_current_session", "current_session"]


_SPOKEN = ("data", "validation", "test", "task", "fields")
"""What `Session.recipe` understands beside a model and languages."""


@dataclass(frozen=True)
class AttentionView:
    """Captured attention, as plain values and callbacks for whoever draws it."""

    title: str
    store: AttentionStore
    panels: list[dict[str, Any]]
    """One a kind: kind, layers, heads, rows, columns, atlas, thumb_height, thumb_width."""

    def fetch(self, kind: str, layer: int, head: int) -> bytes:
        """One head's map, square-root companded, T·S bytes."""
        return self.store.companded(kind, layer, head)

    def fetch_row(self, kind: str, layer: int, head: int, row: int) -> list[float]:
        """The exact weights of one row of a map."""
        return self.store.row(kind, layer, head, row)


@dataclass
class Session:
    """What the magics of a notebook share."""

    training: dict[str, TrainingRun] = field(default_factory=dict)
    """Handles on the trainings started here, by run name."""
    tuning: dict[str, TuningRun] = field(default_factory=dict)
    """Handles on the searches started here, by study name."""

    @cached_property
    def manager(self) -> ModelManager:
        """The one model manager."""
        from llm_magics.models.manager import ModelManager

        return ModelManager()

    def translate(self, text: str, **options: Any) -> Translation:
        """See `llm_magics.tasks.translate.translate`."""
        from llm_magics.tasks.translate import translate

        return translate(text, manager=self.manager, **options)

    def translate_each(self, rows: Iterable[str], **options: Any) -> list[Any]:
        """See `llm_magics.tasks.rows.translate_each`."""
        from llm_magics.tasks.rows import translate_each

        return translate_each(rows, manager=self.manager, **options)

    def summarize(self, text: str, **options: Any) -> Summary:
        """See `llm_magics.tasks.summarize.summarize`."""
        from llm_magics.tasks.summarize import summarize

        return summarize(text, manager=self.manager, **options)

    def summarize_each(self, rows: Iterable[str], **options: Any) -> list[Any]:
        """See `llm_magics.tasks.summarize.summarize_each`."""
        from llm_magics.tasks.summarize import summarize_each

        return summarize_each(rows, manager=self.manager, **options)

    def attention(self, model: object, text: str, target: str | None = None) -> AttentionView:
        """The attention of every head of `model` on `text`; an encoder-decoder model writes its own `target` if None.

        Raises InputError, AttentionError and what loading the model raises.
        """
        from llm_magics.attention import check_text, explore
        from llm_magics.tasks.work import readable

        text, target = readable(text), target and readable(target)

        with self.manager.lease(model) as loaded, loaded.lock, loaded.using_tokenizer():
            check_text(loaded, text)  # before the model begins to translate what is too long to be looked at
            if loaded.kind == "seq2seq" and target is None:
                from llm_magics.models.generation import generate

                target = generate(loaded, [text])[0].text
                if not target.strip():
                    raise AttentionError(f"{loaded.reference} writes nothing for this text; say what it is taken to "
                                         "have written with --target, or below --- in the cell")
            store = explore(loaded, text, target)
        panels = []
        for panel in store.panels:
            atlas, height, width = store.atlas(panel.kind)
            panels.append({"kind": panel.kind, "layers": len(panel.layers), "heads": panel.heads, "rows": panel.rows,
                           "columns": panel.columns, "atlas": atlas, "thumb_height": height, "thumb_width": width})
        return AttentionView(store.title, store, panels)

    def train(self, recipe: str | dict[str, Any] | None = None, *, model: Any = None, data: Any = None,
              validation: Any = None, test: Any = None, task: str | None = None, source: str | None = None,
              target: str | None = None, fields: dict[str, str] | None = None, loss: Any = None, name: str | None = None,
              overrides: dict[str, Any] | None = None, replace: bool = False, resume: bool = False,
              device: str | None = None, on_event: Callable[[Event], None] | None = None) -> TrainingRun:
        """Start a training in a worker thread, or go on with the stopped run `name` when there is nothing else.

        What is trained comes from `recipe` (a shipped recipe's name, a TOML file, or the recipe as a dict), or from
        `model` and `data`: an architecture ("transformer", "lstm", "gru", "rnn", "softmax-regression"), the reference of
        a model to fine-tune, or a torch module with its `loss`; a file, a data frame, a dataset or a list of rows.
        task: "translate" (told by source and target languages), "language-model", "classify", "label-tokens", "answer", …
        fields: role → column, such as {"text": "review", "label": "stars"}. overrides: dotted settings of the recipe,
        such as {"schedule.epochs": 2}.

        The handle's `wait()`, `pause()`, `resume()`, `stop()` and `result` follow it; `on_event` is called in the worker
        thread. `replace`: an existing run of this name keeps its files under the next free NAME-1, NAME-2, …
        `resume`: go on with the run `name`, whose data (and module and loss) of the notebook are given again.
        Returns at once. Raises RecipeError, RunError, InputError for a device that is not there.
        """
        from llm_magics.models.device import check_device, choose_device
        from llm_magics.training.launch import start
        from llm_magics.training.runs import create_run, find_run, set_aside

        device = check_device(device) if device else choose_device()  # before a run takes the name
        held_out = {"validation": validation, "test": test}
        if model is not None and name is None and data is None:
            raise RecipeError("a model needs data to be trained on: give data (--data)")
        goes_on = recipe is None and (data is None or resume)
        if goes_on:
            if name is None:
                raise RecipeError("no recipe was given, no data, and no name of a run to go on with")
            if overrides:
                raise RecipeError(f"run {name} goes on with its own settings; overrides ({', '.join(overrides)}) "
                                  "need a new run")
            run = find_run(self.runs_root, name)
            handle = self.training.get(name)
            if handle is not None and not handle.done:
                raise RunError(f"run {name} trains in this notebook already; %train --attach {name} shows it, "
                               f"%train --stop {name} stops it")
        else:
            made = self.recipe(recipe, overrides, model=model, data=data, task=task, source=source, target=target,
                               fields=fields, **held_out)
            if replace and name is not None:
                set_aside(self.runs_root, name)
                with contextlib.suppress(ModelNotFound):  # it was not loaded
                    self.manager.unload(f"run:{name}")
            run = create_run(self.runs_root, made, name)
        handle = start(run, device=device, given=self._given(run, model, loss, train=data, **held_out), on_event=on_event,
                       is_new=not goes_on)
        self.training[run.name] = handle
        return handle

    def find_lr(self, recipe: str | dict[str, Any] | None = None, *, model: Any = None, data: Any = None,
                validation: Any = None, test: Any = None, loss: Any = None, name: str | None = None,
                overrides: dict[str, Any] | None = None, device: str | None = None,
                on_step: Callable[[int, float, float], None] | None = None, **spoken: Any) -> LearningRateSearch:
        """The learning-rate range test of what `train` would train with these arguments, or of the run `name`.

        Works on copies: weights, optimizer and random numbers are afterwards what they were. on_step is told (step, rate,
        loss). Raises what `train` raises, and TrainingError when the loss is not finite from the start.
        """
        from llm_magics.models.device import check_device, choose_device
        from llm_magics.training.tuning.find_lr import find_lr

        device = check_device(device) if device else choose_device()
        held_out = {"validation": validation, "test": test}
        what = (self.find_run(name) if recipe is None and data is None and name else
                self.recipe(recipe, overrides, model=model, data=data, **held_out, **spoken))
        return find_lr(what, device=device, given=self._given(what, model, loss, train=data, **held_out), on_step=on_step)

    def _given(self, what: Run | Recipe, model: Any, loss: Any, **parts: Any) -> Given:
        """The objects that this run or recipe needs beside its files."""
        from llm_magics.training.runs import Run
        from llm_magics.training.setup import Given

        recipe = what.recipe() if isinstance(what, Run) else what
        back, languages = recipe.augmentation.back_translate, (recipe.data.target_language, recipe.data.source_language)
        translate_back = None if not back else (
            lambda texts: [getattr(done, "text", "") for done in self.translate_each(texts, model=back, source=languages[0],
                                                                          target=languages[1])])
        is_here = recipe.data.source == "notebook"
        objects = {part: value for part, value in parts.items() if value is not None} if is_here else {}
        return Given(objects, model if recipe.task == "custom" else None, loss, translate_back)

    def recipe(self, recipe: str | dict[str, Any] | None = None, overrides: dict[str, Any] | None = None, *, model: Any = None,
               data: Any = None, **spoken: Any) -> Recipe:
        """The recipe of this name, file or dict, or of this model and data (as in `train`), with dotted settings changed."""
        from llm_magics.training.recipe import load_recipe, recipe_from_dict
        from llm_magics.training.request import recipe_document

        if recipe is None:
            held_out = {part: spoken.pop(part, None) for part in ("validation", "test")}
            document = recipe_document("transformer" if model is None else model, data, held_out=held_out, **spoken)
            return recipe_from_dict(document).with_settings(overrides or {})
        made = recipe_from_dict(recipe) if isinstance(recipe, dict) else load_recipe(recipe)
        return made.with_settings(overrides) if overrides else made

    def tune(self, document: Mapping[str, Any] | None = None, *, name: str, trials: int | None = None, metric: str = "loss",
             hours: float | None = None, seed: int = 0, keep_all: bool = False, device: str | None = None,
             said: dict[str, str] | None = None, objects: dict[str, Any] | None = None,
             on_board: Callable[[Board], None] | None = None) -> TuningRun:
        """Start a search for settings in a worker thread, or, without a document, go on with the study `name`.

        document: see `llm_magics.training.tuning.start.settings_of`; model, data, validation, test and loss may be objects.
        trials: how many in all (20 for a new study). hours: of this search; the trial under way is then interrupted.
        said: names of the objects, for whoever goes on later; objects: the same again, when the search goes on. on_board
        is called in the worker thread. The best trial is kept as run:NAME. Raises RecipeError, RunError, InputError.
        """
        from llm_magics.models.device import check_device, choose_device
        from llm_magics.training.tuning.start import OBJECTS, go_on, settings_of, start_search

        def forget(run: Run) -> None:
            with contextlib.suppress(ModelNotFound):  # it was not loaded
                self.manager.unload(f"run:{run.name}")

        how = {"device": check_device(device) if device else choose_device(), "max_seconds": 3600 * (hours or 0),
               "on_board": on_board, "on_kept": forget}
        if document is None:
            handle = go_on(self.find_study(name), self.runs_root, objects or {}, self._given, trials=trials, **how)
        else:
            settings = settings_of(document, self.recipe, metric=metric, trials=20 if trials is None else trials, seed=seed,
                                   keep_all=keep_all, said=said)
            given = {key: document[key] for key in OBJECTS if document.get(key) is not None}
            handle = start_search(self.studies_root, self.runs_root, name, settings, given, self._given, **how)
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
        """Stop a search of this session; its trial under way can be taken up again, the best run so far is kept."""
        handle = self.tuning.get(name)
        if handle is None:
            names = ", ".join(n for n, h in self.tuning.items() if not h.done) or "none"
            raise RunError(f"no search named {name!r} was started in this notebook; running here: {names}")
        handle.stop()
        if not handle.wait(timeout_s):
            raise RunError(f"study {name} has not stopped after {timeout_s:.0f} s; it will after its current step")
        return handle.result

    @property
    def runs_root(self) -> Path:
        """The folder of the runs."""
        from llm_magics.models.reference import runs_root

        return runs_root()

    def runs(self) -> list[Run]:
        """Every run on this machine, by name."""
        from llm_magics.training.runs import list_runs

        return list_runs(self.runs_root)

    def find_run(self, name: str) -> Run:
        """The run of this name; RunError lists those there are."""
        from llm_magics.training.runs import find_run

        return find_run(self.runs_root, name)

    def stop_run(self, name: str, timeout_s: float = 60.0) -> TrainingResult:
        """Stop a training of this session after its current step, and wait for its checkpoint and model."""
        handle = self.training.get(name)
        if handle is None or handle.error is not None:
            names = ", ".join(n for n, h in self.training.items() if not h.done) or "none"
            raise RunError(f"no training named {name!r} runs in this notebook; running here: {names}")
        handle.stop()
        if not handle.wait(timeout_s):
            raise RunError(f"run {name} has not stopped after {timeout_s:.0f} s; it will after its current step")
        return handle.result

    # Runs as they are managed

    def survey_runs(self) -> list[RunSummary]:
        """Every folder under the runs in figures, newest first; damaged and foreign ones with what is wrong."""
        from llm_magics.training.survey import survey

        return survey(self.runs_root, self._states())

    def compare_runs(self, *names: str) -> Comparison:
        """Two runs or more beside each other: the settings that differ, their figures, their curves."""
        from llm_magics.training.compare import compare

        return compare([self.find_run(name) for name in names], self._states())

    def rename_run(self, old: str, new: str) -> Run:
        """Give a run another name; RunError while it trains, or when the name is taken. Its model is unloaded."""
        from llm_magics.training.manage import rename_run

        self._let_go(old)
        renamed = rename_run(self.runs_root, old, new)
        self.training.pop(old, None)
        return renamed

    def delete_run(self, name: str, *, forever: bool = False) -> Trashed:
        """Move a run into the trash, or delete it for good; RunError while it trains or its model is pinned."""
        from llm_magics.training.manage import delete_run

        self._let_go(name, pinned=False)
        deleted = delete_run(self.runs_root, name, forever=forever)
        self.training.pop(name, None)
        return deleted

    def trash(self) -> list[Trashed]:
        """The runs in the trash, the last first."""
        from llm_magics.training.manage import list_trash

        return list_trash(self.runs_root)

    def restore_run(self, name: str) -> Run:
        """Take a run out of the trash again; RunError when it is not there or its name is taken."""
        from llm_magics.training.manage import restore_run

        return restore_run(self.runs_root, name)

    def empty_trash(self) -> list[Trashed]:
        """Delete what lies in the trash for good; returns what that was."""
        from llm_magics.training.manage import empty_trash

        return empty_trash(self.runs_root)

    def export_run(self, name: str, folder: str | Path, format: str = "safetensors", *, force: bool = False) -> Export:
        """See `llm_magics.training.publishing.publish.export_run`."""
        from llm_magics.training.publishing.publish import export_run

        return export_run(self.find_run(name), folder, format, force=force)

    def export_plan(self, name: str, folder: str | Path, format: str = "safetensors", *, force: bool = False) -> str:
        """What `export_run` would write, in one line."""
        from llm_magics.training.publishing.publish import export_plan

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
        """Unload the model of a run that is about to move; RunError while it trains, or where a pin keeps it."""
        handle = self.training.get(name)
        if handle is not None and not handle.done:
            raise RunError(f"run {name} trains in this notebook; stop it first: %train --stop {name}")
        if "manager" not in self.__dict__:
            return
        reference = f"run:{name}"
        if not pinned and any(row.name == reference and row.state == "pinned" for row in self.manager.rows()):
            raise RunError(f"{reference} is pinned; first %models unpin {reference}")
        with contextlib.suppress(ModelNotFound):  # it was not loaded
            self.manager.unload(reference)

    def plan(self, task: str, /, *, model: object = None, default: object = None, text: str = "", source: str = "auto",
             target: str | None = None, language: str = "auto", recipe: str | dict[str, Any] | None = None,
             name: str | None = None, overrides: dict[str, Any] | None = None, device: str | None = None,
             **spoken: Any) -> LoadPlan:
        """What the task would load, without loading it: device, bytes needed and free, download size, cached or not.

        `task` is "translate", "summarize", "attention" or "train"; other arguments as for the task itself.
        """
        if task == "train":
            made = (self.find_run(name or "").recipe() if recipe is None and spoken.get("data") is None else
                    self.recipe(recipe, overrides, model=model, target=target,
                                source=None if source == "auto" else source,
                                **{key: value for key, value in spoken.items() if key in _SPOKEN}))
            return self._training_plan(made, device)
        if task == "attention":
            return self.manager.plan(model)
        from llm_magics.tasks.plan import choose_for

        reference, why = choose_for(task, text, model=model, source=source if task == "translate" else language,
                                    target=target, default=default)
        plan = self.manager.plan(reference)
        return replace(plan, note="; ".join(part for part in (why, plan.note) if part))

    def _training_plan(self, recipe: Recipe, device: str | None) -> LoadPlan:
        """Weights, gradients and Adam's two moments of the recipe's model, in float32; activations come on top."""
        from llm_magics.models.device import check_device, choose_device, memory
        from llm_magics.models.ledger import LoadPlan
        from llm_magics.training.build import count_parameters

        device = check_device(device) if device else choose_device()
        count = count_parameters(recipe)
        return LoadPlan(model=f"recipe {recipe.name}, {count:,} parameters", device=device, dtype="float32",
                        needed_bytes=16 * count, free_bytes=memory(device)[0], download_bytes=0, cached=True,
                        note="weights, gradients and optimizer; activations come on top")

    def close(self) -> None:
        """Stop the trainings of this session and free every model."""
        running = [handle for handle in (*self.training.values(), *self.tuning.values()) if not handle.done]
        for handle in running:
            handle.stop()
        for handle in running:
            handle.wait(30)
        if "manager" in self.__dict__:
            self.manager.close()


_lock = threading.Lock()
_session: Session | None = None


def current_session() -> Session:
    """The session that magics and module-level functions share; made when first asked for."""
    global _session
    with _lock:
        if _session is None:
            _session = Session()
        return _session


def close_current_session() -> None:
    """Free everything the current session holds; the next call of `current_session` makes a new one."""
    global _session
    with _lock:
        closing, _session = _session, None
    if closing is not None:
        closing.close()
