"""What a person may ask of a training while it runs; set from any thread, looked at before every
step."""

from __future__ import annotations

import math
import threading

from llm_magics.errors import InputError

__all__ = ["Control"]


class Control:
    """The levers of one training: stop, pause, resume, checkpoint now, change the learning rate."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._stop = self._paused = self._checkpoint = False
        self._factor: float | None = None

    def stop(self) -> None:
        """End after the current step; a pause ends, too."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()

    def pause(self) -> None:
        """Wait after the current step, until `resume` or `stop`."""
        with self._changed:
            self._paused = True

    def resume(self) -> None:
        """Go on."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def checkpoint(self) -> None:
        """Save a checkpoint after the current step."""
        with self._changed:
            self._checkpoint = True
            self._changed.notify_all()

    def set_rate_factor(self, factor: float) -> None:
        """Take the recipe's learning rate times `factor` from the next step on (1: as the recipe
        says)."""
        if not (0 < factor < math.inf):
            raise InputError(
                f"the factor on the learning rate must be a number above 0, not {factor!r}"
            )
        with self._changed:
            self._factor = float(factor)

    @property
    def stopping(self) -> bool:
        return self._stop

    @property
    def paused(self) -> bool:
        return self._paused and not self._stop

    def wait_while_paused(self, timeout: float = 0.5) -> None:
        """Wait until something was asked for, or for `timeout` seconds."""
        with self._changed:
            if self._paused and not self._stop and not self._checkpoint:
                self._changed.wait(timeout)

    def take_checkpoint(self) -> bool:
        """Whether a checkpoint was asked for since the last call."""
        with self._changed:
            asked, self._checkpoint = self._checkpoint, False
            return asked

    def take_rate_factor(self) -> float | None:
        """The factor that was asked for since the last call."""
        with self._changed:
            asked, self._factor = self._factor, None
            return asked
