"""The events of a run onto a training panel."""

from __future__ import annotations

import base64
import math
import time
from typing import TYPE_CHECKING

from llm_magics.training.run.events import (
    AttentionSeen,
    BatchSplit,
    CheckpointSaved,
    CheckpointSkipped,
    Evaluated,
    Event,
    Finished,
    LayersSeen,
    Paused,
    RateChanged,
    Resumed,
    RunStarted,
    Sampled,
    StepDone,
)

if TYPE_CHECKING:
    from llm_magics.widgets.training.training_panel import TrainingPanel

__all__ = ["PanelFeed", "metrics_text"]

_STEPS_EVERY_S = 0.12
_PROGRESS_EVERY_S = 0.25


class PanelFeed:
    """Draws the events of one run; `run` names it where a panel shows several. Events may come from
    any thread.

    Steps are drawn together, eight times a second: one by one, between steps of the model that have
    emptied the processor's caches, each would cost six times as much.
    """

    def __init__(self, panel: TrainingPanel, run: str = "") -> None:
        self._panel, self._run = panel, run
        self._first: StepDone | None = None
        self._waiting: list[StepDone] = []
        self._drawn_s = self._shown_s = -math.inf
        self._progress: dict[str, object] = {}

    def on_event(self, event: Event) -> bool:
        """Take in one event; whether there is something new to see."""
        if isinstance(event, StepDone):
            self._waiting.append(event)
            if time.monotonic() - self._drawn_s < _STEPS_EVERY_S:
                return False
            self.settle()
            return True
        self.settle()
        self._draw(event)
        return True

    def settle(self) -> None:
        """Draw the steps that wait."""
        steps, self._waiting = self._waiting, []
        self._drawn_s = time.monotonic()
        for step in steps:
            self._curves(step)
        if steps:
            self._figures(steps[0], steps[-1])

    def _draw(self, event: Event) -> None:
        panel, run = self._panel, self._run
        match event:
            case LayersSeen():
                self._layers(event)
            case Evaluated():
                panel.add("validation", event.step, event.loss, run=run)
                for name, value in event.metrics.items():
                    panel.add(name, event.step, value, run=run, group="metric")
                self._tell(
                    note=f"validation loss {event.loss:.4f}{metrics_text(event.metrics, ', ')}"
                )
            case Sampled():
                rows = [[one.given, one.predicted, one.expected] for one in event.samples]
                panel.snapshot("samples", event.step, run=run, rows=rows)
            case AttentionSeen():
                panel.snapshot(
                    "attention",
                    event.step,
                    run=run,
                    about=event.kind,
                    rows=event.rows,
                    columns=event.columns,
                    layers=event.layers,
                    heads=event.heads,
                    maps=base64.b64decode(event.maps),
                )
            case _:
                self._turn(event)

    def _turn(self, event: Event) -> None:
        """What happens a few times in a run: the start, the end, and what people and memory ask
        for."""
        match event:
            case RunStarted():
                self._tell(
                    step=event.step,
                    total_steps=event.total_steps,
                    note=" · ".join([f"{event.run} on {event.device}", *event.notes]),
                )
            case CheckpointSaved():
                self._tell(checkpoint=event.step)
            case CheckpointSkipped():
                self._tell(note=f"a damaged checkpoint was passed over: {event.problem}")
            case BatchSplit():
                self._mark(event.step, "batch split")
                self._tell(
                    memory=f"memory ran out at step {event.step:,}: batches are taken in parts of "
                    "at most "
                    f"{event.cells:,} tokens, with the same gradients"
                )
            case Paused():
                self._mark(event.step, "paused")
                self._status("paused")
                self._tell(
                    step=event.step, note=f"paused at step {event.step:,}; a checkpoint is saved"
                )
            case Resumed():
                self._status("running")
                self._first = None  # the time of the pause is not the time of a step
                self._tell(note=f"resumed at step {event.step:,}")
            case RateChanged():
                self._mark(event.step, f"learning rate × {event.factor:.4g}")
                self._tell(
                    rate_factor=event.factor,
                    note=f"learning rate × {event.factor:.4g} from step {event.step:,}",
                )
            case Finished():
                self._tell(
                    step=event.step,
                    eta_s=0.0,
                    note=f"{event.reason}{metrics_text(event.metrics, ', ')}",
                )

    def _curves(self, event: StepDone) -> None:
        panel, run, step = self._panel, self._run, event.step
        panel.add("train", step, event.loss, run=run)
        panel.add("learning_rate", step, event.learning_rate, run=run, group="rate")
        panel.add("gradient_norm", step, event.grad_norm, run=run, group="rate")
        panel.add("tokens_per_s", step, event.tokens_per_s, run=run, group="rate")

    def _figures(self, first: StepDone, last: StepDone) -> None:
        if self._first is None or self._first.step > last.step:
            self._first = first
        if self._drawn_s - self._shown_s < _PROGRESS_EVERY_S and last.step < last.total_steps:
            return
        self._shown_s = self._drawn_s
        self._tell(
            step=last.step,
            total_steps=last.total_steps,
            epoch=last.epoch,
            eta_s=_eta_s(self._first, last),
            tokens_per_s=last.tokens_per_s,
            learning_rate=last.learning_rate,
            padding=last.padding,
        )

    def _layers(self, event: LayersSeen) -> None:
        seen = {
            "gradient_norm": event.gradient_norm,
            "activation_std": event.activation_std,
            "activation_mean": event.activation_mean,
        }
        for group, values in seen.items():
            for layer, value in zip(event.layers, values, strict=True):
                if value is not None:
                    self._panel.add(layer, event.step, value, run=self._run, group=group)

    def _mark(self, step: int, text: str) -> None:
        self._panel.mark(step, text, run=self._run)

    def _status(self, status: str) -> None:
        if not self._run and self._panel.status in {"running", "paused"}:
            self._panel.status = status

    def _tell(self, **values: object) -> None:
        """The line of numbers is of one run; a panel of several shows none."""
        self._progress.update(values)
        if not self._run:
            self._panel.progress = dict(self._progress)


def metrics_text(metrics: dict[str, float], before: str = "") -> str:
    """`exact_match 0.97, chrf 81.2`, each value short; nothing when there are none."""
    shown = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in metrics.items())
    return f"{before}{shown}" if shown else ""


def _eta_s(first: StepDone, last: StepDone) -> float | None:
    """By the steps seen here and the run's own clock, so that it is right for a run that is
    replayed, too."""
    done = last.step - first.step
    return (last.seconds - first.seconds) / done * (last.total_steps - last.step) if done else None
