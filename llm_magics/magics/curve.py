"""A training as its user sees it: the events of a run onto a loss curve, or a line each in a terminal."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING

from llm_magics.display.progress import duration
from llm_magics.errors import printable
from llm_magics.magics.live import in_notebook
from llm_magics.training.events import CheckpointSaved, Evaluated, Event, Finished, RunStarted, StepDone

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llm_magics.widgets.loss_curve import LossCurve

__all__ = ["NotebookView", "Silent", "TerminalView", "metrics_text", "view_for"]

_PROGRESS_EVERY_S = 0.25


def view_for(shell: InteractiveShell, title: str, *, quiet: bool = False) -> Silent | TerminalView | NotebookView:
    """The view that fits where the cell runs. Its `on_event` may be called from any thread."""
    if quiet:
        return Silent()
    return NotebookView(title) if in_notebook(shell) else TerminalView()


class Silent:
    """Shows nothing; the base of the other views."""

    stop_requested = False

    def on_event(self, event: Event) -> None:
        """Take in one event."""

    def stopping(self) -> None:
        """The user asked to stop; the current step is being finished."""

    def close(self, status: str) -> None:
        """The training is over: "finished", "interrupted" or "failed"."""


class TerminalView(Silent):
    """A line at the start, one an evaluation, and one at the end."""

    def on_event(self, event: Event) -> None:
        match event:
            case RunStarted():
                _say(f"{event.run}: {event.parameters:,} parameters, {event.train_rows:,} rows, "
                     f"{event.total_steps:,} steps on {event.device}")
            case Evaluated():
                _say(f"step {event.step:>6}  epoch {event.epoch:5.2f}  validation loss {event.loss:.4f}"
                     f"{metrics_text(event.metrics, '  ')}")
            case Finished():
                _say(f"{event.reason} at step {event.step:,} after {duration(event.seconds)}"
                     f"{metrics_text(event.metrics, ', ')}")

    def stopping(self) -> None:
        _say("stopping after this step; interrupt once more to stop waiting")


class NotebookView(Silent):
    """A live loss curve. Its stop button only sets a flag, which whoever waits for the run looks at."""

    def __init__(self, title: str) -> None:
        from IPython.display import display

        from llm_magics.widgets.loss_curve import LossCurve

        self.curve: LossCurve = LossCurve(title=title)
        self._handle = display(self.curve, display_id=True)
        self._first: StepDone | None = None
        self._shown_s = -math.inf

    @property
    def stop_requested(self) -> bool:
        """Whether the stop button was pressed."""
        return self.curve.stop_requested

    def on_event(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._progress(step=event.step, total_steps=event.total_steps, note=f"{event.run} on {event.device}")
            case StepDone():
                self._step(event)
            case Evaluated():
                self.curve.add("validation", event.step, event.loss)
                self._progress(note=f"validation loss {event.loss:.4f}{metrics_text(event.metrics, ', ')}")
            case CheckpointSaved():
                pass  # nothing a curve shows
            case Finished():
                self._progress(step=event.step, eta_s=0.0, note=f"{event.reason}{metrics_text(event.metrics, ', ')}")
        self.curve.flush()

    def stopping(self) -> None:
        self.curve.status = "stopping"

    def close(self, status: str) -> None:
        self.curve.finish(status)
        # The output made at the start holds a picture of an empty curve; a saved notebook needs the last one.
        self._handle.update(self.curve)

    def _step(self, event: StepDone) -> None:
        self.curve.add("train", event.step, event.loss)
        if self._first is None:
            self._first = event
        now_s = time.monotonic()
        if now_s - self._shown_s < _PROGRESS_EVERY_S and event.step < event.total_steps:
            return
        self._shown_s = now_s
        self._progress(step=event.step, total_steps=event.total_steps, epoch=event.epoch,
                       eta_s=self._eta_s(self._first, event), tokens_per_s=event.tokens_per_s,
                       learning_rate=event.learning_rate)

    @staticmethod
    def _eta_s(first: StepDone, last: StepDone) -> float | None:
        """By the steps seen here and the run's own clock, so that it is right for a run that is replayed, too."""
        done = last.step - first.step
        return (last.seconds - first.seconds) / done * (last.total_steps - last.step) if done else None

    def _progress(self, **values: object) -> None:
        self.curve.progress = {**self.curve.progress, **values}


def metrics_text(metrics: dict[str, float], before: str = "") -> str:
    """`exact_match 0.97, chrf 81.2`, each value short; nothing when there are none."""
    shown = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in metrics.items())
    return f"{before}{shown}" if shown else ""


def _say(line: str) -> None:
    sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()
