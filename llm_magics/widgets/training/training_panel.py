"""A training to look at while it runs: curves, layers, samples and attention, with buttons that
work during a cell."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from llm_magics.display.charts.curve import Series
from llm_magics.display.html import Node, render
from llm_magics.display.training import Charts, training_node
from llm_magics.errors import printable
from llm_magics.widgets import _assets
from llm_magics.widgets.comm_route import ignored, keep_front_end_route
from llm_magics.widgets.training.points import Points
from llm_magics.widgets.training.snapshots import Snapshots, described, maps_of

__all__ = ["TrainingPanel"]

STATUSES = ("running", "paused", "stopping", "finished", "interrupted", "failed")
GROUPS = ("loss", "metric", "rate", "gradient_norm", "activation_std", "activation_mean")
LEVERS = ("pause", "resume", "checkpoint", "stop", "rate")
RATE_RANGE = (1e-6, 1e6)
_MOST_LAYER_POINTS = 1500
_MOST_MARKS = 100
_SEND_EVERY_S = 0.1
_log = logging.getLogger(__name__)


class TrainingPanel(anywidget.AnyWidget):
    """Live view of one training, or of several beside each other.

    Feed it from the training thread with `add`, `snapshot`, `mark` and `progress`, and `flush` as
    often as you like: new points go out at most ten times a second. A page that is loaded again
    asks for everything. `series()` and `snapshots` read it back in Python.

    A button calls the method of the same name of what was given to `connect` (`stop`, `pause`,
    `resume`, `checkpoint`, `set_rate_factor`), at once and on the thread where the message arrives;
    those only set flags. Without one, the requests wait for `take_requests`.
    """

    _esm = _assets.module("training/training_panel")
    _css = _assets.style("training/training_panel")

    title = traitlets.Unicode("").tag(sync=True)
    """What is being trained; shown as text."""
    status = traitlets.Enum(STATUSES, "running").tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    """Any of step, total_steps, epoch, total_epochs, eta_s, tokens_per_s, learning_rate,
    rate_factor, padding, checkpoint (the step of the last one), note, memory."""
    levers = traitlets.List(traitlets.Enum(LEVERS), list(LEVERS)).tag(sync=True)
    """The buttons that can do something."""
    series_names = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    """[run, group, name] of every series, in the order of the numbers used in `history`; groups are
    `GROUPS`."""
    history = traitlets.Bytes(b"").tag(sync=True)
    """Every point, once the training is over: little-endian float32 triples (number of the series,
    step, value)."""
    snapshots = traitlets.List(traitlets.Dict()).tag(sync=True)
    """Samples and attention maps, each with kind, run and step; sent one by one while it runs, as a
    whole at the end."""
    marks = traitlets.List(traitlets.Dict()).tag(sync=True)
    """Remarkable steps: run, step, text."""
    log_scale = traitlets.Bool(False).tag(sync=True)
    smoothing = traitlets.Float(0.9, min=0.0, max=0.99).tag(sync=True)
    """Weight of the past in a moving average over a noisy series of a thousand points, and over
    longer and shorter ones as much for the eye; 0 shows values as they are."""

    def __init__(self, title: str = "", **traits: object) -> None:
        self._points = Points()
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._snapshots = Snapshots()
        self._lock = threading.RLock()
        self._sent_at_s = self._all_at_s = float("-inf")
        self._all_again_s = 1.0
        self._target: object | None = None
        self._requests: deque[tuple[str, float | None]] = deque(maxlen=1000)
        self.stop_requested = False
        super().__init__(title=printable(title), **traits)
        self.on_msg(self._received)
        keep_front_end_route(self)

    @traitlets.validate("progress")
    def _only_json(self, proposal: dict) -> dict:
        return {printable(key): _json(value) for key, value in proposal["value"].items()}

    def connect(self, target: object | None) -> None:
        """Let the buttons act on `target` (the handle of a run) at once; None takes them away."""
        self._target = target
        self.levers = list(LEVERS) if target is not None else []

    def take_requests(self) -> list[tuple[str, float | None]]:
        """What was asked for since the last call and has no target: ("pause", None), ("rate", 0.5),
        …"""
        taken = []
        while self._requests:
            taken.append(self._requests.popleft())
        return taken

    def add(
        self, series: str, step: int, value: float, *, run: str = "", group: str = "loss"
    ) -> None:
        """Remember one point of `series`; a value that is not finite is kept too, and left out
        where curves are drawn.

        Raises `ValueError` for a group that is none of `GROUPS`.
        """
        key = (run, group, series)
        with self._lock:
            number = self._numbers.get(key)
            if number is None:
                number = self._new_series(key)
            self._points.add(number, step, value)

    def snapshot(self, kind: str, step: int, *, run: str = "", **values: object) -> None:
        """Remember one state of kind "samples" (`rows`: lists of given, predicted, expected) or
        "attention".

        Of "attention": `about` ("cross" or "self"), `rows` and `columns` (tokens), `layers`,
        `heads`, and `maps`, layers × heads × rows × columns bytes; a byte b stands for the weight
        (b / 255)². Raises `ValueError` when their number is another.
        """
        with self._lock:
            self._snapshots.add(kind, step, run, values)

    def mark(self, step: int, text: str, *, run: str = "") -> None:
        """Note something on the loss curve: a rate that was changed, a pause."""
        one = {"run": printable(run), "step": int(step), "text": printable(text)}
        self.marks = [*self.marks, one][-_MOST_MARKS:]

    def flush(self, force: bool = False) -> None:
        """Send what is new, unless that was done less than 0.1 s ago; `force` sends it now."""
        now_s = time.monotonic()
        if not force and now_s - self._sent_at_s < _SEND_EVERY_S:
            return
        if now_s - self._all_at_s >= self._all_again_s:
            # A view that was late for the first messages asks for everything, but an older kernel
            # hears that only
            # when its cell has ended: it is told again after 1, 2, 4, 8 … seconds.
            self._all_again_s *= 2
            self._send_all()
            return
        self._sent_at_s = now_s
        with self._lock:
            self._name_series()
            start, new = self._points.news()
            snapshots = self._snapshots.news()
            if new:
                self.send(
                    {"points_from": start, "generation": self._points.generation}, buffers=[new]
                )
        for one in snapshots:
            self.send({"snapshot": described(one)}, buffers=maps_of([one]))

    def finish(self, status: str = "finished") -> None:
        """Set the last status, send everything, and keep it where a saved notebook finds it."""
        self.connect(None)
        with self._lock:
            self._send_all()
            self.history, self.snapshots = self._points.whole(), list(self._snapshots.kept)
        self.status = status

    def series(
        self, group: str = "loss", run: str | None = None
    ) -> dict[str, list[tuple[int, float]]]:
        """The points of a group as {name: [(step, value), …]}; of several runs as {"run name":
        …}."""
        several = run is None and len({key[0] for key in self._numbers}) > 1
        with self._lock:
            return {
                f"{key[0]} {key[2]}" if several else key[2]: self._points.of(number)
                for key, number in self._numbers.items()
                if key[1] == group and run in (None, key[0])
            }

    def charts(self) -> Charts:
        """What the static picture shows: loss, metrics, and the last samples."""
        with self._lock:
            drawn = [
                (*key, self._points.of(number))
                for key, number in self._numbers.items()
                if key[1] in GROUPS[:2]
            ]
            samples = {run: one["rows"] for run, one in self._snapshots.last("samples").items()}
        lines = [
            (run, group, Series(name, [step for step, _ in points], [value for _, value in points]))
            for run, group, name, points in drawn
        ]
        return Charts(
            title=self.title,
            log_y=self.log_scale,
            samples=samples,
            loss=[(run, line) for run, group, line in lines if group == "loss"],
            metrics=[(run, line) for run, group, line in lines if group == "metric"],
        )

    def static_node(self) -> Node:
        """Loss, metrics and samples as they are now; needs neither kernel nor script, nor a trusted
        notebook."""
        return training_node(self.charts(), self.text())

    def text(self) -> str:
        """One line: title, status, step and the last value of every loss."""
        done, total = self.progress.get("step"), self.progress.get("total_steps")
        where = "" if done is None else f"step {done}" + (f" of {total}" if total else "")
        last = [f"{name} {points[-1][1]:.4g}" for name, points in self.series().items() if points]
        return ": ".join(
            part
            for part in (self.title, ", ".join(filter(None, [self.status, where, *last])))
            if part
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        data, about = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/plain": self.text(), "text/html": render(self.static_node())}, about

    def _new_series(self, key: tuple[str, str, str]) -> int:
        if key[1] not in GROUPS:
            raise ValueError(f"group {key[1]!r} is none of {', '.join(GROUPS)}")
        layered = key[1] in GROUPS[3:]
        self._numbers[key] = (
            self._points.series(_MOST_LAYER_POINTS) if layered else self._points.series()
        )
        return self._numbers[key]

    def _name_series(self) -> None:
        """Tell the browser the names before the points that need them; together, because a model
        has many layers."""
        if len(self.series_names) < len(self._numbers):
            self.series_names = [[printable(part) for part in key] for key in self._numbers]

    def _send_all(self) -> None:
        with self._lock:
            self._sent_at_s = self._all_at_s = time.monotonic()
            self._name_series()
            self._snapshots.news()
            kept = self._snapshots.kept
            about = {"points_from": 0, "snapshots": [described(one) for one in kept]}
            points = self._points.whole()
            self.send(
                {**about, "generation": self._points.generation}, buffers=[points, *maps_of(kept)]
            )

    def _received(self, _widget: object, message: object, _buffers: object) -> None:
        """Called on a subshell, where an exception would vanish without a trace."""
        asked, factor = _understood(message)
        if asked == "show":
            self._send_all()
        elif asked is None:
            ignored(self, message)
        else:
            self.stop_requested = self.stop_requested or asked == "stop"
            self._pass_on(asked, factor)

    def _pass_on(self, asked: str, factor: float | None) -> None:
        target = self._target
        if target is None:
            self._requests.append((asked, factor))
            return
        try:
            act: Callable[..., object] = getattr(
                target, "set_rate_factor" if asked == "rate" else asked
            )
            act(*([] if factor is None else [factor]))
        except Exception as error:  # noqa: BLE001 - there is nobody on this thread to tell
            _log.warning("%s failed: %s", asked, printable(error))


def _understood(message: object) -> tuple[str | None, float | None]:
    """What a message asks for, and the factor of "rate"; None for what no button sends."""
    asked = message.get("do") if isinstance(message, dict) else None
    if not isinstance(asked, str) or asked not in {"show", *LEVERS}:
        return None, None
    if asked != "rate":
        return asked, None
    factor = message.get("factor")
    known = (
        isinstance(factor, (int, float))
        and not isinstance(factor, bool)
        and RATE_RANGE[0] <= factor <= RATE_RANGE[1]
    )
    return ("rate", float(factor)) if known else (None, None)


def _json(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else printable(value)
