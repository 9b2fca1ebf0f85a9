"""What stays of a training in a saved notebook: loss, metrics and the last samples, without kernel
or script."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from llm_magics.display import theme
from llm_magics.display.charts.curve import Series, loss_curve_svg, small_charts_svg
from llm_magics.display.html import Node, el, fragment, image
from llm_magics.display.table import table

__all__ = ["Charts", "training_node"]

_MOST_METRICS = 8
_MOST_COLUMNS = 4
"""Runs whose samples stand beside each other."""


@dataclass(frozen=True)
class Charts:
    """The curves of one run, or of several beside each other, and what they made of a few held-out
    rows."""

    title: str = ""
    loss: list[tuple[str, Series]] = field(default_factory=list)
    """(run, series) with the series "train", "validation", …"""
    metrics: list[tuple[str, Series]] = field(default_factory=list)
    """(run, series), one small chart a name of a series."""
    samples: dict[str, list[list[str]]] = field(default_factory=dict)
    """Of each run: rows of given, predicted, expected; the last may be empty."""
    log_y: bool = False

    @property
    def runs(self) -> list[str]:
        """Names of the runs, in the order of their first line."""
        return list(dict.fromkeys(run for run, _ in [*self.loss, *self.metrics]))


def training_node(charts: Charts, summary: str) -> Node:
    """Pictures of loss and metrics and a table of samples; `summary` is read to those who see no
    picture."""
    nodes = [image(_loss_svg(charts).encode(), "image/svg+xml", summary, width_px=640)]
    metrics = _metrics(charts)
    if metrics:
        svg = small_charts_svg(
            metrics, title=f"{charts.title} metrics".strip(), columns=min(2, len(metrics))
        )
        names = ", ".join(metrics)
        nodes.append(
            image(svg.encode(), "image/svg+xml", f"metrics over steps: {names}", width_px=640)
        )
    return fragment(*nodes, *_samples({run: rows for run, rows in charts.samples.items() if rows}))


def _loss_svg(charts: Charts) -> str:
    runs = charts.runs
    if len(runs) < 2:
        return loss_curve_svg(
            [line for _, line in charts.loss], title=charts.title, log_y=charts.log_y
        )
    validated = {run for run, line in charts.loss if line.name != "train"}
    shown = [
        replace(line, name=run, colour=runs.index(run), thin=False)
        for run, line in charts.loss
        if line.name != "train" or run not in validated
    ]  # what moves a lot would hide what is to be compared
    return loss_curve_svg(shown, title=charts.title, log_y=charts.log_y)


def _metrics(charts: Charts) -> dict[str, list[Series]]:
    """One chart a metric: of one run headed by its last value, of several in the colours of the
    runs."""
    runs, charts_by_name = charts.runs, {}
    for number, name in enumerate(
        list(dict.fromkeys(line.name for _, line in charts.metrics))[:_MOST_METRICS]
    ):
        lines, head = (
            [(run, line) for run, line in charts.metrics if line.name == name],
            name.replace("_", " "),
        )
        if len(runs) > 1:
            charts_by_name[head] = [
                replace(line, name=run, colour=runs.index(run), thin=False) for run, line in lines
            ]
        else:
            last = lines[0][1].y[-1:]
            charts_by_name[" ".join([head, *(f"{value:.4g}" for value in last)])] = [
                replace(line, name="", colour=number, thin=False) for _, line in lines
            ]
    return charts_by_name


def _samples(samples: dict[str, list[list[str]]]) -> list[Node]:
    """One table, with a column of predictions a run, where the runs were asked the same; else one
    table a run."""
    givens = {tuple(row[0] for row in rows) for rows in samples.values()}
    if len(givens) > 1 or len(samples) > _MOST_COLUMNS:
        style = {**theme.NOTE, "font-family": theme.FONT, "font-weight": "600"}
        return [
            part
            for run, rows in samples.items()
            for part in (el("p", {"style": style}, f"samples of {run}"), *_samples({run: rows}))
        ]
    heads = [f"predicted by {run}" for run in samples] if len(samples) > 1 else ["predicted"]
    body = [
        [given, *(rows[i][1] for rows in samples.values())]
        for i, given in enumerate(next(iter(givens), ()))
    ]
    expected = [(row[2:] or [""])[0] for row in next(iter(samples.values()), [])]
    if any(expected):
        body = [[*row, wanted] for row, wanted in zip(body, expected, strict=True)]
    return (
        [table(["given", *heads, *(["expected"] if any(expected) else [])], body).node()]
        if body
        else []
    )
