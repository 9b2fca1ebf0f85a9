"""Two attention heads subtracted, as a picture that needs neither a kernel nor a script."""

from __future__ import annotations

import math

from llm_magics.display.attention.map import attention_svg
from llm_magics.display.charts.svg import label, raster
from llm_magics.display.html import Node
from llm_magics.display.raster import DIVERGING, expand, heatmap_png

__all__ = ["difference_svg"]


def difference_svg(
    first: bytes, second: bytes, rows: list[str], columns: list[str], *, title: str
) -> str:
    """SVG text of first − second, both len(rows) · len(columns) square-root companded bytes.

    Blue where the first looks more, orange where the second does, nothing where they agree. Raises
    `ValueError` when the sizes disagree.
    """
    if len(first) != len(second):
        raise ValueError(
            f"two maps of one size expected, {len(first)} and {len(second)} bytes given"
        )
    weights = [expand(level) for level in range(256)]
    levels = bytes(_level(weights[a] - weights[b]) for a, b in zip(first, second, strict=True))
    return attention_svg(levels, rows, columns, title=title, colours=DIVERGING, legend=_legend())


def _level(difference: float) -> int:
    """A difference in [-1, 1] as a level of `DIVERGING`: 128 ± 127 √|difference|."""
    return 128 + round(math.copysign(127 * math.sqrt(abs(difference)), difference))


def _legend() -> list[Node]:
    marks = [
        label(text, 160 * (_level(value) / 255), 18, font_size=9.5, text_anchor="middle")
        for value, text in ((-1.0, "−1"), (-0.1, "−0.1"), (0.0, "0"), (0.1, "+0.1"), (1.0, "+1"))
    ]
    return [raster(heatmap_png(256, 1, bytes(range(256)), colours=DIVERGING), 0, 0, 160, 6), *marks]
