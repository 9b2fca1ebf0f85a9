"""`--each EXPR`: the same task for every row of a list, a column, a generator or a file, with a
progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_magics.display.html import Node
from llm_magics.display.progress import counted, progress_node, progress_text
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.interrupt import Interrupted, StopOnInterrupt
from llm_magics.magics.core.live_output import Live
from llm_magics.magics.core.objects import file_or_variable
from llm_magics.magics.core.options import Option
from llm_magics.magics.core.python_source import Source, python_call

if TYPE_CHECKING:
    from llm_magics.rows.rows import Rows

__all__ = ["BATCH", "EACH", "each_code", "run_each"]

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


def run_each(call: Call, work: Callable[..., Rows], arguments: dict[str, object]) -> Rows:
    """`work(rows, on_row=…, **arguments)` over the rows that --each names."""
    held = _rows(call)
    batch = _batch(call)
    file = batch.get("out_file")
    live = Live(call.shell, quiet=bool(call["quiet"]))
    bar = _Bar(live, _total(call, held), call.prog)
    try:
        with StopOnInterrupt() as stop:
            found = work(held, on_row=bar.on_row, stop=stop, **batch, **arguments)
            stopped = stop()
    except KeyboardInterrupt:
        live.interrupted(bar.node, bar.text())
        kept = f"--resume {file} goes on" if file else "nothing is assigned"
        raise Interrupted(
            f"stopped after {bar.rows()}, and {kept}; the model stays loaded"
        ) from None
    live.close()
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
    if found.failed:  # said even with --quiet: nothing is lost in silence
        where = f"see {file}" if file else "see .errors"
        sys.stderr.write(
            f"{found.failed:,} of {len(found):,} rows failed, {where}; "
            f"the first: {found.first_error}\n"
        )
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
