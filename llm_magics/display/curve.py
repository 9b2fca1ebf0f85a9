"""Loss curves as a static picture: what stays in the notebook when the live widget is gone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import itemgetter

from llm_magics.display import theme
from llm_magics.display.html import Node
from llm_magics.display.svg import label, picture, shape

__all__ = ["Series", "loss_curve_svg", "nice_ticks"]

_LEFT, _TOP, _BOTTOM = 52.0, 42.0, 36.0
_MOST_POINTS = 1500
"""Points drawn of one line; longer ones keep the smallest and largest of each stretch."""


@dataclass(frozen=True)
class Series:
    """One line of a plot: `x` and `y` of equal length. Values that are not finite are left out."""

    name: str
    x: list[float]
    y: list[float]


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
    series: list[Series], *, title: str, x_label: str = "step", y_label: str = "loss", log_y: bool = False,
    width_px: int = 640, height_px: int = 280,
) -> str:
    """SVG text of `series`: the one called "train" thin, the others bold, each named at its end.

    Readable on light and dark pages. Points that are not finite, or not above 0 with `log_y`, are left out;
    without any point the picture says so.
    """
    lines = [(one.name, _points(one, log_y)) for one in series]
    lines = [(name, points) for name, points in lines if points]
    right = width_px - 20 - 6.4 * max((len(_end_text(name, points)) for name, points in lines), default=0)
    frame = _frame(lines, right, height_px - _BOTTOM, log_y)
    head = [
        label(title, 4, 15, font_size=12.5, font_weight=600),
        label(y_label, frame.left - 8, frame.top - 8, text_anchor="end"),
        label(x_label, frame.right, height_px - 4, text_anchor="end"),
    ]
    if not lines:
        middle = (frame.left + frame.right) / 2
        head.append(label("no values yet", middle, height_px / 2, text_anchor="middle", fill_opacity=0.8))
    ends = _spread([frame.y(points[-1][1]) for _, points in lines], 14, frame.top, frame.bottom)
    drawn = [part for i, (name, points) in enumerate(lines) for part in _line(i, name, points, frame, ends[i])]
    return picture(width_px, height_px, _summary(title, lines), *head, *_grid(frame, bool(lines)), *drawn)


def nice_ticks(low: float, high: float, about: int) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten) from `low` to `high`, about `about` of them."""
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _points(series: Series, log_y: bool) -> list[tuple[float, float]]:
    return [
        (float(x), float(y)) for x, y in zip(series.x, series.y, strict=True)
        if math.isfinite(x) and math.isfinite(y) and (y > 0 or not log_y)
    ]


def _frame(lines: list[tuple[str, list[tuple[float, float]]]], right: float, bottom: float, log_y: bool) -> _Frame:
    xs = [x for _, points in lines for x, _ in points] or [0.0, 1.0]
    ys = [y for _, points in lines for _, y in points] or [1.0, 2.0]
    x_range = (min(xs), max(xs)) if max(xs) > min(xs) else (min(xs) - 1, min(xs) + 1)
    low, high = min(ys), max(ys)
    if log_y:
        low, high = (low / 1.08, high * 1.08) if high > low else (low / 2, high * 2)
    else:
        spare = 0.05 * (high - low) or max(abs(high) * 0.5, 1e-6)
        low, high = (0.0 if 0 <= low < 0.3 * high else low - spare), high + spare
    return _Frame(_LEFT, max(right, _LEFT + 60), _TOP, bottom, x_range, (low, high), log_y)


def _grid(frame: _Frame, with_values: bool) -> list[Node]:
    nodes: list[Node] = []
    rule = {"stroke": theme.PICTURE_LINE, "stroke-width": 1}
    ys = _log_ticks(*frame.y_range) if frame.log_y else nice_ticks(*frame.y_range, 4)
    for value in ys if with_values else []:
        y = frame.y(value)
        nodes.append(shape("line", {"x1": frame.left, "x2": frame.right, "y1": y, "y2": y, "stroke-opacity": 0.22,
                                    **rule}))
        nodes.append(label(_number(value), frame.left - 8, y + 3.8, text_anchor="end"))
    steps = [value for value in nice_ticks(*frame.x_range, 5) if value == round(value)]
    for value in steps if with_values else []:
        nodes.append(label(_number(value), frame.x(value), frame.bottom + 16, text_anchor="middle"))
    nodes.append(shape("line", {"x1": frame.left, "x2": frame.right, "y1": frame.bottom, "y2": frame.bottom,
                                "stroke-opacity": 0.6, **rule}))
    return nodes


def _log_ticks(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0 ** e for e in exponents for digit in (1, 2, 5) if low <= digit * 10.0 ** e <= high]
    if len(ticks) > 8:
        ticks = [tick for tick in ticks if round(math.log10(tick), 6) == round(math.log10(tick))]
    return ticks if len(ticks) > 1 else nice_ticks(low, high, 4)


def _line(
    number: int, name: str, points: list[tuple[float, float]], frame: _Frame, label_y: float
) -> list[Node]:
    colour = theme.PICTURE_SERIES[number % len(theme.PICTURE_SERIES)]
    thin = name == "train"
    drawn = [(frame.x(x), frame.y(y)) for x, y in _thinned(points)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in drawn)
    stroke = {"fill": "none", "stroke": colour, "stroke-width": 1.1 if thin else 2.2,
              "stroke-opacity": 0.8 if thin else 1.0, "stroke-linejoin": "round", "stroke-linecap": "round"}
    dots = drawn if len(drawn) <= 12 and not thin else drawn[-1:]
    return [
        shape("path", {"d": path, **stroke}),
        *(shape("circle", {"cx": x, "cy": y, "r": 1.8 if thin else 2.6, "fill": colour}) for x, y in dots),
        label(_end_text(name, points), frame.right + 10, label_y + 3.8, fill=colour,
              font_weight=400 if thin else 600),
    ]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_MOST_POINTS` points; each stretch keeps its lowest and highest, so no spike disappears."""
    if len(points) <= _MOST_POINTS:
        return points
    size = -(-2 * len(points) // _MOST_POINTS)
    kept = [points[0]]
    for start in range(0, len(points), size):
        stretch = points[start:start + size]
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


def _end_text(name: str, points: list[tuple[float, float]]) -> str:
    return f"{name if len(name) <= 18 else name[:17] + '…'} {_number(points[-1][1], 4)}"


def _number(value: float, digits: int = 3) -> str:
    if value and (abs(value) >= 1e6 or abs(value) < 1e-4):
        return f"{value:.{digits - 1}g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def _summary(title: str, lines: list[tuple[str, list[tuple[float, float]]]]) -> str:
    ends = (f"{name} {_number(points[0][1], 4)} to {_number(points[-1][1], 4)}" for name, points in lines)
    return ": ".join(part for part in (title, "; ".join(ends)) if part)
