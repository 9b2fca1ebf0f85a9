"""One attention head as a picture that needs neither a kernel nor a script: cells, tokens,
scale."""

from __future__ import annotations

import math
import unicodedata

from llm_magics.display import theme
from llm_magics.display.charts.svg import label, picture, raster, shape
from llm_magics.display.html import Node
from llm_magics.display.raster import COLOURS, heatmap_png
from llm_magics.errors import printable

__all__ = ["attention_svg", "scale_nodes", "text_width", "token_label"]

_LONGEST_LABEL = 12
_LABEL_EVERY_PX = 10
_GAP = 6


def token_label(token: str, longest: int = _LONGEST_LABEL) -> str:
    """A token as an axis label: what cannot be seen is made visible, and the end is cut.

    White space becomes ␣, ⏎ or ⇥; controls of text direction and other characters without a shape
    become ◌.
    """
    seen = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "⏎"}
    shown = "".join(
        seen.get(char)
        or ("◌" if unicodedata.category(char) in {"Cf", "Zl", "Zp", "Co", "Cn"} else char)
        for char in printable(token)
    )
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def text_width(text: str, font_px: float = 11) -> float:
    """About how many pixels wide `text` is; CJK and emoji take twice the room of a Latin letter,
    marks above none."""
    units = sum(
        0.0
        if unicodedata.combining(char)
        else 1.0
        if unicodedata.east_asian_width(char) in {"W", "F"}
        else 0.6
        for char in text
    )
    return units * font_px


def attention_svg(
    weights: bytes,
    rows: list[str],
    columns: list[str],
    *,
    title: str,
    cell_px: float | None = None,
    colours: tuple = COLOURS,
    legend: list[Node] | None = None,
) -> str:
    """SVG text of one head. `weights`: len(rows) · len(columns) bytes, level = round(255 √weight),
    row by row.

    `rows` are the tokens that look, `columns` those looked at. Tokens are cut to 12 characters and
    every n-th is written where they would touch. `cell_px` defaults to what makes the picture about
    440 px wide or high. `colours` are those of the 256 levels, and `legend`, drawn from (0, 0) on,
    says what they mean.
    """
    height, width = len(rows), len(columns)
    cells = heatmap_png(width, height, weights, colours=colours)  # raises when the sizes disagree
    cell = cell_px or min(22.0, max(1.5, 440 / max(height, width)))
    left = 16 + max((text_width(token_label(token), 11.4) for token in rows), default=0)
    top = 36 + max((text_width(token_label(token), 11.8) for token in columns), default=0)
    right, bottom = left + cell * width, top + cell * height
    parts = [
        label(title, left, 14, font_size=12, font_weight=600),
        shape(
            "rect",
            {
                "x": left,
                "y": top,
                "width": cell * width,
                "height": cell * height,
                "fill": "none",
                "stroke": theme.PICTURE_LINE,
                "stroke-opacity": 0.35,
                "stroke-width": 1,
            },
        ),
        raster(cells, left, top, cell * width, cell * height),
        *_row_labels(rows, left, top, cell),
        *_column_labels(columns, left, top, cell),
        shape(
            "g",
            {"transform": f"translate({left:.2f} {bottom + 14:.2f})"},
            *(legend or scale_nodes()),
        ),
    ]
    return picture(max(right + 12, left + 190, left + 7.4 * len(title)), bottom + 44, title, *parts)


def _row_labels(tokens: list[str], left: float, top: float, cell: float) -> list[Node]:
    return [
        label(token_label(tokens[i]), left - _GAP, top + (i + 0.5) * cell + 3.8, text_anchor="end")
        for i in range(0, len(tokens), _stride(cell))
    ]


def _column_labels(tokens: list[str], left: float, top: float, cell: float) -> list[Node]:
    nodes = []
    for i in range(0, len(tokens), _stride(cell)):
        x, y = left + (i + 0.5) * cell + 3.8, top - _GAP
        nodes.append(label(token_label(tokens[i]), x, y, transform=f"rotate(-90 {x:.2f} {y:.2f})"))
    return nodes


def _stride(cell: float) -> int:
    """Every how many tokens one is written, so that neighbours stay `_LABEL_EVERY_PX` apart."""
    return max(1, math.ceil(_LABEL_EVERY_PX / cell))


def scale_nodes() -> list[Node]:
    """The colours from weight 0 to 1 with the weights they stand for; the steps are those of the
    square root."""
    width, height = 160.0, 6.0
    marks = [
        label(text, width * weight**0.5, height + 12, font_size=9.5, text_anchor=anchor)
        for weight, text, anchor in (
            (0.0, "0", "start"),
            (0.1, "0.1", "middle"),
            (0.5, "0.5", "middle"),
            (1.0, "1", "end"),
        )
    ]
    return [raster(heatmap_png(256, 1, bytes(range(256))), 0, 0, width, height), *marks]
