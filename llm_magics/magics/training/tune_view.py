"""What %tune shows: a live board or a line a trial, a study to look at again, and the list of
studies."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from llm_magics.display.charts.tuning import value_text
from llm_magics.display.result import Result
from llm_magics.display.table import Table, table
from llm_magics.display.tuning_board import LIVE_STATES, Board, Trial, settings_text, tuning_node
from llm_magics.errors import LLMMagicsError, printable
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.live_output import hidden, in_notebook
from llm_magics.magics.core.waiting import View, aside, follow, wait

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llm_magics.display.html import Node
    from llm_magics.training.tuning.result import TuningResult
    from llm_magics.training.tuning.search import TuningRun
    from llm_magics.training.tuning.study import Study

__all__ = ["ShownStudy", "attach", "listing", "search"]

_LOOK_EVERY_S = 1.0


def search(call: Call, **arguments: Any) -> object:
    """Start a search, or go on with one; wait for its end unless it is to run in the background."""
    view = _view_for(call.shell, quiet=bool(call["quiet"]))
    try:
        started = call.session.tune(on_board=view.on_board, **arguments)
    except BaseException:
        view.close("failed")
        raise
    view.connect(started)
    if not call["background"]:
        result = wait(started, view, f"study {started.name}", f"%tune --resume {started.name}")
        # In a notebook the board stands above already: the result of the cell only says how it
        # ended.
        return (
            hidden(call.shell, result, but=result.text) if isinstance(view, _Notebook) else result
        )
    aside(follow, started, view)
    return started


def _view_for(shell: InteractiveShell, *, quiet: bool) -> _Silent:
    """The view that fits where the cell runs. Its `on_board` may be called from any thread."""
    if quiet:
        return _Silent()
    return _Notebook() if in_notebook(shell) else _Terminal()


class _Silent(View):
    """Shows nothing of a search; the base of the other views."""

    def on_board(self, board: Board) -> None:
        """Take in the trials as they are now."""

    def end(self, result: TuningResult) -> None:
        self.on_board(result.board)
        self.close(
            "finished" if result.reason in ("completed", "nothing new to try") else "interrupted"
        )


class _Terminal(_Silent):
    """A line for every trial that ends."""

    def __init__(self) -> None:
        self._told: dict[int, str] = {}
        self._stopping = False

    def on_board(self, board: Board) -> None:
        for trial in board.trials:
            if self._told.get(trial.number) != trial.state and trial.state not in (
                "queued",
                "running",
            ):
                self._told[trial.number] = trial.state
                _say(_line(board, trial))

    def stopping(self) -> None:
        if not self._stopping:
            self._stopping = True
            _say("stopping after this step; interrupt once more to stop waiting")


class _Notebook(_Silent):
    """A live board."""

    def __init__(self) -> None:
        from IPython.display import display

        from llm_magics.widgets.training.tuning_board import TuningBoard

        self.board = TuningBoard()
        self._handle = display(self.board, display_id=True)

    def on_board(self, board: Board) -> None:
        self.board.update(board)

    def connect(self, search: TuningRun) -> None:
        self.board.connect(search)

    def stopping(self) -> None:
        if self.board.status == "running":
            self.board.status = "stopping"

    def close(self, status: str) -> None:
        self.board.finish(status)
        # The output made at the start holds a picture of no trials; a saved notebook needs the last
        # one.
        self._handle.update(self.board)


def _line(board: Board, trial: Trial) -> str:
    value = (
        f"{board.metric.replace('_', ' ')} {value_text(trial.value)}"
        if trial.value is not None
        else ""
    )
    best = "best so far" if trial is board.best else ""
    note = f": {trial.note}" if trial.note else ""
    return "  ".join(
        filter(
            None,
            [trial.label, f"{trial.state_text}{note}", value, settings_text(trial.settings), best],
        )
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()


class ShownStudy(Result):
    """A study to look at: the line and the table in a terminal, pictures in a notebook."""

    def __init__(self, board: Board) -> None:
        self.board = board

    @property
    def text(self) -> str:
        """One line for people."""
        return self.board.summary()

    def plain(self) -> str:
        """The line and the table of trials."""
        return f"{self.text}\n\n{self.board.table().text()}"

    def node(self) -> Node:
        """Curves, importance, parallel coordinates and table."""
        return tuning_node(self.board)


def attach(call: Call) -> object:
    """Show a study from its files, and follow it while it is searched, in this kernel or
    another."""
    name = str(call["attach"])
    study, running = call.session.find_study(name), call.session.tuning.get(name)
    here = running if running is not None and not running.done else None
    if not (here or study.busy()) or not in_notebook(call.shell) or call["quiet"]:
        return here or ShownStudy(study.board())
    view = _Notebook()
    if here is None:
        view.on_board(study.board())
        aside(_follow, study, view)
        return study
    view.connect(here)
    here.watch(view.on_board)
    aside(follow, here, view)
    return here


def _follow(study: Study, view: _Silent) -> None:
    """Look at the files of a search in another kernel until it has ended."""
    opened = study.opened()
    while study.busy():
        time.sleep(_LOOK_EVERY_S)
        try:
            view.on_board(study.board(opened))
        except (
            LLMMagicsError,
            OSError,
            ValueError,
        ):  # read while it was written; the next look sees it whole
            continue
    board = study.board(opened)
    view.on_board(board)
    view.close("interrupted" if _ended(board) < board.wanted else "finished")


def listing(call: Call) -> Table:
    """The studies on this machine."""
    rows = []
    for study in call.session.studies():
        board = study.board()
        ended, best = _ended(board), board.best
        handle = call.session.tuning.get(study.name)
        searching = (handle is not None and not handle.done) or study.busy()
        state = "searching" if searching else "ended" if ended >= board.wanted else "can go on"
        found = (
            (
                f"{board.metric.replace('_', ' ')} {value_text(best.value)}: "
                f"{settings_text(best.settings)}"
            )
            if best
            else ""
        )
        rows.append([study.name, state, f"{ended} of {board.wanted}", found])
    return table(
        ["study", "state", "trials", "best"],
        rows,
        caption=(
            "%tune --attach NAME shows a study, %tune --resume NAME goes on with it; its best "
            "model is run:NAME"
        )
        if rows
        else "no study yet",
    )


def _ended(board: Board) -> int:
    return sum(trial.state not in (*LIVE_STATES, "interrupted") for trial in board.trials)
