"""Interrupting work that looks at a stop flag: the first time it ends in order, with what there
is."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

from llm_magics.errors import printable

__all__ = ["Interrupted", "StopOnInterrupt"]

_POLLED_LATELY_S = 2.0


class Interrupted(KeyboardInterrupt):
    """The user stopped the cell; says what is left of the work. Shown as one line, the cell ends
    with an error."""

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {printable(self)}"]


class StopOnInterrupt:
    """While entered, the first SIGINT turns `stop()` true, for work that asks it; what it has done
    is kept.

    Work that has not asked for two seconds (a download, a load) gets an ordinary KeyboardInterrupt,
    and so does a second SIGINT. Outside the main thread, which alone receives signals, this does
    nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._polled_s = float("-inf")
        self._before: object = None

    def __call__(self) -> bool:
        """Whether to stop; this is the `stop` to hand to a task."""
        self._polled_s = time.monotonic()
        return self.requested

    def __enter__(self) -> StopOnInterrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested or time.monotonic() - self._polled_s > _POLLED_LATELY_S:
            raise KeyboardInterrupt
        self.requested = True
