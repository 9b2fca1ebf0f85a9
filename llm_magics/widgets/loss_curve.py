"""A loss curve that moves while a model trains, with a stop button that works while the cell runs."""

from __future__ import annotations

import array
import logging
import math
import sys
import threading
import time
from collections.abc import Callable

import anywidget
import traitlets

from llm_magics.display.curve import Series, loss_curve_svg
from llm_magics.display.html import Node, image, render
from llm_magics.errors import printable
from llm_magics.widgets import _assets
from llm_magics.widgets.live import ignored, keep_front_end_route

__all__ = ["LossCurve"]

STATUSES = ("running", "stopping", "finished", "interrupted", "failed")
_SEND_EVERY_S = 0.1
_SYNC_EVERY_S = 1.0
_SYNC_BYTES_PER_S = 200_000
_log = logging.getLogger(__name__)


class LossCurve(anywidget.AnyWidget):
    """Live curves of any number of series over steps.

    `add` values from the training thread and `flush` as often as you like: new points go out as messages at
    most ten times a second, and the whole `history` at most once a second, so that a page that is loaded
    again finds it. `series()` reads everything back in Python.

    `stop_requested` turns True when the button is pressed; nothing else happens in that thread but the
    callbacks of `on_stop`, which should only set flags too.
    """

    _esm = _assets.module("loss_curve")
    _css = _assets.style("loss_curve")

    title = traitlets.Unicode("").tag(sync=True)
    """What is being trained; shown as text."""
    status = traitlets.Enum(STATUSES, "running").tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    """Any of step, total_steps, epoch, total_epochs, eta_s, tokens_per_s, learning_rate, note."""
    series_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Names in the order of the numbers used in `history`. The one called "train" is drawn thin."""
    history = traitlets.Bytes(b"").tag(sync=True)
    """Every point so far: little-endian float32 triples (number of the series, step, value)."""
    log_scale = traitlets.Bool(False).tag(sync=True)
    smoothing = traitlets.Float(0.0, min=0.0, max=0.99).tag(sync=True)
    """Weight of the past in a moving average over points; 0 shows values as they are."""

    def __init__(self, title: str = "", **traits: object) -> None:
        self._points = array.array("f")
        self._lock = threading.Lock()
        self._sent_floats = 0
        self._sent_at_s = self._synced_at_s = float("-inf")
        self._callbacks: list[Callable[[], object]] = []
        self.stop_requested = False
        super().__init__(title=printable(title), **traits)
        self.on_msg(self._received)
        keep_front_end_route(self)

    @traitlets.validate("progress")
    def _only_json(self, proposal: dict) -> dict:
        return {printable(key): _json(value) for key, value in proposal["value"].items()}

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the stop button is pressed, on whatever thread the message arrives."""
        self._callbacks.append(callback)

    def add(self, series: str, step: int, value: float) -> None:
        """Remember one point; a value that is not finite is kept too, and left out where curves are drawn."""
        with self._lock:
            if series not in self.series_names:
                self.series_names = [*self.series_names, printable(series)]
            number = self.series_names.index(series)
            self._points.extend((float(number), float(step), float(value)))

    def flush(self, force: bool = False) -> None:
        """Send what is new, unless that was done less than 0.1 s ago; `force` sends everything now."""
        now_s = time.monotonic()
        if not force and now_s - self._sent_at_s < _SEND_EVERY_S:
            return
        self._sent_at_s = now_s
        with self._lock:
            start, new = self._sent_floats, _little_endian(self._points[self._sent_floats:])
            self._sent_floats = len(self._points)
            whole_bytes = 4 * len(self._points)
        if new:
            self.send({"points_from": start // 3}, buffers=[new])
        if force or now_s - self._synced_at_s >= max(_SYNC_EVERY_S, whole_bytes / _SYNC_BYTES_PER_S):
            self._synced_at_s = now_s
            with self._lock:
                whole = _little_endian(self._points)
            self.history = whole

    def finish(self, status: str = "finished") -> None:
        """Set the last status and send everything that has not been sent."""
        self.status = status
        self.flush(force=True)

    def series(self) -> dict[str, list[tuple[int, float]]]:
        """Every point as {name: [(step, value), …]}, values as float32 kept them."""
        with self._lock:
            points, names = self._points[:], list(self.series_names)
        read: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
        for i in range(0, len(points), 3):
            read[names[int(points[i])]].append((int(points[i + 1]), points[i + 2]))
        return read

    def static_svg(self) -> str:
        """The curves as they are now, as SVG text that needs neither kernel nor script."""
        lines = [Series(name, [step for step, _ in points], [value for _, value in points])
                 for name, points in self.series().items()]
        return loss_curve_svg(lines, title=self.title, log_y=self.log_scale)

    def static_node(self) -> Node:
        """`static_svg` as an `<img>` that also shows in a notebook that is not trusted."""
        return image(self.static_svg().encode("utf-8"), "image/svg+xml", self.text(), width_px=640)

    def text(self) -> str:
        """One line: title, status, step and the last value of every series."""
        done, total = self.progress.get("step"), self.progress.get("total_steps")
        where = "" if done is None else f"step {done}" + (f" of {total}" if total else "")
        last = [f"{name} {points[-1][1]:.4g}" for name, points in self.series().items() if points]
        return ": ".join(part for part in (self.title, ", ".join(filter(None, [self.status, where, *last]))) if part)

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        data, about = super()._repr_mimebundle_(**kwargs)
        return {**data, "text/plain": self.text(), "text/html": render(self.static_node())}, about

    def _received(self, _widget: object, message: object, _buffers: object) -> None:
        if not (isinstance(message, dict) and message.get("do") == "stop"):
            ignored(self, message)
            return
        self.stop_requested = True
        for callback in self._callbacks:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 — on a subshell it would vanish without a trace
                _log.warning("a stop callback failed: %s", printable(error))


def _little_endian(points: array.array) -> bytes:
    if sys.byteorder == "big":
        points = points[:]
        points.byteswap()
    return points.tobytes()


def _json(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else printable(value)
