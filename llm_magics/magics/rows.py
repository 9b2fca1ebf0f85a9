"""`--each EXPR`: the same task for every row of a list, a column, a generator or a file, with a
progress bar."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from llm_magics.display.html import Node, render
from llm_magics.display.progress import counted, progress_node, progress_text
from llm_magics.display.result import Result
from llm_magics.display.table import Table, table
from llm_magics.magics.core.command import Call, Interrupted, Source, python_call
from llm_magics.magics.core.interrupt import StopOnInterrupt
from llm_magics.magics.core.live_output import Live
from llm_magics.magics.core.options import Option

__all__ = ["BATCH", "EACH", "Rows", "each_code", "file_or_variable", "run_each"]

EACH = Option(
    "--each",
    "do every row of this list, column, generator or .jsonl, .csv, .tsv or .txt file",
    "EXPR|FILE",
    completes="variable",
)
BATCH = (
    Option("--column", "with --each: the column of a file or table that holds the text", "NAME"),
    Option(
        "--out-file",
        "with --each: write results to this new .jsonl file as they come, holding none in memory",
        "FILE",
    ),
    Option(
        "--resume",
        "with --each: go on with this file of results; only the rows it does not hold are done",
        "FILE",
    ),
)
"""What goes with --each."""
_FILES = (".jsonl", ".ndjson", ".csv", ".tsv", ".txt")
_SHOWN = 10


class Rows(list):
    """The results of many rows, in their order; a row that could not be done holds its error.

    A list in every respect; a notebook shows the first rows. `texts` fits into a column.
    """

    def __init__(
        self,
        results: Sequence[object],
        sources: Sequence[object],
        index: object = None,
        scores: dict[str, object] | None = None,
        scored: str = "",
    ) -> None:
        super().__init__(results)
        self.sources = list(sources)
        self.index = index
        self.scores, self.scored = scores or {}, scored
        """What all rows score together, by name (of several models: by model), and the same as a
        line."""

    @property
    def texts(self) -> list[str | None]:
        """The text of each row, None where there is an error."""
        return [getattr(result, "text", None) for result in self]

    @property
    def errors(self) -> list[object]:
        """The errors, with the number of their row."""
        return [result for result in self if not hasattr(result, "text")]

    def to_series(self) -> object:
        """`texts` as a pandas Series with the index of the rows given."""
        import pandas

        index = None if self.index is None else self.index[: len(self)]
        return pandas.Series(self.texts, index=index, dtype=object)

    def table(self) -> Table:
        """The first rows beside their sources."""
        models = list(
            dict.fromkeys(
                model
                for result in self[:_SHOWN]
                if hasattr(result, "models")
                for model in (*result.models, *result.failures)
            )
        )
        rows = [
            [i, _short(source), *_cells(result, models)]
            for i, (source, result) in enumerate(zip(self.sources, self, strict=True))
            if i < _SHOWN
        ]
        failed = f", {len(self.errors)} of them failed (see .errors)" if self.errors else ""
        caption = (
            f"{counted(len(self), 'row')}{failed}; .texts holds the texts"
            + (f"; the first {_SHOWN} are shown" if len(self) > _SHOWN else "")
            + (f"; {self.scored}" if self.scored else "")
        )
        return table(
            ["", "row", *(models or ["result"])],
            rows,
            caption=caption,
            align="rl" + "l" * max(1, len(models)),
        )

    _ipython_display_ = Result._ipython_display_  # --quiet

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": render(self.table().node())}


def run_each(call: Call, work: Callable[..., list], arguments: dict[str, object]) -> object:
    """`work(rows, on_row=…, **arguments)` over the rows that --each names; Rows, or with --out-file
    what was written."""
    held = _rows(call)
    batch = _batch(call)
    file, seen = batch.get("out_file"), _Seen(held) if not isinstance(held, Path) else None
    live = Live(call.shell, quiet=bool(call["quiet"]))
    bar = _Bar(live, _total(call, held), call.prog)
    try:
        with StopOnInterrupt() as stop:
            found = work(
                held if file or seen is None else seen,
                on_row=bar.on_row,
                stop=stop,
                **batch,
                **arguments,
            )
            stopped = stop()
    except KeyboardInterrupt:
        live.interrupted(bar.node, bar.text())
        kept = f"--resume {file} goes on" if file else "nothing is assigned"
        raise Interrupted(
            f"stopped after {bar.rows()}, and {kept}; the model stays loaded"
        ) from None
    live.close()
    if isinstance(found, list):
        sources = (
            seen.taken[: len(found)]
            if seen
            else [getattr(result, "source_text", "") for result in found]
        )
        found = Rows(
            found,
            sources,
            held.index if hasattr(held, "iloc") else None,
            getattr(found, "scores", None),
            getattr(found, "scored", ""),
        )
    failed, first = _failures(found)
    if stopped and not (bar.total and len(found) == bar.total):
        call.assign(found)
        kept = (
            f"; --resume {file} goes on"
            if file
            else f"; they are in {call['out']}"
            if call["out"]
            else ""
        )
        raise Interrupted(f"stopped after {bar.rows(len(found))}{kept}; the model stays loaded")
    if failed:  # said even with --quiet: nothing is lost in silence
        where = f"see {file}" if file else "see .errors"
        sys.stderr.write(f"{failed:,} of {len(found):,} rows failed, {where}; the first: {first}\n")
    return found


def each_code(
    call: Call,
    function: str,
    arguments: dict[str, object],
    before: Sequence[object] = (),
    after: Sequence[object] = (),
) -> str:
    """The equivalent Python of a call with --each; `before` and `after` are what stands around the
    rows."""
    held = _rows(call)
    rows = str(held) if isinstance(held, Path) else Source(str(call["each"]))
    return python_call(
        f"from llm_magics import {function}",
        function,
        *before,
        rows,
        *after,
        assign="results",
        **_batch(call),
        **arguments,
    )


def _batch(call: Call) -> dict[str, object]:
    """--column, --out-file and --resume as arguments, those that were not given left out."""
    file, resumed = call["out-file"], call["resume"]
    if file and resumed and file != resumed:
        raise call.wrong(f"--resume {resumed} goes on with that file; leave --out-file out")
    given = {
        "column": call["column"],
        "out_file": resumed or file,
        "resume": True if resumed else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _failures(found: object) -> tuple[int, object]:
    """(how many rows failed, the first of these errors)."""
    if isinstance(found, Rows):
        return len(found.errors), next(iter(found.errors), None)
    return found.failed, found.first_error


class _Seen:
    """Rows that are kept as they are read, to be shown beside their results."""

    def __init__(self, held: Iterable[object]) -> None:
        self.held = held
        self.taken: list[object] = []

    def __iter__(self) -> Iterator[object]:
        for row in self.held:
            self.taken.append(row)
            yield row


class _Bar:
    def __init__(self, live: Live, total: int, label: str) -> None:
        self.live, self.total, self.label = live, total, label
        self.done = 0
        self.started_s = time.monotonic()

    def on_row(self, *_: object) -> None:
        """One more row is done."""
        self.done += 1
        self.live.status(self.node, self.text())

    def rows(self, done: int | None = None) -> str:
        """`3 of 9 rows`, or `3 rows` where nobody knows how many there are."""
        count = self.done if done is None else done
        return f"{count:,} of {self.total:,} rows" if self.total else counted(count, "row")

    def eta_s(self) -> float | None:
        """Seconds left, by the mean so far."""
        if not self.done or not self.total:
            return None
        return (time.monotonic() - self.started_s) / self.done * (self.total - self.done)

    def node(self) -> Node:
        """The bar."""
        return progress_node(self.done, self.total, self.label, self.eta_s())

    def text(self) -> str:
        """The bar as a line."""
        return progress_text(self.done, self.total, self.label, self.eta_s())


def file_or_variable(call: Call, option: str) -> object:
    """What an option names: the path of a file that rows can be read from, or what a variable
    holds."""
    expression = str(call[option])
    path = Path(expression).expanduser()
    if (
        path.suffix.lower() in _FILES
        and re.split(r"[.\[]", expression, maxsplit=1)[0] not in call.scope
    ):
        if not path.is_file():
            raise call.wrong(f"--{option} {expression}: there is no such file")
        return path
    return call.look_up(expression)


def _rows(call: Call) -> object:
    """What --each names: something to go through row by row, or the path of a file."""
    expression = str(call["each"])
    if call.text.strip() or (call.cell or "").strip() or call.values.get("in"):
        raise call.wrong(f"the rows come from --each {expression}; leave the other text out")
    held = file_or_variable(call, "each")
    if isinstance(held, Path):
        return held
    if isinstance(held, (str, bytes, dict)) or not hasattr(held, "__iter__"):
        hint = (
            "for one text write --in"
            if isinstance(held, str)
            else "expected a list, a Series or a column"
        )
        raise call.wrong(f"--each {expression} is of type {type(held).__name__}; {hint}")
    columns = getattr(
        held, "columns", getattr(held, "column_names", None)
    )  # of pandas, of datasets
    if columns is not None and not call["column"]:
        names = list(columns)
        raise call.wrong(
            (
                f"--each {expression} is a whole table; name a column, such as "
                f"{expression}[{names[0]!r}]"
            )
            if names
            else f"--each {expression} is an empty table; name a column of text"
        )
    if columns is not None:
        by_name = {str(name): name for name in columns}  # a column may be called by a number
        if call["column"] not in by_name:
            raise call.wrong(
                f"--each {expression} has no column {call['column']!r}; it has {', '.join(by_name)}"
            )
        held = held[by_name[call["column"]]]
    if hasattr(held, "__len__") and len(held) == 0:
        raise call.wrong(f"--each {expression} has no rows")
    return held


def _total(call: Call, held: object) -> int:
    """How many rows there are; 0 where nobody knows before the end."""
    return (
        call.session.count_rows(held)
        if isinstance(held, Path)
        else len(held)
        if hasattr(held, "__len__")
        else 0
    ) or 0


def _cells(result: object, models: list[str]) -> list[str]:
    """The cells of a row: its text, that of each model, or why there is none."""
    if not models or not hasattr(result, "models"):
        return [_short(getattr(result, "text", result)), *[""] * (len(models) - 1)]
    by = {
        **result.failures,
        **{model: one.text for model, one in zip(result.models, result.results, strict=True)},
    }
    return [_short(by.get(model, "")) for model in models]


def _short(value: object, most: int = 80) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"
