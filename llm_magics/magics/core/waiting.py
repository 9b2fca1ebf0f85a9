"""A cell that waits for work in another thread: the stop button, the interrupt, the end; or work
that goes on beside it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, Protocol

from llm_magics.magics.core.interrupt import Interrupted

__all__ = ["View", "aside", "follow", "wait"]

_LOOK_EVERY_S = 0.1


class Work(Protocol):
    """What goes on in another thread: a training, a search."""

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        ...

    @property
    def result(self) -> Any:
        """What it has come to; raises what went wrong."""
        ...

    def wait(self, timeout: float | None = None, /) -> bool:
        """Wait for its end, at most so many seconds; whether it has ended."""
        ...

    def stop(self) -> object:
        """Ask it to stop after its current step."""
        ...


class View:
    """Shows nothing; the base of what shows a training or a search."""

    stop_requested = False
    """Whether a stop button was pressed that acts on nothing by itself."""

    def connect(self, work: Any) -> None:
        """Let buttons act on this handle; None: there is nothing they could act on."""

    def stopping(self) -> None:
        """The current step is the last one; may be told more than once."""

    def end(self, result: Any) -> None:
        """The work has come to this."""

    def close(self, status: str) -> None:
        """The work is over: "finished", "interrupted" or "failed"."""


def wait(work: Work, view: View, what: str, go_on: str) -> Any:
    """Wait for the work and return its result; raise what went wrong.

    The first interrupt asks the work to stop and waits on; the second gives up waiting. what: the
    work, in words; go_on: the line that goes on with it.
    """
    while True:
        try:
            while not work.wait(_LOOK_EVERY_S):
                _pass_on_stop(work, view)
            return _ended(work, view)
        except KeyboardInterrupt:
            if work.stopping:
                view.close("interrupted")
                raise Interrupted(
                    f"no longer waiting for {what}; it ends after its current step, its last "
                    f"checkpoint stays valid, and {go_on} goes on with it"
                ) from None
            work.stop()
            view.stopping()


def follow(work: Work, view: View) -> None:
    """Show the work to its end; an error is told by the view, and raised again for whoever asks for
    the result."""
    while not work.wait(2 * _LOOK_EVERY_S):
        _pass_on_stop(work, view)
    try:
        _ended(work, view)
    except Exception:  # noqa: BLE001 - whoever asks for the result sees it
        return


def aside(target: Callable[..., object], *arguments: object) -> None:
    """Do it in a thread with the context of this cell, whose output what is shown belongs to."""
    context = contextvars.copy_context()
    threading.Thread(
        target=context.run, args=(target, *arguments), name="llm-magics-view", daemon=True
    ).start()


def _pass_on_stop(work: Work, view: View) -> None:
    if view.stop_requested and not work.stopping:
        work.stop()
    if work.stopping:
        view.stopping()


def _ended(work: Work, view: View) -> Any:
    try:
        result = work.result
    except BaseException:
        view.close("failed")
        raise
    view.end(result)
    return result
