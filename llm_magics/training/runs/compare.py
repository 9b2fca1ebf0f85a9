"""Several runs beside each other: the settings that differ, their figures, and their curves in one
picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_magics.display import theme
from llm_magics.display.charts.curve import Series
from llm_magics.display.html import Node, el, fragment
from llm_magics.display.progress import counted, duration
from llm_magics.display.result import Result
from llm_magics.display.table import Table, table
from llm_magics.display.training import Charts, training_node
from llm_magics.errors import InputError
from llm_magics.training.recipe.settings import telling_differences
from llm_magics.training.run.events import Evaluated, Event, Sampled, StepDone
from llm_magics.training.runs.runs import Run
from llm_magics.training.runs.summary import RunSummary, summary_of

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(Result):
    """Runs beside each other; every tuple has one value a run, in the order of `runs`."""

    runs: tuple[str, ...]
    settings: dict[str, tuple[Any, ...]]
    """Dotted setting → its values, where they differ and mean something to one of the runs."""
    figures: dict[str, tuple[Any, ...]]
    """What they came to: "state", "steps", "validation loss", … and every metric."""
    charts: Charts | None = None
    """Their curves; None where they are shown elsewhere."""

    @property
    def text(self) -> str:
        """One line: which runs, and how many settings differ."""
        differ = "differs" if len(self.settings) == 1 else "differ"
        return f"{', '.join(self.runs)}: {counted(len(self.settings), 'setting')} {differ}"

    def __repr__(self) -> str:
        return f"Comparison({self.text!r})"

    def plain(self) -> str:
        """Both tables."""
        return f"{self._settings().text()}\n\n{self._figures().text()}"

    def node(self) -> Node:
        """Both tables, and the curves in one picture."""
        curves = (
            None
            if self.charts is None or not self.charts.loss
            else training_node(self.charts, self.text)
        )
        return el(
            "div",
            {"style": theme.BOX},
            fragment(self._settings().node(), self._figures().node()),
            curves,
        )

    def _settings(self) -> Table:
        rows = [[name, *map(_shown, values)] for name, values in self.settings.items()]
        return table(
            ["setting", *self.runs],
            rows,
            caption="" if rows else "the recipes have the same settings",
        )

    def _figures(self) -> Table:
        rows = [[name, *map(_shown, values)] for name, values in self.figures.items()]
        return table(["", *self.runs], rows, align="l" + "r" * len(self.runs))


def compare(runs: Sequence[Run], states: Mapping[str, str] | None = None) -> Comparison:
    """Two runs or more beside each other; InputError for fewer. states: as in `survey.survey`."""
    if len({run.name for run in runs}) < 2 or len({run.name for run in runs}) < len(runs):
        raise InputError("a comparison needs two different runs or more: %runs compare A B")
    names = tuple(run.name for run in runs)
    summaries = [summary_of(run, (states or {}).get(run.name)) for run in runs]
    charts = _charts({run.name: run.events() for run in runs})
    return Comparison(
        runs=names,
        settings=telling_differences([run.recipe() for run in runs]),
        figures=_figures(summaries),
        charts=charts,
    )


def _figures(summaries: Sequence[RunSummary]) -> dict[str, tuple[Any, ...]]:
    rows = {
        "state": tuple(
            one.state
            if one.reason in ("", "completed", "stopped")
            else f"{one.state}: {one.reason}"
            for one in summaries
        ),
        "parameters": tuple(one.parameters or None for one in summaries),
        "training rows": tuple(one.train_rows or None for one in summaries),
        "steps": tuple(one.step for one in summaries),
        "epochs": tuple(round(one.epochs, 2) for one in summaries),
        "training time": tuple(duration(one.seconds) for one in summaries),
        "lowest validation loss": tuple(one.loss for one in summaries),
        "at step": tuple(one.loss_step if one.loss is not None else None for one in summaries),
    }
    for name in dict.fromkeys(name for one in summaries for name in one.metrics):
        rows[name.replace("_", " ")] = tuple(one.metrics.get(name) for one in summaries)
    return rows


def _charts(runs: Mapping[str, list[Event]]) -> Charts:
    loss, metrics, samples = [], [], {}
    for name, events in runs.items():
        steps = [event for event in events if isinstance(event, StepDone)]
        looks = [event for event in events if isinstance(event, Evaluated)]
        if steps:
            loss.append((name, Series("train", [e.step for e in steps], [e.loss for e in steps])))
        if looks:
            loss.append(
                (name, Series("validation", [e.step for e in looks], [e.loss for e in looks]))
            )
        for metric in dict.fromkeys(metric for look in looks for metric in look.metrics):
            seen = [(look.step, look.metrics[metric]) for look in looks if metric in look.metrics]
            metrics.append(
                (name, Series(metric, [step for step, _ in seen], [value for _, value in seen]))
            )
        last = next((event for event in reversed(events) if isinstance(event, Sampled)), None)
        if last is not None:
            samples[name] = [[one.given, one.predicted, one.expected] for one in last.samples]
    return Charts(title=" · ".join(runs), loss=loss, metrics=metrics, samples=samples)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
