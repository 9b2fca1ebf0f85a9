"""Many rows through several models: window by window each model does all rows, so that two need not
fit in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from llm_magics.errors import LLMMagicsError
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.run import UNFINISHED, Keep, readable_rows, settings_of, work_through
from llm_magics.rows.scores import ComparedScores, SummaryScores, TranslationScores, with_references
from llm_magics.rows.source import Referenced, text_of
from llm_magics.tasks.compare import Comparison, compared_names, comparison
from llm_magics.tasks.summarize.task import summarize_each
from llm_magics.tasks.translate.batch import translate_each

if TYPE_CHECKING:
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["compare_each"]

WINDOW_ROWS = 128
"""Rows that one model does before the next one is loaded, where not all fit in memory."""

_EACH = {
    "translate": (translate_each, TranslationScores),
    "summarize": (summarize_each, SummaryScores),
}
Stop = Callable[[], bool] | None


def compare_each(
    task: str,
    rows: object,
    models: Sequence[str],
    *,
    manager: ModelManager,
    reference: object = None,
    column: str | None = None,
    on_row: Callable[[int, Comparison | RowError], None] | None = None,
    stop: Stop = None,
    out_file: str | Path | None = None,
    resume: bool = False,
    **options: object,
) -> Rows:
    """One Comparison of `models`, or one RowError, for each row; `options`, rows and files as in
    `translate_each`.

    A line of the file has the record of each model in `results`, why one could not do it in
    `failures`, and how far they agree. `reference` as in `translate_each`; what comes back has
    `scores` by model. A model that fails leaves the others their results. Raises InputError for a
    task that is not compared or fewer than two models, and what the last model raised where all of
    them fail.
    """
    names = compared_names(task, models)
    options = {name: value for name, value in options.items() if name not in ("model", "default")}
    each, kind = _EACH[task]
    if reference is not None:
        rows, column = with_references(rows, reference, column), None

    def by(texts: list, **more: object) -> list:
        return each(texts, manager=manager, stop=stop, **{**options, **more})

    compared = _Compared(task, names, by, stop)
    settings = settings_of(
        f"compare {task}",
        {**options, "models": list(map(str, names)), "scored": (reference is not None) or None},
    )
    return work_through(
        rows,
        compared.keep,
        prepare=compared.window,
        window_rows=WINDOW_ROWS,
        column=column,
        on_row=on_row,
        stop=stop,
        out_file=out_file,
        resume=resume,
        settings=settings,
        tally=ComparedScores(kind),
    )


@dataclass
class _Compared:
    """The work of a window: every model does all of its rows, then each row is put together."""

    task: str
    names: list[str]
    each: Callable[..., list]
    stop: Stop
    failed: dict[str, LLMMagicsError] = field(default_factory=dict)
    """Models that can do no row, and why: not tried again in later windows."""
    sources: dict[str, str] = field(default_factory=dict)
    """The language that a model took the first rows to be in: a column is of one language."""
    found: dict[str, dict[int, object]] = field(default_factory=dict)
    """Of the window in work: model → row → result."""

    def window(self, rows: dict[int, object]) -> None:
        """Every model does the rows. Raises what the last one raised where none can."""
        self.found = {}
        for name in self.names:
            if name in self.failed or (self.stop is not None and self.stop()):
                continue
            try:
                self.found[name] = dict(
                    zip(rows, self._by(name, list(rows.values())), strict=False)
                )  # cut short by a stop
            except LLMMagicsError as failure:
                self.failed[name] = failure
        if len(self.failed) == len(self.names):
            raise self.failed[self.names[-1]]

    def _by(self, name: str, rows: list) -> list:
        more: dict[str, object] = {"model": name}
        if name in self.sources:
            more["source"] = self.sources[name]
        if any(isinstance(row, Referenced) for row in rows):
            more["reference"] = [getattr(row, "reference", None) for row in rows]
        found = self.each([text_of(row) for row in rows], **more)
        if self.task == "translate" and (
            first := next((one for one in found if not isinstance(one, RowError)), None)
        ):
            self.sources.setdefault(name, first.source_language)
        return found

    def keep(self, rows: dict[int, object], keep: Keep) -> None:
        """Put each row together; one that a stop has kept from a model is not kept."""
        texts = readable_rows({i: text_of(row) for i, row in rows.items()}, keep)
        if len(self.found) + len(self.failed) < len(self.names):
            return
        for i in texts:
            done = {
                name: found.get(i, RowError(row=i, reason=UNFINISHED))
                for name, found in self.found.items()
            }
            failures = {name: one.reason for name, one in done.items() if isinstance(one, RowError)}
            if UNFINISHED in failures.values():
                continue
            results = [one for name, one in done.items() if name not in failures]
            failures |= {name: str(error) for name, error in self.failed.items()}
            keep(
                i,
                comparison(self.task, texts[i], results, failures)
                if results
                else RowError(row=i, reason=next(iter(failures.values()))),
            )
