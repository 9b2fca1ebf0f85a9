"""Session: the one mutable object of a notebook: the model manager and (in `training.api`) the
training runs.

A user's defaults are settings of the extension (`%config LLM`), which the magics pass on. Importing
this module loads no torch; the manager is built when it is first asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llm_magics.training.api import TrainingBench

if TYPE_CHECKING:
    from llm_magics.display.page import FramedPage
    from llm_magics.models.backends.openai.endpoint import Endpoint
    from llm_magics.models.manager.entry import LoadPlan
    from llm_magics.models.manager.manager import ModelManager
    from llm_magics.tasks.ask.result import Answers
    from llm_magics.tasks.attention import Exploration
    from llm_magics.tasks.compare import Comparison
    from llm_magics.tasks.generate.result import Generated
    from llm_magics.tasks.predict import NextWord
    from llm_magics.tasks.recommend import Recommendations
    from llm_magics.tasks.results import Summary, Translation
    from llm_magics.tasks.understand.result import Understanding
    from llm_magics.training.run.launch import TrainingRun
    from llm_magics.training.tuning.search import TuningRun

__all__ = ["Session", "close_current_session", "current_session"]

_SPOKEN = ("data", "validation", "test", "task", "fields", "loss", "resume")
"""What `Session.training_plan` understands beside a model and languages."""


@dataclass
class Session(TrainingBench):
    """What the magics of a notebook share; what it does with trainings and runs is in
    `training.api` and `training.runs.api`."""

    training: dict[str, TrainingRun] = field(default_factory=dict)
    """Handles on the trainings started here, by run name."""
    tuning: dict[str, TuningRun] = field(default_factory=dict)
    """Handles on the searches started here, by study name."""
    endpoint: Endpoint | str | None = field(default=None, repr=False)
    """Where `openai:NAME` models are, as `set_endpoint` says; None: where the environment says."""

    @cached_property
    def manager(self) -> ModelManager:
        """The one model manager."""
        from llm_magics.models.manager.manager import ModelManager

        return ModelManager(endpoint=self.endpoint)

    def set_endpoint(self, url: str | None, *, deadline_s: float = 300.0) -> None:
        """Where `openai:NAME` models are: an address such as http://127.0.0.1:8000/v1; None: what
        the environment says.

        `deadline_s` is for the answer to one prompt. Keys come from the environment, see
        `models.backends.openai.endpoint`. Raises InputError for an address that must not or cannot
        be used.
        """
        from llm_magics.models.backends.openai.endpoint import Endpoint

        self.endpoint = (
            url or None
        )  # also what cannot be used: else texts would go where the environment says
        try:
            self.endpoint = Endpoint(url, deadline_s) if url else None
        finally:
            if "manager" in self.__dict__:
                self.manager.endpoint = self.endpoint

    def translate(self, text: str, **options: Any) -> Translation:
        """See `llm_magics.tasks.translate.task.translate`."""
        from llm_magics.tasks.translate.task import translate

        return translate(text, manager=self.manager, **options)

    def translate_each(self, rows: Iterable[str], **options: Any) -> list[Any]:
        """See `llm_magics.tasks.translate.batch.translate_each`."""
        from llm_magics.tasks.translate.batch import translate_each

        return translate_each(rows, manager=self.manager, **options)

    def summarize(self, text: str, **options: Any) -> Summary:
        """See `llm_magics.tasks.summarize.task.summarize`."""
        from llm_magics.tasks.summarize.task import summarize

        return summarize(text, manager=self.manager, **options)

    def summarize_each(self, rows: Iterable[str], **options: Any) -> list[Any]:
        """See `llm_magics.tasks.summarize.task.summarize_each`."""
        from llm_magics.tasks.summarize.task import summarize_each

        return summarize_each(rows, manager=self.manager, **options)

    def compare_models(
        self, task: str, text: str, models: Sequence[str], **options: Any
    ) -> Comparison:
        """See `llm_magics.tasks.compare.compare_models`."""
        from llm_magics.tasks.compare import compare_models

        return compare_models(task, text, models, manager=self.manager, **options)

    def compare_each(
        self, task: str, rows: Iterable[str], models: Sequence[str], **options: Any
    ) -> list[Any]:
        """See `llm_magics.tasks.compare_each.compare_each`."""
        from llm_magics.tasks.compare_each import compare_each

        return compare_each(task, rows, models, manager=self.manager, **options)

    def ask(self, questions: str | Sequence[str], context: str, **options: Any) -> Answers:
        """See `llm_magics.tasks.ask.task.ask`."""
        from llm_magics.tasks.ask.task import ask

        return ask(questions, context, manager=self.manager, **options)

    def ask_each(self, rows: Iterable[Any], **options: Any) -> list[Any]:
        """See `llm_magics.tasks.ask.task.ask_each`."""
        from llm_magics.tasks.ask.task import ask_each

        return ask_each(rows, manager=self.manager, **options)

    def predict(self, text: str, **options: Any) -> NextWord:
        """See `llm_magics.tasks.predict.predict`."""
        from llm_magics.tasks.predict import predict

        return predict(text, manager=self.manager, **options)

    def predict_each(self, rows: Iterable[str], **options: Any) -> list[Any]:
        """See `llm_magics.tasks.predict.predict_each`."""
        from llm_magics.tasks.predict import predict_each

        return predict_each(rows, manager=self.manager, **options)

    def generate(self, text: str, **options: Any) -> Generated:
        """See `llm_magics.tasks.generate.task.generate`."""
        from llm_magics.tasks.generate.task import generate

        return generate(text, manager=self.manager, **options)

    def generate_each(self, rows: Iterable[str], **options: Any) -> list[Any]:
        """See `llm_magics.tasks.generate.task.generate_each`."""
        from llm_magics.tasks.generate.task import generate_each

        return generate_each(rows, manager=self.manager, **options)

    def understand(self, text: str, **options: Any) -> Understanding:
        """See `llm_magics.tasks.understand.task.understand`."""
        from llm_magics.tasks.understand.task import understand

        return understand(text, manager=self.manager, **options)

    def understand_each(self, rows: Iterable[str], **options: Any) -> list[Any]:
        """See `llm_magics.tasks.understand.task.understand_each`."""
        from llm_magics.tasks.understand.task import understand_each

        return understand_each(rows, manager=self.manager, **options)

    def understanding_plan(self, text: str = "", **options: Any) -> dict[str, LoadPlan]:
        """Aspect of a text → what `understand` would load for it, without loading it; options as
        there."""
        from llm_magics.tasks.understand.task import plan_understanding

        return plan_understanding(text, manager=self.manager, **options)

    def attention(
        self,
        model: object,
        text: str,
        second: str | None = None,
        *,
        checkpoints: bool = False,
        **options: Any,
    ) -> Exploration:
        """See `llm_magics.tasks.attention.explore_attention`; with `checkpoints`, the kept steps of
        the run `model`."""
        from llm_magics.tasks.attention import explore_attention, explore_steps

        if not checkpoints:
            return explore_attention(text, second, manager=self.manager, model=model, **options)
        from llm_magics.training.runs.checkpoints_as_models import models_of_steps

        return explore_steps(
            text, second, models_of_steps(self.find_run(str(model).removeprefix("run:")))
        )

    def bertviz(
        self, model: object, text: str, second: str | None = None, **options: Any
    ) -> FramedPage:
        """See `llm_magics.tasks.bertviz.bertviz`."""
        from llm_magics.tasks.bertviz import bertviz

        return bertviz(text, second, manager=self.manager, model=model, **options)

    def count_rows(self, rows: Any) -> int | None:
        """How many rows a list, column or file has that a `…_each` method would take; None where
        nobody knows."""
        from llm_magics.rows.source import open_rows

        return open_rows(rows, whole=True).total

    def row_columns(self, rows: Any) -> list[str]:
        """The names of the columns of a file, table or list of mappings; [] where it has none."""
        from llm_magics.rows.source import column_names

        return column_names(rows)

    def recommend(self, task: str, **options: Any) -> Recommendations:
        """See `llm_magics.tasks.recommend.recommendations`."""
        from llm_magics.tasks.recommend import recommendations

        return recommendations(task, manager=self.manager, **options)

    def plan(
        self,
        task: str,
        /,
        *,
        model: object = None,
        default: object = None,
        text: str = "",
        source: str = "auto",
        target: str | None = None,
        language: str = "auto",
        recipe: str | dict[str, Any] | None = None,
        name: str | None = None,
        overrides: dict[str, Any] | None = None,
        device: str | None = None,
        load_options: dict[str, Any] | None = None,
        **spoken: Any,
    ) -> LoadPlan:
        """What the task would load, without loading it: device, bytes needed and free, download
        size, cached or not.

        `task` is "translate", "summarize", "attention" or "train"; other arguments as for the task
        itself.
        """
        if task == "train":
            languages = {"source": None if source == "auto" else source, "target": target}
            return self.training_plan(
                recipe,
                model=model,
                name=name,
                overrides=overrides,
                device=device,
                **languages,
                **{key: value for key, value in spoken.items() if key in _SPOKEN},
            )
        if task == "attention":
            return self.manager.plan(model)
        from llm_magics.tasks.model_choice import choose_for

        reference, why = choose_for(
            task,
            text,
            model=model,
            source=source if task == "translate" else language,
            target=target,
            default=default,
        )
        plan = self.manager.plan(reference, **(load_options or {}))
        return replace(plan, note="; ".join(part for part in (why, plan.note) if part))

    def close(self) -> None:
        """Stop the trainings of this session and free every model."""
        running = [
            handle for handle in (*self.training.values(), *self.tuning.values()) if not handle.done
        ]
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
    """Free everything the current session holds; the next call of `current_session` makes a new
    one."""
    global _session
    with _lock:
        closing, _session = _session, None
    if closing is not None:
        closing.close()
