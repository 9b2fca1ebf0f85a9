"""Curves as static pictures: what stays in the notebook when the live widget is gone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import itemgetter

from llm_magics.display import theme
from llm_magics.display.charts.svg import label, picture, shape
from llm_magics.display.html import Node

__all__ = ["Series", "loss_curve_svg", "nice_ticks", "small_charts_svg"]

_LEFT, _TOP, _BOTTOM = 52.0, 42.0, 36.0
_MOST_POINTS = 1500
"""Points drawn of one line; longer ones keep the smallest and largest of each stretch."""


@dataclass(frozen=True)
class Series:
    """One line of a plot: `x` and `y` of equal length. Values that are not finite are left out."""

    name: str
    """Written at its end; nothing is, when it is empty."""
    x: list[float]
    y: list[float]
    colour: int | None = None
    """Number of its colour; None: its place among the lines."""
    thin: bool | None = None
    """Drawn thin, as what moves a lot; None: if it is called "train"."""


@dataclass(frozen=True)
class _Frame:
    """Where values land on the picture."""

    left: float
    right: float
    top: float
    bottom: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log_y: bool

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high, at = *self.y_range, value
        if self.log_y:
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        return self.bottom - (at - low) / (high - low) * (self.bottom - self.top)


def loss_curve_svg(
    series: list[Series],
    *,
    title: str,
    x_label: str = "step",
    y_label: str = "loss",
    log_y: bool = False,
    width_px: int = 640,
    height_px: int = 280,
) -> str:
    """SVG text of `series`: the one called "train" thin, the others bold, each named at its end.

    Readable on light and dark pages. Points that are not finite, or not above 0 with `log_y`, are
    left out; without any point the picture says so.
    """
    lines = _lines(series, log_y)
    right = width_px - 20 - _label_room(lines)
    frame = _frame(lines, _LEFT, _TOP, right, height_px - _BOTTOM, log_y)
    head = [
        label(title, 4, 15, font_size=12.5, font_weight=600),
        label(y_label, frame.left - 8, frame.top - 8, text_anchor="end"),
        label(x_label, frame.right, height_px - 4, text_anchor="end"),
    ]
    if not lines:
        middle = (frame.left + frame.right) / 2
        head.append(
            label("no values yet", middle, height_px / 2, text_anchor="middle", fill_opacity=0.8)
        )
    return picture(width_px, height_px, _summary(title, lines), *head, *_plot(frame, lines))


def small_charts_svg(
    charts: dict[str, list[Series]], *, title: str, width_px: int = 640, columns: int = 2
) -> str:
    """SVG text of one small chart a key, `columns` beside each other; each has its own scale."""
    cell_px, height_px = width_px / columns, 128
    nodes: list[Node] = []
    for number, (name, series) in enumerate(charts.items()):
        x, y = number % columns * cell_px, number // columns * height_px
        lines = _lines(series, log_y=False)
        right = x + cell_px - 18 - _label_room(lines)
        frame = _frame(lines, x + _LEFT, y + 28, right, y + height_px - 26, log_y=False)
        nodes += [label(name, x + 4, y + 14, font_weight=600), *_plot(frame, lines, 2, 3)]
    rows = -(-len(charts) // columns)
    summary = "; ".join(
        _summary(name, _lines(series, log_y=False)) for name, series in charts.items()
    )
    return picture(width_px, height_px * rows, ": ".join(filter(None, [title, summary])), *nodes)


def nice_ticks(low: float, high: float, about: int) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten) from `low` to `high`, about `about` of them."""
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


_Line = tuple[Series, list[tuple[float, float]]]
"""A series and those of its points that can be drawn; its colour and thinness are settled."""


def _lines(series: list[Series], log_y: bool) -> list[_Line]:
    drawn = [(one, _points(one, log_y)) for one in series]
    drawn = [(one, points) for one, points in drawn if points]
    return [
        (
            replace(
                one,
                colour=i if one.colour is None else one.colour,
                thin=one.name == "train" if one.thin is None else one.thin,
            ),
            points,
        )
        for i, (one, points) in enumerate(drawn)
    ]


def _points(series: Series, log_y: bool) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for x, y in zip(series.x, series.y, strict=True)
        if math.isfinite(x) and math.isfinite(y) and (y > 0 or not log_y)
    ]


def _label_room(lines: list[_Line]) -> float:
    return 6.4 * max((len(_end_text(one, points)) for one, points in lines), default=0)


def _frame(
    lines: list[_Line], left: float, top: float, right: float, bottom: float, log_y: bool
) -> _Frame:
    xs = [x for _, points in lines for x, _ in points] or [0.0, 1.0]
    ys = [y for _, points in lines for _, y in points] or [1.0, 2.0]
    x_range = (min(xs), max(xs)) if max(xs) > min(xs) else (min(xs) - 1, min(xs) + 1)
    low, high = min(ys), max(ys)
    if log_y:
        low, high = (low / 1.08, high * 1.08) if high > low else (low / 2, high * 2)
    else:
        spare = 0.05 * (high - low) or max(abs(high) * 0.5, 1e-6)
        low, high = (0.0 if 0 <= low < 0.3 * high else low - spare), high + spare
    return _Frame(left, max(right, left + 60), top, bottom, x_range, (low, high), log_y)


def _plot(frame: _Frame, lines: list[_Line], y_ticks: int = 4, x_ticks: int = 5) -> list[Node]:
    """Grid and lines, with the names at the ends kept apart."""
    named = [i for i, (one, _) in enumerate(lines) if one.name]
    heights = _spread([frame.y(lines[i][1][-1][1]) for i in named], 14, frame.top, frame.bottom)
    at = dict(zip(named, heights, strict=True))
    drawn = [
        part
        for i, (one, points) in enumerate(lines)
        for part in _line(one, points, frame, at.get(i))
    ]
    return [*_grid(frame, bool(lines), y_ticks, x_ticks), *drawn]


def _grid(frame: _Frame, with_values: bool, y_ticks: int, x_ticks: int) -> list[Node]:
    nodes: list[Node] = []
    rule = {"stroke": theme.PICTURE_LINE, "stroke-width": 1}
    ys = _log_ticks(*frame.y_range) if frame.log_y else nice_ticks(*frame.y_range, y_ticks)
    for value in ys if with_values else []:
        y = frame.y(value)
        nodes.append(
            shape(
                "line",
                {
                    "x1": frame.left,
                    "x2": frame.right,
                    "y1": y,
                    "y2": y,
                    "stroke-opacity": 0.22,
                    **rule,
                },
            )
        )
        nodes.append(label(_number(value), frame.left - 8, y + 3.8, text_anchor="end"))
    steps = [value for value in nice_ticks(*frame.x_range, x_ticks) if value == round(value)]
    for value in steps if with_values else []:
        nodes.append(label(_number(value), frame.x(value), frame.bottom + 16, text_anchor="middle"))
    nodes.append(
        shape(
            "line",
            {
                "x1": frame.left,
                "x2": frame.right,
                "y1": frame.bottom,
                "y2": frame.bottom,
                "stroke-opacity": 0.6,
                **rule,
            },
        )
    )
    return nodes


def _log_ticks(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [
        digit * 10.0**e for e in exponents for digit in (1, 2, 5) if low <= digit * 10.0**e <= high
    ]
    if len(ticks) > 8:
        ticks = [tick for tick in ticks if round(math.log10(tick), 6) == round(math.log10(tick))]
    return ticks if len(ticks) > 1 else nice_ticks(low, high, 4)


def _line(
    one: Series, points: list[tuple[float, float]], frame: _Frame, label_y: float | None
) -> list[Node]:
    colour = theme.PICTURE_SERIES[(one.colour or 0) % len(theme.PICTURE_SERIES)]
    drawn = [(frame.x(x), frame.y(y)) for x, y in _thinned(points)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in drawn)
    stroke = {
        "fill": "none",
        "stroke": colour,
        "stroke-width": 1.1 if one.thin else 2.2,
        "stroke-opacity": 0.8 if one.thin else 1.0,
        "stroke-linejoin": "round",
        "stroke-linecap": "round",
    }
    dots = drawn if len(drawn) <= 12 and not one.thin else drawn[-1:]
    nodes = [
        shape("path", {"d": path, **stroke}),
        *(
            shape("circle", {"cx": x, "cy": y, "r": 1.8 if one.thin else 2.6, "fill": colour})
            for x, y in dots
        ),
    ]
    if label_y is not None:
        nodes.append(
            label(
                _end_text(one, points),
                frame.right + 10,
                label_y + 3.8,
                fill=colour,
                font_weight=400 if one.thin else 600,
            )
        )
    return nodes


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_MOST_POINTS` points; each stretch keeps its lowest and highest, so no spike
    disappears."""
    if len(points) <= _MOST_POINTS:
        return points
    size = -(-2 * len(points) // _MOST_POINTS)
    kept = [points[0]]
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept += sorted({min(stretch, key=itemgetter(1)), max(stretch, key=itemgetter(1))})
    return [*kept, points[-1]]


def _spread(wanted: list[float], apart: float, top: float, bottom: float) -> list[float]:
    """Positions near `wanted` that are `apart` from each other, so that no label covers another."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed, lowest = dict.fromkeys(order, 0.0), top - apart
    for i in order:
        placed[i] = lowest = max(wanted[i], lowest + apart)
    highest = bottom + apart
    for i in reversed(order):
        placed[i] = highest = min(placed[i], highest - apart)
    return [placed[i] for i in range(len(wanted))]


def _end_text(one: Series, points: list[tuple[float, float]]) -> str:
    name = one.name if len(one.name) <= 18 else one.name[:17] + "…"
    return f"{name} {_number(points[-1][1], 4)}" if name else ""


def _number(value: float, digits: int = 3) -> str:
    if value and (abs(value) >= 1e6 or abs(value) < 1e-4):
        return f"{value:.{digits - 1}g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def _summary(title: str, lines: list[_Line]) -> str:
    ends = (
        f"{one.name} {_number(points[0][1], 4)} to {_number(points[-1][1], 4)}"
        for one, points in lines
        if one.name
    )
    return ": ".join(part for part in (title, "; ".join(ends)) if part)
