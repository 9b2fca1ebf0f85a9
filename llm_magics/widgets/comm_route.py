"""Keeps a widget's buttons alive while a cell runs.

Since ipykernel 7.4.0 a comm is answered where it last published, so a widget made in a cell is
stuck on the busy main shell (0 of 5 clicks arrive before the cell ends). Undoing that gives 5 of 5
in JupyterLab, which sends widget messages to a subshell of its own. Front ends that send to the
main shell (VS Code, Colab) get a subshell that we make. Earlier kernels 7 need none of this; kernel
6 has no subshells, and only a worker thread with a free main shell helps there.

The names used here are private to ipykernel: each is looked for, and without it nothing is changed.
Handlers called this way run on another thread, where prints and exceptions appear nowhere: they
only set flags.
"""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["ignored", "keep_front_end_route"]

_log = logging.getLogger(__name__)
_own_subshell: str | None = None
_told: set[tuple[str, str]] = set()


def keep_front_end_route(widget: Any) -> bool:
    """Let messages to `widget` go where the front end sent them, never to a busy main shell;
    whether it applied."""
    comm = getattr(widget, "comm", None)
    if comm is None or not hasattr(comm, "_reply_subshell_for"):
        return False
    comm._reply_subshell_for = _route
    return True


def ignored(widget: Any, message: object) -> None:
    """Log, once a kind of widget and message, that the front end sent something that was not
    understood."""
    shape = sorted(map(str, message))[:4] if isinstance(message, dict) else type(message).__name__
    key = (type(widget).__name__, str(shape)[:80])
    if key not in _told:
        _told.add(key)
        _log.warning("%s ignored a message it does not know: %s", *key)


def _route(data: object, default: str | None) -> str | None:
    """Called by the kernel on its shell channel thread, with the subshell that the front end named,
    or None."""
    if default is not None:
        return default
    try:
        return _subshell_of_ours()
    except Exception as error:  # noqa: BLE001 — private names: whatever ipykernel changes, messages must arrive
        _log.debug("no subshell of our own: %s", error)
        return None


def _subshell_of_ours() -> str | None:
    global _own_subshell
    from ipykernel.kernelapp import IPKernelApp

    manager = IPKernelApp.instance().kernel.shell_channel_thread.manager
    if _own_subshell not in manager.list_subshell():
        _own_subshell = manager._create_subshell()
    return _own_subshell
