"""`--each EXPR`: the same task for every row of a list, a Series or a column, with a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from llm_magics.display.html import Node, render
from llm_magics.display.progress import progress_node, progress_text
from llm_magics.display.result import Result
from llm_magics.display.table import Table, table
from llm_magics.magics.command import Call, Interrupted, python_call
from llm_magics.magics.interrupt import StopOnInterrupt
from llm_magics.magics.live import Live
from llm_magics.magics.options import Option

__all__ = ["EACH", "Rows", "each_code", "run_each"]

EACH = Option("--each", "do every row of this list, Series or column: rows, df.text, df[\"text\"]", "EXPR",
              completes="variable")
_SHOWN = 10


class Rows(list):
    """The results of many rows, in their order; a row that could not be done holds its error.

    A list in every respect; a notebook shows the first rows. `texts` fits into a column.
    """

    def __init__(self, results: Sequence[object], sources: Sequence[object], index: object = None) -> None:
        super().__init__(results)
        self.sources = list(sources)
        self.index = index

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
        rows = [[i, _short(source), _short(getattr(result, "text", result))]
                for i, (source, result) in enumerate(zip(self.sources, self, strict=True)) if i < _SHOWN]
        failed = f", {len(self.errors)} of them failed (see .errors)" if self.errors else ""
        caption = f"{len(self):,} row{'s' * (len(self) != 1)}{failed}; .texts holds the texts" + (
            f"; the first {_SHOWN} are shown" if len(self) > _SHOWN else "")
        return table(["", "row", "result"], rows, caption=caption, align="rll")

    _ipython_display_ = Result._ipython_display_  # --quiet

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": render(self.table().node())}


def run_each(call: Call, work: Callable[..., list], arguments: dict[str, object]) -> Rows:
    """`work(rows, on_row=…, **arguments)` over the rows that --each names."""
    held, rows = _rows(call)
    live = Live(call.shell, quiet=bool(call["quiet"]))
    bar = _Bar(live, len(rows), call.prog)
    try:
        with StopOnInterrupt() as stop:
            results = work(rows, on_row=bar.on_row, stop=stop, **arguments)
    except KeyboardInterrupt:
        live.interrupted(bar.node, bar.text())
        raise Interrupted(f"stopped after {bar.done:,} of {len(rows):,} rows, and nothing is assigned; "
                          "the model stays loaded") from None
    live.close()
    found = Rows(results, rows[: len(results)], held.index if hasattr(held, "iloc") else None)
    if len(found) < len(rows):
        call.assign(found)
        kept = f"; they are in {call['out']}" if call["out"] else ""
        raise Interrupted(f"stopped after {len(found):,} of {len(rows):,} rows{kept}; the model stays loaded")
    if found.errors:  # said even with --quiet: nothing is lost in silence
        sys.stderr.write(f"{len(found.errors):,} of {len(found):,} rows failed, see .errors; the first: {found.errors[0]}\n")
    return found


def each_code(call: Call, function: str, arguments: dict[str, object]) -> str:
    """The equivalent Python of a call with --each."""
    _rows(call)
    return python_call(f"from llm_magics import {function}", function, Source(str(call["each"])), assign="results",
                       **arguments)


class Source:
    """An expression that stands in generated Python as it was written."""

    def __init__(self, source: str) -> None:
        self.source = source


class _Bar:
    def __init__(self, live: Live, total: int, label: str) -> None:
        self.live, self.total, self.label = live, total, label
        self.done = 0
        self.started_s = time.monotonic()

    def on_row(self, *_: object) -> None:
        """One more row is done."""
        self.done += 1
        self.live.status(self.node, self.text())

    def eta_s(self) -> float | None:
        """Seconds left, by the mean so far."""
        if not self.done:
            return None
        return (time.monotonic() - self.started_s) / self.done * (self.total - self.done)

    def node(self) -> Node:
        """The bar."""
        return progress_node(self.done, self.total, self.label, self.eta_s())

    def text(self) -> str:
        """The bar as a line."""
        return progress_text(self.done, self.total, self.label, self.eta_s())


def _rows(call: Call) -> tuple[object, list[object]]:
    """What --each names, and its rows as a list."""
    expression = str(call["each"])
    if call.text.strip() or (call.cell or "").strip() or call.values.get("in"):
        raise call.wrong(f"the rows come from --each {expression}; leave the other text out")
    held = call.look_up(expression)
    if isinstance(held, (str, bytes, dict)) or not hasattr(held, "__iter__"):
        hint = "for one text write --in" if isinstance(held, str) else "expected a list, a Series or a column"
        raise call.wrong(f"--each {expression} is of type {type(held).__name__}; {hint}")
    columns = getattr(held, "columns", getattr(held, "column_names", None))  # of pandas, of datasets
    if columns is not None:
        names = list(columns)
        raise call.wrong(f"--each {expression} is a whole table; name a column, such as {expression}[{names[0]!r}]"
                         if names else f"--each {expression} is an empty table; name a column of text")
    rows = list(held)
    if not rows:
        raise call.wrong(f"--each {expression} has no rows")
    return held, rows


def _short(value: object, most: int = 80) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"
