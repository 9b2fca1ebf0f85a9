"""One task whose result grows while the cell runs, and that can be interrupted without losing what
there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from llm_magics.display.html import Node, el, fragment
from llm_magics.magics.core.command import Call, Interrupted

if TYPE_CHECKING:
    from llm_magics.display.result import Result
    from llm_magics.magics.core.live_output import Live

__all__ = ["stream"]


def stream(
    call: Call,
    work: Callable[..., Result],
    *arguments: object,
    grows: bool = True,
    **options: object,
) -> Result:
    """`work(*arguments, on_progress=…, stop=…, **options)`, shown while it is made; without
    `on_progress` unless it `grows`.

    When it is interrupted, what there is stays, marked as interrupted, and `Interrupted` is raised,
    so that the cell ends as one that did not finish and the cells queued behind it do not run.
    """
    live = call.live()
    last: list = []

    def on_progress(progress: object) -> None:
        last[:] = [progress]
        if live.grows(progress.text):
            live.show(progress.node, progress.text)
        else:
            live.status(progress.node, f"part {progress.done + 1} of {progress.total}")

    try:
        with call.stopping() as stop:
            watched = {"on_progress": on_progress} if grows else {}
            result = work(*arguments, stop=stop, **watched, **options)
    except KeyboardInterrupt:
        _keep(live, last)
        raise Interrupted(
            "stopped; what is shown is incomplete, and the model stays loaded"
            if last
            else "stopped before there was any result"
        ) from None
    if result.interrupted:
        live.show_result(result)
        call.assign(result)
        raise Interrupted("stopped; the result is incomplete, and the model stays loaded")
    return live.finish(result)


def _keep(live: Live, last: list) -> None:
    def node() -> Node:
        return fragment(last[0].node(), el("p", {}, el("strong", {}, "interrupted")))

    live.interrupted(node if last else None, last[0].text if last else "")
