"""A search for settings as plain values, and what stays of it in a saved notebook."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from llm_magics.display import theme
from llm_magics.display.charts.curve import nice_ticks
from llm_magics.display.charts.svg import label, picture, shape
from llm_magics.display.charts.tuning import (
    Axis,
    importance_svg,
    parallel_coordinates_svg,
    short_names,
    value_text,
)
from llm_magics.display.html import Node, fragment, image
from llm_magics.display.progress import duration
from llm_magics.display.table import Table, table

__all__ = [
    "FEWEST_FOR_PLOTS",
    "LIVE_STATES",
    "STATES",
    "Board",
    "Trial",
    "ranked",
    "settings_text",
    "small_multiples_svg",
    "tuning_node",
]

STATES = theme.PICTURE_STATES
"""What a trial can be, and the colour that goes with the word."""
LIVE_STATES = ("queued", "running")
"""Those that a person can still stop."""
FEWEST_FOR_PLOTS = 4
"""Complete trials, before anything is said about which setting matters."""
_COLUMNS, _CELL_PX, _HEIGHT_PX = 4, 165, 118
_MOST_DRAWN = 40


@dataclass(frozen=True)
class Trial:
    """One training of a search."""

    number: int
    settings: Mapping[str, object]
    """Dotted settings that this trial differs in."""
    state: str = "queued"
    """One of STATES."""
    value: float | None = None
    """The metric where the validation loss was lowest; None before the first evaluation."""
    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()
    """Validation loss at these steps, in nats a target."""
    step: int = 0
    total_steps: int = 0
    seconds: float = 0.0
    """Training time."""
    note: str = ""
    """Why it ended as it did, where that needs words."""

    @property
    def label(self) -> str:
        """`t007`."""
        return f"t{self.number:03d}"

    @property
    def state_text(self) -> str:
        """The state in words, with how far it is."""
        if self.state in ("running", "interrupted") and self.total_steps:
            return f"{self.state} {100 * self.step // self.total_steps} %"
        return self.state


@dataclass(frozen=True)
class Board:
    """Everything there is to see of a search."""

    name: str
    metric: str = "loss"
    greater_is_better: bool = False
    wanted: int = 0
    """Trials asked for in all."""
    trials: tuple[Trial, ...] = ()
    axes: tuple[Axis, ...] = ()
    """The settings that are searched."""
    importance: Mapping[str, float] = field(default_factory=dict)
    """Setting → its share in what makes trials differ, 0 to 1; empty while there are too few
    trials."""

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best value."""
        return next(
            iter(
                ranked(
                    [trial for trial in self.trials if trial.state == "complete"],
                    self.greater_is_better,
                )
            ),
            None,
        )

    def table(self) -> Table:
        """A row a trial, the best first."""
        names, best = short_names([axis.name for axis in self.axes]), self.best
        rows = [
            [
                f"{trial.label}{' (best)' if trial is best else ''}",
                ": ".join(filter(None, [trial.state_text, trial.note])),
                value_text(trial.value),
                *(value_text(trial.settings.get(axis.name)) for axis in self.axes),
                trial.step or "",
                duration(trial.seconds) if trial.seconds else "",
            ]
            for trial in ranked(self.trials, self.greater_is_better)
        ]
        return table(
            ["trial", "state", self.metric.replace("_", " "), *names, "step", "time"],
            rows,
            align="llr" + "r" * len(names) + "rr",
        )

    def summary(self) -> str:
        """One line for people."""
        counts = [
            f"{count} {state}"
            for state in STATES
            if (count := sum(trial.state == state for trial in self.trials))
        ]
        best = self.best
        found = (
            ""
            if best is None
            else (
                f"; best {best.label} with {self.metric.replace('_', ' ')} "
                f"{value_text(best.value)} ({settings_text(best.settings)})"
            )
        )
        return f"{self.name}: {', '.join(counts) or 'no trial yet'} of {self.wanted} wanted{found}"


def ranked(trials: Iterable[Trial], greater_is_better: bool) -> list[Trial]:
    """Complete trials first, then the others, each by value; those without one last, in their
    order."""

    def key(trial: Trial) -> tuple[bool, bool, float, int]:
        given = math.nan if trial.value is None else trial.value
        known = not math.isnan(given)
        value = given if known else 0.0
        return (
            trial.state != "complete",
            not known,
            -value if greater_is_better else value,
            trial.number,
        )

    return sorted(trials, key=key)


def settings_text(settings: Mapping[str, object]) -> str:
    """`lr=0.003 dropout=0.1`."""
    pairs = zip(short_names(list(settings)), settings.values(), strict=True)
    return " ".join(f"{name}={value_text(value)}" for name, value in pairs)


def tuning_node(board: Board) -> Node:
    """Curves, table and, where there are enough trials, importance and parallel coordinates; needs
    no script."""
    drawn = [_image(small_multiples_svg(board), board.summary(), _COLUMNS * _CELL_PX)]
    complete = [
        (trial.settings, trial.value)
        for trial in board.trials
        if trial.state == "complete" and trial.value is not None
    ]
    if len(complete) >= FEWEST_FOR_PLOTS:
        if board.importance:
            shares = ", ".join(
                f"{name} {100 * share:.0f} %" for name, share in board.importance.items()
            )
            drawn.append(_image(importance_svg(board.importance), f"importance: {shares}", 480))
        svg = parallel_coordinates_svg(board.axes, complete, board.metric, board.greater_is_better)
        drawn.append(_image(svg, "settings and values of the complete trials", 660))
    return fragment(*drawn, board.table().node())


def _image(svg: str, alt: str, width_px: int) -> Node:
    return image(svg.encode(), "image/svg+xml", alt, width_px=width_px)


def small_multiples_svg(board: Board) -> str:
    """One small curve of the validation loss a trial, all on one scale; SVG text.

    Of many trials the best and the latest are drawn. The best one is marked, states are written and
    coloured.
    """
    trials = _chosen(board)
    scale = _Scale.of(trials)
    count = (
        str(len(trials))
        if len(trials) == len(board.trials)
        else f"{len(trials)} of {len(board.trials)}"
    )
    title = f"{board.name}: validation loss of {count} trials{', logarithmic' if scale.log else ''}"
    nodes = [label(title, 4, 14, font_size=12.5, font_weight=600)]
    for i, trial in enumerate(trials):
        nodes += _cell(
            trial,
            i % _COLUMNS * _CELL_PX,
            24 + i // _COLUMNS * _HEIGHT_PX,
            scale,
            trial is board.best,
        )
    rows = -(-len(trials) // _COLUMNS) or 1
    return picture(_COLUMNS * _CELL_PX, 24 + rows * _HEIGHT_PX, board.summary(), *nodes)


def _chosen(board: Board) -> list[Trial]:
    if len(board.trials) <= _MOST_DRAWN:
        return list(board.trials)
    best = ranked(board.trials, board.greater_is_better)[: _MOST_DRAWN // 2]
    latest = [trial for trial in board.trials if trial not in best][-(_MOST_DRAWN - len(best)) :]
    return sorted([*best, *latest], key=lambda trial: trial.number)


@dataclass(frozen=True)
class _Scale:
    """The scale that all curves share."""

    last: int
    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, trials: list[Trial]) -> _Scale:
        losses = [loss for trial in trials for loss in trial.losses if math.isfinite(loss)] or [
            0.0,
            1.0,
        ]
        low, high = min(losses), max(losses)
        log = low > 0 and high > 8 * low  # one trial that went astray must not flatten the others
        air = 1.05 if log else 0.05 * (high - low) or max(abs(high) / 2, 1e-6)
        return cls(
            max([max(trial.total_steps, *trial.steps, 1) for trial in trials] or [1]),
            low / air if log else low - air,
            high * air if log else high + air,
            log,
        )

    def at(self, loss: float) -> float:
        """0 at the bottom, 1 at the top."""
        if self.log:
            return math.log(loss / self.low) / math.log(self.high / self.low)
        return (loss - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Two or three values to write beside it."""
        if not self.log:
            return nice_ticks(self.low, self.high, 3)
        return [self.low * (self.high / self.low) ** share for share in (0.15, 0.85)]


def _cell(trial: Trial, x: float, y: float, scale: _Scale, best: bool) -> list[Node]:
    left, right, top, bottom = x + 38, x + _CELL_PX - 10, y + 22, y + _HEIGHT_PX - 30
    colour = STATES[trial.state]
    nodes = [
        label(f"{trial.label}{' ★ best' if best else ''}", x + 4, y + 14, font_weight=600),
        label(trial.state_text, right, y + 14, text_anchor="end", fill=colour),
    ]
    rule = {"stroke": theme.PICTURE_LINE, "stroke-width": 1}
    for value in scale.ticks():
        height = bottom - scale.at(value) * (bottom - top)
        nodes.append(
            shape(
                "line",
                {
                    "x1": left,
                    "x2": right,
                    "y1": height,
                    "y2": height,
                    "stroke-opacity": 0.22,
                    **rule,
                },
            )
        )
        nodes.append(label(f"{value:.2g}", left - 4, height + 3.5, text_anchor="end", font_size=9))
    nodes.append(
        shape(
            "line",
            {"x1": left, "x2": right, "y1": bottom, "y2": bottom, "stroke-opacity": 0.6, **rule},
        )
    )
    drawn = [
        (step, loss)
        for step, loss in zip(trial.steps, trial.losses, strict=True)
        if math.isfinite(loss)
    ]
    points = [
        (left + step / scale.last * (right - left), bottom - scale.at(loss) * (bottom - top))
        for step, loss in drawn
    ]
    if points:
        path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
        nodes.append(
            shape(
                "path",
                {
                    "d": path,
                    "fill": "none",
                    "stroke": colour,
                    "stroke-width": 2.4 if best else 1.6,
                    "stroke-linejoin": "round",
                },
            )
        )
        nodes.append(
            shape("circle", {"cx": points[-1][0], "cy": points[-1][1], "r": 2.6, "fill": colour})
        )
    lines = _wrapped(settings_text(trial.settings), 27)
    return nodes + [
        label(line, x + 4, bottom + 12 + 11 * i, font_size=9.5) for i, line in enumerate(lines)
    ]


def _wrapped(text: str, width: int) -> list[str]:
    """At most two lines of so many letters; what is left of the rest is an ellipsis."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1][: width - 2]} …"]
    return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]
