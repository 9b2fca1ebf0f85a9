"""Session: the one mutable object of a notebook: the model manager and the training runs.

A user's defaults are settings of the extension (`%config LLM`), which the magics pass on. Importing this module
loads no torch; the manager is built when it is first asked for.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llm_magics.errors import AttentionError, ModelNotFound, RecipeError, RunError

if TYPE_CHECKING:
    from pathlib import Path

    from llm_magics.attention import AttentionStore
    from llm_magics.models.ledger import LoadPlan
    from llm_magics.models.manager import ModelManager
    from llm_magics.tasks.results import Summary, Translation
    from llm_magics.training.events import Event
    from llm_magics.training.launch import TrainingResult, TrainingRun
    from llm_magics.training.recipe import Recipe
    from llm_magics.training.runs import Run

__all__ = ["AttentionView", "Session", "close_current_session", "current_session"]


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

    def train(self, recipe: str | dict[str, Any] | None = None, *, name: str | None = None,
              overrides: dict[str, Any] | None = None, replace: bool = False, device: str | None = None,
              on_event: Callable[[Event], None] | None = None) -> TrainingRun:
        """Start a training in a worker thread, or go on with the stopped run `name` when there is no recipe.

        recipe: a shipped recipe's name, a TOML file or the recipe as a dict; overrides: dotted settings such as
        {"schedule.epochs": 2}. The handle's `wait()`, `stop()` and `result` follow it; `on_event` is called in the
        worker thread. `replace`: an existing run of this name keeps its files under the next free NAME-1, NAME-2, …
        Returns at once.
        Raises RecipeError, RunError, InputError for a device that is not there.
        """
        from llm_magics.models.device import check_device, choose_device
        from llm_magics.training.launch import start
        from llm_magics.training.runs import create_run, find_run, set_aside

        device = check_device(device) if device else choose_device()  # before a run takes the name
        if recipe is None:
            if name is None:
                raise RecipeError("no recipe was given, and no name of a run to go on with")
            if overrides:
                raise RecipeError(f"run {name} goes on with its own settings; overrides ({', '.join(overrides)}) "
                                  "need a new run")
            run = find_run(self.runs_root, name)
        else:
            made = self.recipe(recipe, overrides)
            if replace and name is not None:
                set_aside(self.runs_root, name)
                with contextlib.suppress(ModelNotFound):  # it was not loaded
                    self.manager.unload(f"run:{name}")
            run = create_run(self.runs_root, made, name)
        handle = start(run, device=device, on_event=on_event)
        self.training[run.name] = handle
        return handle

    def recipe(self, recipe: str | dict[str, Any], overrides: dict[str, Any] | None = None) -> Recipe:
        """The recipe of this name, file or dict, with these dotted settings changed."""
        from llm_magics.training.recipe import load_recipe, recipe_from_dict

        made = recipe_from_dict(recipe) if isinstance(recipe, dict) else load_recipe(recipe)
        return made.with_settings(overrides) if overrides else made

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
        if handle is None:
            names = ", ".join(n for n, h in self.training.items() if not h.done) or "none"
            raise RunError(f"no training named {name!r} was started in this notebook; running here: {names}")
        handle.stop()
        if not handle.wait(timeout_s):
            raise RunError(f"run {name} has not stopped after {timeout_s:.0f} s; it will after its current step")
        return handle.result

    def plan(self, task: str, *, model: object = None, default: object = None, text: str = "", source: str = "auto",
             target: str | None = None, language: str = "auto", recipe: str | dict[str, Any] | None = None,
             name: str | None = None, overrides: dict[str, Any] | None = None, device: str | None = None, **_: Any) -> LoadPlan:
        """What the task would load, without loading it: device, bytes needed and free, download size, cached or not.

        `task` is "translate", "summarize", "attention" or "train"; other arguments as for the task itself.
        """
        if task == "train":
            return self._training_plan(self.recipe(recipe, overrides) if recipe else self.find_run(name or "").recipe(),
                                       device)
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
        from llm_magics.training.setup import count_parameters

        device = check_device(device) if device else choose_device()
        count = count_parameters(recipe)
        return LoadPlan(model=f"recipe {recipe.name}, {count:,} parameters", device=device, dtype="float32",
                        needed_bytes=16 * count, free_bytes=memory(device)[0], download_bytes=0, cached=True,
                        note="weights, gradients and optimizer; activations come on top")

    def close(self) -> None:
        """Stop the trainings of this session and free every model."""
        running = [handle for handle in self.training.values() if not handle.done]
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
