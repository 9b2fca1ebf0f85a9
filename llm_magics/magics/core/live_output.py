"""Showing work while it is done: one output that is updated in a notebook, growing text in a
terminal.

The final state of that output is the result itself, so a saved notebook holds the result and
nothing else. Updates are at most ten a second: `%%capture` stores every one of them, and a browser
draws every one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llm_magics.display.html import Node, fragment, render
from llm_magics.display.result import Result, mark_shown
from llm_magics.errors import printable

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Live", "hidden", "in_notebook"]

_PERIOD_S = 0.1
_PATIENCE_S = 0.25  # work that is done sooner shows its result only


def in_notebook(shell: InteractiveShell) -> bool:
    """Whether a kernel stands behind this shell (JupyterLab, Notebook, VS Code, Colab), not a
    terminal."""
    return getattr(shell, "kernel", None) is not None


class _Frame:
    """One state of the output."""

    def __init__(self, node: Node, text: str) -> None:
        self._node, self._text = node, text

    def node(self) -> Node:
        """What it shows."""
        return self._node

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": printable(self._text), "text/html": render(self._node)}


class Live:
    """The output of one call.

    `show` may be called as often as there is news; `finish` puts the result in its place and sees
    to it that the cell does not show the result a second time.
    """

    def __init__(self, shell: InteractiveShell, *, quiet: bool = False) -> None:
        self.shell = shell
        self.quiet = quiet
        self.notebook = in_notebook(shell)
        self._handle = None
        self._due = time.monotonic() + _PATIENCE_S
        self._written = ""

    def show(self, node: Callable[[], Node], text: str) -> None:
        """Show a state: `node()` in a notebook; in a terminal what `text` has grown by."""
        if self.quiet:
            return
        if not self.notebook:
            self._write(text)
            return
        if time.monotonic() < self._due:
            return
        self._update(_Frame(node(), text))
        self._due = time.monotonic() + _PERIOD_S

    def status(self, node: Callable[[], Node], line: str) -> None:
        """Show a state that replaces the one before, in a terminal too, where it is one line."""
        if self.quiet or time.monotonic() < self._due:
            return
        if self.notebook:
            self._update(_Frame(node(), line))
        elif sys.stdout.isatty():
            sys.stdout.write(f"\r\x1b[K{printable(line)}")
            sys.stdout.flush()
        self._due = time.monotonic() + _PERIOD_S

    def grows(self, text: str) -> bool:
        """Whether `text` only adds to what a terminal shows already."""
        return self.notebook or printable(text).startswith(self._written)

    def close(self) -> None:
        """Take the last state away; the result is shown by its cell."""
        self._end_line()
        if self._handle is not None:
            self._handle.update(_Frame(fragment(), ""))

    def finish(self, result: Result) -> Result:
        """Put `result` in place of the last state and return it, marked as shown if anything was
        shown."""
        if self._handle is None and not self._written:
            self._end_line()
            return result
        if self._handle is not None or self.quiet:
            self.show_result(result)
            return hidden(self.shell, result)
        text = printable(str(result))
        self._write(text if text.startswith(self._written) else f"{self._written}\n\n{text}")
        sys.stdout.write("\n")
        return hidden(self.shell, result, but=printable(result.plain()).removeprefix(text).strip())

    def show_result(self, result: Result) -> None:
        """Show `result` now, in place of the last state if there is one."""
        self._end_line()
        if self.quiet:
            return
        if self._handle is not None:
            self._handle.update(result)
        elif self._written:
            plain = printable(result.plain())
            known = plain.startswith(self._written)
            sys.stdout.write((plain[len(self._written) :] if known else f"\n\n{plain}") + "\n")
        else:
            self._update(result)

    def interrupted(self, node: Callable[[], Node] | None, text: str) -> None:
        """Leave the last state in place, whole and marked by the caller as incomplete."""
        self._end_line()
        if self.quiet or node is None:
            return
        if self.notebook:
            self._update(_Frame(node(), text))
        else:
            self._write(text)
            sys.stdout.write(" …\n")

    def _update(self, frame: object) -> None:
        if self._handle is None:
            from IPython.display import display

            self._handle = display(frame, display_id=True)
        else:
            self._handle.update(frame)

    def _write(self, text: str) -> None:
        text = printable(text)
        if text.startswith(self._written) and len(text) > len(self._written):
            sys.stdout.write(text[len(self._written) :])
            sys.stdout.flush()
            self._written = text

    def _end_line(self) -> None:
        if not self.notebook and not self._written and sys.stdout.isatty():
            sys.stdout.write("\r\x1b[K")


def hidden(shell: InteractiveShell, result: Any, but: str = "") -> Any:
    """`result`, of which this cell displays only `but`; None for what cannot be told not to display
    itself.

    `x = %translate …` displays nothing in its cell anyhow; there the mark is taken off when the
    cell has ended, or a later cell that says `x` would show nothing.
    """
    if not hasattr(result, "_ipython_display_"):
        return None
    mark_shown(result, but)

    def unmark(*_: object) -> None:
        shell.events.unregister("post_run_cell", unmark)
        mark_shown(result, None)  # if it is still there

    shell.events.register("post_run_cell", unmark)
    return result
