"""A search for settings to look at while it runs: a small curve a trial, each with a stop button
that works during a cell."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from llm_magics.display.charts.tuning import short_names, value_text
from llm_magics.display.html import Node, render
from llm_magics.display.tuning_board import (
    FEWEST_FOR_PLOTS,
    Board,
    Trial,
    ranked,
    settings_text,
    tuning_node,
)
from llm_magics.errors import printable
from llm_magics.widgets import _assets
from llm_magics.widgets.comm_route import ignored, keep_front_end_route

__all__ = ["TuningBoard"]

STATUSES = ("running", "stopping", "finished", "interrupted", "failed")
_SEND_EVERY_S = 0.25
_log = logging.getLogger(__name__)


class TuningBoard(anywidget.AnyWidget):
    """Live view of a search. `update` it from the searching thread as often as you like; `board` is
    what it shows.

    A button calls `stop()` or `stop_trial(number)` of what was given to `connect`, on the thread
    where the message arrives; those only set flags. Without one there are no buttons.
    """

    _esm = _assets.module("training/tuning_board")
    _css = _assets.style("training/tuning_board")

    title = traitlets.Unicode("").tag(sync=True)
    """Name of the study; shown as text."""
    status = traitlets.Enum(STATUSES, "running").tag(sync=True)
    stoppable = traitlets.Bool(False).tag(sync=True)
    """Whether buttons can do something."""
    summary = traitlets.Unicode("").tag(sync=True)
    """One line under the title: how many trials are what, and the best."""
    metric = traitlets.Unicode("loss").tag(sync=True)
    """What is looked for."""
    axes = traitlets.List(traitlets.Dict()).tag(sync=True)
    """The settings that are searched: name, and ticks of [place, text], places from 0 to 1."""
    trials = traitlets.List(traitlets.Dict()).tag(sync=True)
    """number, label, state, state_text, value and its value_text, best, rank, caption, places (one
    an axis, empty before there are settings), steps, losses, total_steps, note."""
    importance = traitlets.List().tag(sync=True)
    """[setting, share], the greatest first; empty while there are too few trials."""

    def __init__(self, board: Board | None = None, **traits: object) -> None:
        self.board = board or Board("")
        self._target: object | None = None
        self._sent_at_s = float("-inf")
        self.stop_requested = False
        super().__init__(**traits)
        self.on_msg(self._received)
        keep_front_end_route(self)
        self.update(self.board, force=True)

    def connect(self, target: object | None) -> None:
        """Let the buttons act on `target` (the handle of a search) at once; None takes them
        away."""
        self._target, self.stoppable = target, target is not None

    def update(self, board: Board, force: bool = False) -> None:
        """Show this board; unless forced at most four times a second, the last one being kept for
        the next time."""
        self.board = board
        now_s = time.monotonic()
        if not force and now_s - self._sent_at_s < _SEND_EVERY_S:
            return
        self._sent_at_s = now_s
        order = ranked(board.trials, board.greater_is_better)
        best, ranks = board.best, {trial.number: rank for rank, trial in enumerate(order)}
        shares = sorted(board.importance.items(), key=lambda item: -item[1])
        with self.hold_sync():
            self.title, self.metric = printable(board.name), printable(board.metric)
            self.summary = printable(board.summary().removeprefix(f"{board.name}: "))
            names = short_names([axis.name for axis in board.axes])
            self.axes = [
                {
                    "name": printable(name),
                    "ticks": [[place, printable(text)] for place, text in axis.ticks()],
                }
                for name, axis in zip(names, board.axes, strict=True)
            ]
            self.trials = [
                _plain(board, trial, trial is best, ranks[trial.number]) for trial in board.trials
            ]
            self.importance = [[printable(name), share] for name, share in shares]

    def finish(self, status: str = "finished") -> None:
        """Set the last status and show what has not been shown."""
        self.connect(None)
        self.update(self.board, force=True)
        self.status = status

    def static_node(self) -> Node:
        """Curves, importance, parallel coordinates and table as they are now; needs neither kernel
        nor script."""
        return tuning_node(self.board)

    def text(self) -> str:
        """One line: status and summary, and the table of trials."""
        return f"{self.status}: {self.board.summary()}\n\n{self.board.table().text()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        data, about = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/plain": self.text(), "text/html": render(self.static_node())}, about

    def _received(self, _widget: object, message: object, _buffers: object) -> None:
        """Called on a subshell, where an exception would vanish without a trace."""
        asked = message.get("do") if isinstance(message, dict) else None
        if asked == "stop":
            self.stop_requested = True
            self._call("stop")
        elif asked == "stop_trial" and type(message.get("trial")) is int:
            self._call("stop_trial", message["trial"])
        else:
            ignored(self, message)

    def _call(self, name: str, *arguments: int) -> None:
        if self._target is None:
            return
        try:
            act: Callable[..., object] = getattr(self._target, name)
            act(*arguments)
        except Exception as error:  # noqa: BLE001 - there is nobody on this thread to tell
            _log.warning("%s failed: %s", name, printable(error))


def _plain(board: Board, trial: Trial, best: bool, rank: int) -> dict[str, object]:
    """A trial as JSON values."""
    enough = sum(one.state == "complete" for one in board.trials) >= FEWEST_FOR_PLOTS
    known = (
        enough
        and trial.state == "complete"
        and all(axis.name in trial.settings for axis in board.axes)
    )
    return {
        "number": trial.number,
        "label": trial.label,
        "state": trial.state,
        "state_text": trial.state_text,
        "value": _finite(trial.value),
        "value_text": value_text(trial.value),
        "best": best,
        "rank": rank,
        "caption": printable(settings_text(trial.settings)),
        "places": [axis.at(trial.settings[axis.name]) for axis in board.axes] if known else [],
        "steps": list(trial.steps),
        "losses": [_finite(loss) for loss in trial.losses],
        "total_steps": trial.total_steps,
        "note": printable(trial.note),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
