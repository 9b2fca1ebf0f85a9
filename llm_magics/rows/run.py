"""One task over many rows: read as they are needed, kept as they are done, in memory that does not
grow with a file.

Every `…_each` function is this with its own work. A row that cannot be done becomes a RowError and
the rest goes on; what concerns all rows (no such model, a wrong option) is raised.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from llm_magics.display.result import Result
from llm_magics.errors import DoesNotFit, InputError, LLMMagicsError
from llm_magics.rows.results_file import ResultsFile
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.source import BadRow, open_rows, text_of
from llm_magics.text.clean import clean_text

__all__ = [
    "UNFINISHED",
    "Keep",
    "one_by_one",
    "readable_rows",
    "settings_of",
    "work_through",
]

_HOPELESS = 10
"""So many rows that fail for a reason nobody foresaw, before one is done: the fault is not in the
rows."""
_NO_SETTINGS = ("manager", "on_progress", "load_options")
UNFINISHED = "it was stopped before this row was done"

Keep = Callable[[int, object], None]
Stop = Callable[[], bool] | None


class Work(Protocol):
    """What a task does with the rows of one window."""

    def __call__(self, rows: dict[int, object], keep: Keep) -> None:
        """Do `rows`, by number, and `keep(number, result)` each one as soon as it is done."""


class Tally(Protocol):
    """What is counted of all rows, such as `llm_magics.rows.scores.RowScores`."""

    scores: dict[str, object]

    def add(self, row: object, record: Mapping[str, object]) -> None:
        """Count one row that is done."""

    def line(self) -> str:
        """The scores for people."""


def one_by_one(task: Callable[[object], Result]) -> Work:
    """The work of a task that takes one row at a time."""

    def work(rows: dict[int, object], keep: Keep) -> None:
        for i, row in rows.items():
            keep(i, task(row))

    return work


def settings_of(task: str, options: dict[str, object]) -> tuple[str, dict[str, object]]:
    """What decides the results of a task, for the file they are written to: not how it is watched,
    nor where it runs."""
    asked = options.get("load_options") or {}
    how = {name: str(asked[name]) for name in ("dtype", "engine") if asked.get(name)}
    return task, {
        name: value
        for name, value in {**options, **how}.items()
        if name not in _NO_SETTINGS and value is not None
    }


def readable_rows(window: dict[int, object], keep: Keep) -> dict[int, str]:
    """Row number -> text, for the rows that are texts; the others are kept as errors."""
    texts = {}
    for i, row in window.items():
        try:
            texts[i] = clean_text(row)
        except InputError as error:
            keep(i, RowError(row=i, reason=str(error)))
    return texts


def work_through(
    rows: object,
    work: Work,
    *,
    prepare: Callable[[dict[int, object]], None] | None = None,
    window_rows: int = 1,
    column: str | None = None,
    whole: bool = False,
    on_row: Callable[[int, object], None] | None = None,
    stop: Stop = None,
    out_file: str | Path | None = None,
    resume: bool = False,
    settings: object = None,
    tally: Tally | None = None,
) -> Rows:
    """One result or one RowError for each of `rows` (see `open_rows`), in order; with `out_file`
    they lie there.

    `window_rows` are read and given to `work` at once, after `prepare`, whose errors are raised.
    `on_row(i, result)` is called as rows are done; for a row that `out_file` held already, with its
    record. Once `stop()` is true, what is done is kept: a list ends with the last row that is done,
    rows before it that are not are RowErrors; a file holds the rows that are done, and with
    `resume` and the same `settings` the next call does the others.
    """
    if resume and out_file is None:
        raise InputError(
            "resume goes on with a file of results; name it with out_file (--resume FILE)"
        )
    source = open_rows(rows, column, whole=whole)
    with contextlib.ExitStack() as stack:
        file = (
            stack.enter_context(ResultsFile(out_file, settings, resume=resume))
            if out_file is not None
            else None
        )
        batch = _Batch(work, prepare, file, on_row, stop, tally)
        numbered = enumerate(source)
        while not batch.stopped():
            window, failure = _window(numbered, window_rows, batch.stopped)
            if window and (failure is None or file is not None):
                batch.do(window)
            if failure is not None:
                raise failure
            if not window:
                break
    found = batch.rows(source.row_index)
    if tally is not None:
        found.scores, found.scored = tally.scores, tally.line()
    return found


def _window(
    numbered: Iterator[tuple[int, object]],
    most: int,
    stopped: Callable[[], bool],
) -> tuple[list[tuple[int, object]], Exception | None]:
    """(the next rows, what a generator raised behind them): a file is to hold what became of the
    rows that it gave."""
    window: list[tuple[int, object]] = []
    try:
        for row in numbered:
            window.append(row)
            if len(window) == most or stopped():  # a generator may be slow
                break
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is raised again
        return window, failure
    return window, None


class _Batch:
    """Windows of rows, done one after the other."""

    def __init__(
        self,
        work: Work,
        prepare: Callable[[dict[int, object]], None] | None,
        file: ResultsFile | None,
        on_row: Callable[[int, object], None] | None,
        stop: Stop,
        tally: Tally | None,
    ) -> None:
        self.work, self.prepare, self.file, self.on_row, self.stop, self.tally = (
            work,
            prepare,
            file,
            on_row,
            stop,
            tally,
        )
        self.written = Rows.of_file(file.path) if file is not None else None
        self.results: dict[int, object] = {}
        self.sources: dict[int, object] = {}
        self.succeeded = self.unforeseen = 0

    def stopped(self) -> bool:
        """Whether the caller wants no more."""
        return self.stop is not None and self.stop()

    def do(self, window: list[tuple[int, object]]) -> None:
        """Take over what the file holds, do the rest."""
        self.values = dict(window)
        self.missing = {i: row for i, row in window if not self._known(i, row)}
        for i, row in list(self.missing.items()):
            if isinstance(row, BadRow):
                self.keep(i, RowError(row=i, reason=row.reason))
        try:
            if self.missing and self.prepare is not None:
                self.prepare(self.missing)
            if self.missing:
                self._try(dict(self.missing))
        finally:
            if self.file is not None:
                self.file.flush()

    def keep(self, i: int, result: object) -> None:
        """Take what came of row `i`. What was cut off by a stop is no result for a file, which is
        to be gone on with."""
        if self.file is not None and getattr(result, "interrupted", False):
            return
        del self.missing[i]
        self.succeeded += not isinstance(result, RowError)
        record: Mapping = {}
        if self.file is not None:
            record = self.file.keep(i, self.values[i], result)
            self.written.add(record, resumed=False)
        elif (
            self.tally is not None
            and not isinstance(result, RowError)
            and not getattr(result, "interrupted", False)
        ):
            record = result.record()
        if self.file is None:
            self.results[i], self.sources[i] = result, _source(self.values[i])
        self._count(i, record)
        if self.on_row is not None:
            self.on_row(i, result)

    def rows(self, row_index: object) -> Rows:
        """The results in order: in memory up to the last row that is done."""
        if self.written is not None and self.file is not None:
            for record in self.file.left_behind_a_gap():
                self.written.add(record, resumed=True)
            return self.written
        numbers = range(max(self.results, default=-1) + 1)
        return Rows(
            [self.results.get(i) or RowError(row=i, reason=UNFINISHED) for i in numbers],
            [self.sources.get(i, "") for i in numbers],
            row_index=row_index,
        )

    def _known(self, i: int, row: object) -> bool:
        record = self.file.known(i, row) if self.file is not None else None
        if record is not None:
            self.written.add(record, resumed=True)
            self._count(i, record)
            if self.on_row is not None:
                self.on_row(i, record)
        return record is not None

    def _count(self, i: int, record: Mapping) -> None:
        if self.tally is not None and record and "error" not in record:
            self.tally.add(self.values[i], record)

    def _try(self, rows: dict[int, object]) -> None:
        """Do rows together; when that fails, those that are left one by one, to see which it
        was."""
        try:
            self.work(rows, self.keep)
        except Exception as error:
            self._judge(error)
            left = [i for i in rows if i in self.missing]
            if not left:
                raise
            if len(rows) == 1:
                self.keep(left[0], RowError(row=left[0], reason=_reason(error)))
                return
            for i in left:
                if self.stopped():
                    return
                self._try({i: rows[i]})

    def _judge(self, error: Exception) -> None:
        """Raise what is no fault of a row."""
        if isinstance(error, LLMMagicsError) and not isinstance(error, (InputError, DoesNotFit)):
            raise error
        if not isinstance(error, LLMMagicsError):
            self.unforeseen += 1
            if not self.succeeded and self.unforeseen >= _HOPELESS:
                raise error


def _source(row: object) -> object:
    """What a row is made of, without the right result beside it."""
    return "" if isinstance(row, BadRow) else text_of(row)


def _reason(error: Exception) -> str:
    said = str(error).splitlines()[0] if str(error) else ""
    return said if isinstance(error, LLMMagicsError) else f"{type(error).__name__}: {said}"
