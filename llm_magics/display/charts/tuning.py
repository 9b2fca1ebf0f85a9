"""Charts about settings as static pictures: which of them matter, what goes with what, and loss
against learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llm_magics.display import theme
from llm_magics.display.charts.curve import nice_ticks
from llm_magics.display.charts.svg import label, picture, shape
from llm_magics.display.html import Node

__all__ = [
    "Axis",
    "importance_svg",
    "learning_rate_svg",
    "parallel_coordinates_svg",
    "short_names",
    "value_text",
]

Place = Callable[[float], float]
"""From a value to a coordinate."""


@dataclass(frozen=True)
class Axis:
    """A setting that is searched."""

    name: str
    choices: tuple[object, ...] | None = None
    """What it can be; None: numbers from low to high."""
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    def at(self, value: object) -> float:
        """Where a value lies: 0 at the lower end, 1 at the upper."""
        if self.choices is not None:
            texts = [value_text(choice) for choice in self.choices]
            place = texts.index(value_text(value)) if value_text(value) in texts else 0
            return (place + 0.5) / len(texts)
        if self.high <= self.low:
            return 0.5
        if self.log:
            return math.log(float(value) / self.low) / math.log(self.high / self.low)  # type: ignore[arg-type]
        return (float(value) - self.low) / (self.high - self.low)  # type: ignore[arg-type]

    def ticks(self) -> list[tuple[float, str]]:
        """(place, text) of what is written along the axis."""
        if self.choices is not None:
            return [(self.at(choice), value_text(choice)) for choice in self.choices]
        if self.high <= self.low:
            return [(0.5, value_text(self.low))]
        ends = [self.low, self.high]
        between = (
            [
                10.0**e
                for e in range(
                    math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1
                )
            ]
            if self.log
            else nice_ticks(self.low, self.high, 3)
        )
        apart = [
            value
            for value in between
            if all(abs(self.at(value) - self.at(end)) > 0.09 for end in ends)
        ]
        return [(self.at(value), value_text(value)) for value in [*ends, *apart]]


def value_text(value: object) -> str:
    """A setting or a value as people read it."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(value_text, value)) if isinstance(value, (list, tuple)) else str(value)


def short_names(names: Sequence[str]) -> list[str]:
    """The last part of dotted names, where no two are the same then."""
    last = [name.rpartition(".")[2] for name in names]
    return [
        short if last.count(short) == 1 else name for name, short in zip(names, last, strict=True)
    ]


def importance_svg(importance: Mapping[str, float], width_px: int = 480) -> str:
    """A bar a setting, the most important first; SVG text."""
    rows = sorted(importance.items(), key=lambda item: -item[1])
    left = 14 + 6.4 * max(len(name) for name in importance)
    nodes = [label("which setting matters (PED-ANOVA)", 4, 15, font_size=12.5, font_weight=600)]
    for i, (name, share) in enumerate(rows):
        y, length = 30.0 + 20 * i, max(0.0, share) * (width_px - left - 60)
        bar = {
            "x": float(left),
            "y": y,
            "width": max(1.0, length),
            "height": 13,
            "rx": 2,
            "fill": theme.PICTURE_SERIES[0],
        }
        nodes += [
            label(name, left - 8, y + 10, text_anchor="end"),
            shape("rect", bar),
            label(f"{100 * share:.0f} %", left + length + 7, y + 10),
        ]
    return picture(width_px, 34 + 20 * len(rows), "importance of settings", *nodes)


def parallel_coordinates_svg(
    axes: Sequence[Axis],
    trials: Sequence[tuple[Mapping[str, object], float]],
    metric: str,
    greater_is_better: bool,
    width_px: int = 660,
    height_px: int = 250,
) -> str:
    """A line a trial through its settings to its value, the best one bold; better values are drawn
    stronger. SVG text."""
    finite = [(settings, value) for settings, value in trials if math.isfinite(value)]
    values = [value for _, value in finite] or [0.0, 1.0]
    last = Axis(metric.replace("_", " "), low=min(values), high=max(values))
    columns = [*axes, last]
    left, right, top, bottom = 46.0, width_px - 58.0, 46.0, height_px - 16.0
    xs = [left + i * (right - left) / max(1, len(columns) - 1) for i in range(len(columns))]

    def y(share: float) -> float:
        return bottom - share * (bottom - top)

    order = sorted(
        finite, key=lambda trial: trial[1], reverse=not greater_is_better
    )  # the best is drawn last, on top
    nodes = [label("settings of the complete trials", 4, 15, font_size=12.5, font_weight=600)]
    for rank, (settings, value) in enumerate(order):
        best, share = rank == len(order) - 1, (rank + 1) / len(order)
        points = [y(axis.at(settings[axis.name])) for axis in axes] + [y(last.at(value))]
        nodes.append(
            _line(
                list(zip(xs, points, strict=True)),
                theme.PICTURE_SERIES[1 if best else 0],
                2.8 if best else 1.3,
                1.0 if best else 0.15 + 0.6 * share,
            )
        )
    names = [*short_names([axis.name for axis in axes]), last.name]
    for x, axis, name in zip(xs, columns, names, strict=True):
        nodes += [
            _rule(x, x, top, bottom, 0.7),
            label(name, x, top - 12, text_anchor="middle", font_weight=600),
        ]
        nodes += [label(text, x + 5, y(share) + 3.5, font_size=9.5) for share, text in axis.ticks()]
    return picture(width_px, height_px, "parallel coordinates of the complete trials", *nodes)


def learning_rate_svg(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    marks: Mapping[str, float],
    width_px: int = 640,
    height_px: int = 280,
) -> str:
    """Loss against the learning rate, which is on a logarithmic scale; `marks` are named rates. SVG
    text."""
    shown = [value for value in smoothed if math.isfinite(value)] or [0.0, 1.0]
    low, high = (
        min(shown),
        min(max(shown), 2.5 * max(shown[0], min(shown))),
    )  # where it runs away says nothing more
    air = 0.06 * (high - low) or 0.5
    left, right, top, bottom = 52.0, width_px - 20.0, 46.0, height_px - 40.0
    decades = (
        math.log10(rates[0]),
        math.log10(rates[-1]) if rates[-1] > rates[0] else math.log10(rates[0]) + 1,
    )

    def x(rate: float) -> float:
        return left + (math.log10(rate) - decades[0]) / (decades[1] - decades[0]) * (right - left)

    def y(loss: float) -> float:
        return bottom - (min(max(loss, low - air), high + air) - low + air) / (
            high - low + 2 * air
        ) * (bottom - top)

    nodes = [
        label("loss while the learning rate grows", 4, 15, font_size=12.5, font_weight=600),
        *_rate_grid(decades, (low, high), x, y, (left, right, bottom)),
    ]
    for values, thickness, opacity in ((losses, 1.0, 0.4), (smoothed, 2.2, 1.0)):
        points = [
            (x(rate), y(loss))
            for rate, loss in zip(rates, values, strict=True)
            if math.isfinite(loss)
        ]
        nodes += [_line(points, theme.PICTURE_SERIES[0], thickness, opacity)] if points else []
    for i, (name, rate) in enumerate(marks.items()):
        colour, at = theme.PICTURE_SERIES[1 + i], x(rate)
        side, anchor = (-6, "end") if at > width_px / 2 else (6, "start")
        nodes += [
            _rule(at, at, top - 8, bottom, 1.0, colour),
            label(
                f"{name} {rate:.2g}",
                at + side,
                top - 10 + 13 * i,
                fill=colour,
                font_weight=600,
                text_anchor=anchor,
            ),
        ]
    ends = ", ".join(f"{name} at {rate:.2g}" for name, rate in marks.items())
    return picture(width_px, height_px, f"loss against learning rate; {ends}", *nodes)


def _rate_grid(
    decades: tuple[float, float],
    losses: tuple[float, float],
    x: Place,
    y: Place,
    frame: tuple[float, float, float],
) -> list[Node]:
    left, right, bottom = frame
    nodes = [
        _rule(left, right, bottom, bottom, 0.6),
        label("learning rate", right, bottom + 32, text_anchor="end"),
        label("loss", left - 8, 38, text_anchor="end"),
    ]
    for exponent in range(math.ceil(decades[0] - 1e-9), math.floor(decades[1] + 1e-9) + 1):
        rate = 10.0**exponent
        nodes.append(
            label(
                f"1e{exponent}" if abs(exponent) > 2 else f"{rate:g}",
                x(rate),
                bottom + 16,
                text_anchor="middle",
            )
        )
    for value in nice_ticks(*losses, 4) if losses[1] > losses[0] else [losses[0]]:
        nodes += [
            _rule(left, right, y(value), y(value), 0.22),
            label(f"{value:.3g}", left - 8, y(value) + 3.8, text_anchor="end"),
        ]
    return nodes


def _rule(
    x1: float, x2: float, y1: float, y2: float, opacity: float, colour: str = theme.PICTURE_LINE
) -> Node:
    return shape(
        "line",
        {
            "x1": x1,
            "x2": x2,
            "y1": y1,
            "y2": y2,
            "stroke": colour,
            "stroke-width": 1,
            "stroke-opacity": opacity,
        },
    )


def _line(
    points: Sequence[tuple[float, float]], colour: str, thickness: float, opacity: float
) -> Node:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return shape(
        "path",
        {
            "d": path,
            "fill": "none",
            "stroke": colour,
            "stroke-width": thickness,
            "stroke-opacity": opacity,
            "stroke-linejoin": "round",
        },
    )
