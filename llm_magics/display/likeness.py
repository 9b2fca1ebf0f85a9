"""How alike texts are, as a table of shaded cells, or as one picture where there are many."""

from __future__ import annotations

from collections.abc import Sequence

from llm_magics.display import theme
from llm_magics.display.html import Node, el, image, user_text
from llm_magics.display.raster import heatmap_png

__all__ = ["likeness_map"]

_TABLE_LINES = 16
_PICTURE_PX = 480
_SHOWN_CHARACTERS = 90


def likeness_map(lines: Sequence[str], matrix: Sequence[Sequence[float]]) -> Node:
    """`matrix[i][j]`, the cosine of lines i and j, with the lines numbered from 1; below 0 counts
    as 0."""
    if len(lines) <= _TABLE_LINES:
        return _table(lines, matrix)
    levels = bytes(round(255 * min(1.0, max(0.0, value))) for row in matrix for value in row)
    scale = max(1, _PICTURE_PX // len(lines))
    picture = heatmap_png(len(lines), len(lines), levels, scale)
    return image(
        picture,
        "image/png",
        f"How alike {len(lines)} lines are, line 1 at the top left",
        len(lines) * scale,
    )


def _table(lines: Sequence[str], matrix: Sequence[Sequence[float]]) -> Node:
    number = {
        "color": theme.MUTED,
        "text-align": "right",
        "padding": "2px 8px 2px 0",
        "border": "0",
        "background": "transparent",
    }
    head = el(
        "tr",
        {"style": {"background": "transparent"}},
        el("th", {"style": number}),
        el("th", {"style": number}),
        *(
            el(
                "th",
                {"scope": "col", "style": {**number, "text-align": "center", "padding": "2px"}},
                str(j + 1),
            )
            for j in range(len(lines))
        ),
    )
    rows = (
        el(
            "tr",
            {"style": {"background": "transparent"}},
            el("td", {"style": number}, str(i + 1)),
            el(
                "th",
                {
                    "scope": "row",
                    "style": {
                        **number,
                        "color": "inherit",
                        "text-align": "left",
                        "font-weight": "400",
                        "max-width": "28em",
                    },
                },
                user_text(_short(line)),
            ),
            *(_cell(i, j, value) for j, value in enumerate(matrix[i])),
        )
        for i, line in enumerate(lines)
    )
    style = {"border-collapse": "collapse", "margin": "4px 0", "font-size": "12px"}
    return el("table", {"style": style}, el("thead", {}, head), el("tbody", {}, *rows))


def _cell(i: int, j: int, value: float) -> Node:
    opacity = f"{0.75 * min(1.0, max(0.0, value)):.2f}"
    style = {
        "background": f"rgba(41,121,209,{opacity})",
        "text-align": "center",
        "padding": "2px 4px",
        "min-width": "2.6em",
        "border": "0",
        "font-variant-numeric": "tabular-nums",
    }
    return el("td", {"style": style, "title": f"lines {i + 1} and {j + 1}"}, f"{value:.2f}")


def _short(line: str) -> str:
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"
