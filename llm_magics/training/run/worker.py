"""Work in a thread of its own, and a handle on its end."""

from __future__ import annotations

import contextvars
import threading

__all__ = ["Worker"]


class Worker:
    """Runs `_work`, which a subclass gives and which sets `_error` and `_done` itself, in a daemon
    thread."""

    def __init__(self, thread_name: str) -> None:
        self._done = threading.Event()
        self._error: BaseException | None = None
        # A plain new thread would send its output to whatever cell runs later.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._work,), daemon=True, name=thread_name
        )

    def _work(self) -> None:
        raise NotImplementedError

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds for the end; True if it came."""
        return self._done.wait(timeout)

    @property
    def error(self) -> BaseException | None:
        """What ended the work, if it failed."""
        return self._error

    def _wait_for_success(self) -> None:
        """Wait for the end; raise what went wrong."""
        self.wait()
        if self._error is not None:
            raise self._error
