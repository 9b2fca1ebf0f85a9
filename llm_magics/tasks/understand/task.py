"""Understanding a text: language, sentiment, labels, entities, key phrases, and how alike its lines
are.

Each aspect is done by the best model there is for it, or without one, and the result says by which.
Unasked, nothing is fetched from the hub: what the models on this machine can do is done. An aspect
that is asked for by `show` may be fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_magics.models.manager.entry import LoadPlan
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.run import readable_rows, settings_of, work_through
from llm_magics.tasks.choose import candidates
from llm_magics.tasks.understand.result import Understanding
from llm_magics.tasks.understand.runner import Asked, Work
from llm_magics.tasks.understand.sources import sources, weightless_provenance
from llm_magics.text.clean import clean_text

if TYPE_CHECKING:
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["plan_understanding", "understand", "understand_each"]

WINDOW_ROWS = 64
"""Rows that go through the models together."""

Stop = Callable[[], bool] | None


def understand(
    text: str,
    *,
    manager: ModelManager | None = None,
    show: str | Sequence[str] | None = None,
    labels: str | Sequence[str] = (),
    multi_label: bool = False,
    count: int = 8,
    language: str = "auto",
    model: object = None,
    defaults: Mapping[str, object] | None = None,
    load_options: dict[str, object] | None = None,
    stop: Stop = None,
) -> Understanding:
    """What is in `text`. `show` names aspects (see ASPECTS); without it, whatever the models on
    this machine can do.

    `labels` are to be told apart, one by one with `multi_label`; `count` is how many key phrases.
    `model` does what it can of the aspects shown, without `show` all it can; `defaults` maps an
    aspect to the model that does it otherwise. Raises EmptyInput, InputError, TooLong,
    UnknownLanguage, WrongTask for a model that can do nothing that is shown, or a ModelError where
    nothing that is shown can be done.
    """
    asked = Asked.of(show, labels, multi_label, count, language, model, defaults)
    return Work(manager, asked, load_options, stop).understood([clean_text(text)])[0]


def understand_each(
    rows: Iterable[str] | str | Path,
    *,
    manager: ModelManager | None = None,
    column: str | None = None,
    out_file: str | Path | None = None,
    resume: bool = False,
    on_row: Callable[[int, Understanding | RowError], None] | None = None,
    stop: Stop = None,
    load_options: dict[str, object] | None = None,
    **options: object,
) -> Rows:
    """One Understanding, or one RowError with the reason, for each row, in order; `options` as in
    `understand`.

    Rows go through each model together; the models are chosen by the language of the first row that
    is a text. For `column`, `out_file` and `resume` see `llm_magics.rows.run.work_through`.
    """
    asked = Asked.of(**options)
    work = Work(manager, asked, load_options, stop)

    def do(window: dict[int, object], keep: Callable[[int, object], None]) -> None:
        texts = readable_rows(window, keep)
        for i, found in zip(
            texts, work.understood(list(texts.values())) if texts else (), strict=True
        ):
            keep(i, found)

    return work_through(
        rows,
        do,
        window_rows=WINDOW_ROWS,
        column=column,
        on_row=on_row,
        stop=stop,
        out_file=out_file,
        resume=resume,
        settings=settings_of("understand", {**asked.settings(), "load_options": load_options}),
    )


def plan_understanding(
    text: str = "",
    *,
    manager: ModelManager,
    show: str | Sequence[str] | None = None,
    labels: str | Sequence[str] = (),
    language: str = "auto",
    model: object = None,
    defaults: Mapping[str, object] | None = None,
    load_options: dict[str, object] | None = None,
    **_: object,
) -> dict[str, LoadPlan]:
    """Aspect → what it would load, without loading it; "what it can do" → the plan of a `model`
    that does not say yet."""
    work = Work(manager, Asked.of(show, labels, language=language, model=model, defaults=defaults))
    how = load_options or {}
    if model is not None:
        reference = candidates("understand", model=model)[0].reference
        return {", ".join(work.show or ("what it can do",)): manager.plan(reference, **how)}
    spoken = work.read(text or "text").language
    free = manager.plan("embedded:extractive").free_bytes
    plans = {}
    for aspect in work.aspects():
        found = sources(
            aspect, spoken, default=work.defaults.get(aspect), fetch=work.show is not None
        )
        if found.models:
            plans[aspect] = manager.plan(found.models[0].reference, **how)
        elif found.weightless:
            name = weightless_provenance(aspect).model
            plans[aspect] = LoadPlan(
                name, "cpu", "none", 0, free, 0, True, note="it has no weights"
            )
        else:
            plans[aspect] = LoadPlan("none", "", "", 0, free, 0, True, note=found.lacking)
    return plans
