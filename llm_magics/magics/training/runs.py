"""What %train says about recipes and runs: the list, and a run to look at again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llm_magics.display.html import Node, fragment, render
from llm_magics.display.progress import duration
from llm_magics.display.table import Table, table
from llm_magics.magics.core.waiting import aside
from llm_magics.magics.training.train_view import NotebookView, Silent, metrics_text, view_for
from llm_magics.training.run.events import Failed, Finished

if TYPE_CHECKING:
    from llm_magics.magics.core.call import Call
    from llm_magics.training.run.launch import TrainingRun
    from llm_magics.training.runs.runs import Run
    from llm_magics.training.runs.summary import RunSummary

__all__ = ["Listing", "attach", "listing"]

_LOOK_EVERY_S = 0.5
_SILENT_FOR_S = 120.0  # no news for so long: the process that trained is taken to be gone


class Listing:
    """The shipped recipes and the runs on this machine."""

    def __init__(self, recipes: Table, runs: Table) -> None:
        self.recipes, self.runs = recipes, runs

    def __repr__(self) -> str:
        return f"{self.recipes.text()}\n\n{self.runs.text()}"

    def node(self) -> Node:
        """Both tables."""
        return fragment(self.recipes.node(), self.runs.node())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": render(self.node())}


def listing(call: Call) -> Listing:
    """What %train --list shows."""
    from llm_magics.magics.core.completion import shipped_recipes

    recipes = [[name, call.session.recipe(name).description] for name in shipped_recipes()]
    runs = [_run_row(one) for one in call.session.survey_runs()]
    return Listing(
        table(["recipe", "what it trains"], recipes, caption="%train --recipe NAME"),
        table(
            ["run", "state", "step", "validation", "time"],
            runs,
            align="llrll",
            caption="%train --attach NAME shows a run, --resume NAME goes on with it; %runs "
            "compares, exports, deletes; its "
            "model is run:NAME"
            if runs
            else "no run yet",
        ),
    )


def attach(call: Call) -> TrainingRun | Run:
    """Show a run from its record, and follow it while it trains, in this kernel or another."""
    name = str(call["attach"])
    run, handle = call.session.find_run(name), call.session.training.get(name)
    view = view_for(call.shell, name, quiet=bool(call["quiet"]))
    view.connect(handle)
    seen = _replay(run, view, 0)
    if _ended(run, handle) or not isinstance(view, NotebookView):
        view.close(_status(run, handle))
    else:
        aside(_follow, run, handle, view, seen)
    return handle or run


def _replay(run: Run, view: Silent, seen: int) -> int:
    events, seen = run.record(seen)
    for event in events:
        view.on_event(event)
    return seen


def _follow(run: Run, handle: TrainingRun | None, view: Silent, seen: int) -> None:
    news_s, asked = time.monotonic(), False
    while not _ended(run, handle) and time.monotonic() - news_s < _SILENT_FOR_S:
        time.sleep(_LOOK_EVERY_S)
        count = _replay(run, view, seen)
        if count > seen:
            seen, news_s = count, time.monotonic()
        if view.stop_requested and handle is not None and not asked:
            asked = True
            handle.stop()
            view.stopping()
    _replay(run, view, seen)
    view.close(_status(run, handle))


def _ended(run: Run, handle: TrainingRun | None) -> bool:
    if handle is not None:
        return handle.done
    events = run.events()
    return bool(events) and isinstance(events[-1], Finished | Failed)


def _status(run: Run, handle: TrainingRun | None) -> str:
    """ "running", "finished", "interrupted" or "failed", as a curve shows it."""
    if handle is not None and not handle.done:
        return "running"
    if handle is not None and handle.error is not None:
        return "failed"
    events = run.events()
    last = events[-1] if events else None
    if isinstance(last, Failed):
        return "failed"
    return "finished" if isinstance(last, Finished) and last.reason != "stopped" else "interrupted"


def _run_row(one: RunSummary) -> list[object]:
    state = f"{one.state}: {one.reason}" if one.state == "damaged" else one.reason or one.state
    shown = "" if one.loss is None else f"loss {one.loss:.3f}{metrics_text(one.metrics, ', ')}"
    return [one.name, state, one.step, shown, duration(one.seconds) if one.seconds else ""]
