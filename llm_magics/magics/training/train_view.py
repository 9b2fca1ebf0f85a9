"""A training as its user sees it: the events of a run onto a panel, or a line each in a
terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from llm_magics.display.progress import counted, duration
from llm_magics.errors import printable
from llm_magics.magics.core.live_output import in_notebook
from llm_magics.magics.core.waiting import View
from llm_magics.magics.training.panel_feed import PanelFeed, metrics_text
from llm_magics.training.run.events import (
    BatchSplit,
    CheckpointSkipped,
    Evaluated,
    Event,
    Finished,
    LayersSeen,
    Paused,
    RateChanged,
    Resumed,
    RunStarted,
    StepDone,
)

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llm_magics.training.run.launch import TrainingResult
    from llm_magics.widgets.training.training_panel import TrainingPanel

__all__ = ["NotebookView", "Silent", "TerminalView", "comparison_panel", "metrics_text", "view_for"]


def view_for(
    shell: InteractiveShell, title: str, *, quiet: bool = False
) -> Silent | TerminalView | NotebookView:
    """The view that fits where the cell runs. Its `on_event` may be called from any thread."""
    if quiet:
        return Silent()
    return NotebookView(title) if in_notebook(shell) else TerminalView()


def comparison_panel(runs: dict[str, Iterable[Event]], title: str = "") -> TrainingPanel:
    """The panel of several runs beside each other, from what they recorded; a result like any other
    in a cell."""
    from llm_magics.widgets.training.training_panel import TrainingPanel

    panel = TrainingPanel(title=title or " · ".join(runs))
    for name, events in runs.items():
        feed = PanelFeed(panel, run=name)
        for event in events:
            feed.on_event(event)
        feed.settle()
    panel.finish()
    return panel


class Silent(View):
    """Shows nothing of a training; the base of the other views."""

    def on_event(self, event: Event) -> None:
        """Take in one event."""

    def take_requests(self) -> list[tuple[str, float | None]]:
        """What buttons asked for without a run to act on, since the last call."""
        return []

    def end(self, result: TrainingResult) -> None:
        self.close("interrupted" if result.reason == "stopped" else "finished")


class TerminalView(Silent):
    """A line at the start, one an evaluation, one at each turn, and one at the end."""

    _stopping = False

    def on_event(self, event: Event) -> None:
        line = _line(event)
        if line is not None:
            _say(line)

    def stopping(self) -> None:
        if not self._stopping:
            self._stopping = True
            _say("stopping after this step; interrupt once more to stop waiting")


class NotebookView(Silent):
    """A live panel. Its buttons act on the run that was given to `connect`."""

    def __init__(self, title: str) -> None:
        from IPython.display import display

        from llm_magics.widgets.training.training_panel import TrainingPanel

        self.panel: TrainingPanel = TrainingPanel(title=title)
        self._feed = PanelFeed(self.panel)
        self._handle = display(self.panel, display_id=True)

    @property
    def stop_requested(self) -> bool:
        """Whether the stop button was pressed."""
        return self.panel.stop_requested

    def on_event(self, event: Event) -> None:
        if self._feed.on_event(event):
            # Steps and layers come in quick succession; after anything else nothing may follow for
            # long.
            self.panel.flush(force=not isinstance(event, (StepDone, LayersSeen)))

    def connect(self, run: object | None) -> None:
        self.panel.connect(run)

    def take_requests(self) -> list[tuple[str, float | None]]:
        return self.panel.take_requests()

    def stopping(self) -> None:
        self.panel.status = "stopping"

    def close(self, status: str) -> None:
        self._feed.settle()
        self.panel.finish(status)
        # The output made at the start holds a picture of an empty curve; a saved notebook needs the
        # last one.
        self._handle.update(self.panel)


def _line(event: Event) -> str | None:
    """What a terminal says to an event; None: nothing."""
    match event:
        case RunStarted():
            notes = "".join(f"\n  {note}" for note in event.notes)
            return (
                f"{event.run}: {counted(event.parameters, 'parameter')}, "
                f"{counted(event.train_rows, 'row')}, {counted(event.total_steps, 'step')} on "
                f"{event.device}{notes}"
            )
        case Evaluated():
            return (
                f"step {event.step:>6}  epoch {event.epoch:5.2f}  validation loss {event.loss:.4f}"
                f"{metrics_text(event.metrics, '  ')}"
            )
        case Paused():
            return f"paused at step {event.step:,}; a checkpoint is saved"
        case Resumed():
            return f"resumed at step {event.step:,}"
        case RateChanged():
            return f"learning rate × {event.factor:.4g} from step {event.step:,}"
        case BatchSplit():
            return (
                f"memory ran out at step {event.step:,}: batches are taken in parts of at most "
                f"{event.cells:,} tokens, with the same gradients"
            )
        case CheckpointSkipped():
            return f"a damaged checkpoint was passed over: {event.problem}"
        case Finished():
            return (
                f"{event.reason} at step {event.step:,} after "
                f"{duration(event.seconds)}{metrics_text(event.metrics, ', ')}"
            )
    return None


def _say(line: str) -> None:
    sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()
