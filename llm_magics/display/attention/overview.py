"""Every attention head as a thumbnail, as one picture that needs neither a kernel nor a script."""

from __future__ import annotations

from collections.abc import Sequence

from llm_magics.display import theme
from llm_magics.display.attention.map import scale_nodes
from llm_magics.display.charts.svg import label, picture, raster, shape
from llm_magics.display.html import Node
from llm_magics.display.raster import heatmap_png

__all__ = ["overview_svg"]

_GAP = 4
_LEFT, _TOP = 30, 44
_MARK_PX = 14


def overview_svg(
    atlas: bytes,
    layers: int,
    heads: int,
    height: int,
    width: int,
    *,
    title: str,
    values: Sequence[float] | None = None,
    measure: str = "",
    most_px: int = 64,
) -> str:
    """SVG text of layers × heads thumbnails of height × width levels each, in `atlas` layer by
    layer.

    `values`, one a head, are written below the thumbnails; `measure` is what they are called.
    Thumbnails are max-pooled to at most `most_px` a side. Raises `ValueError` when the sizes
    disagree.
    """
    size = height * width
    if len(atlas) != layers * heads * size or (
        values is not None and len(values) != layers * heads
    ):
        raise ValueError(
            f"{layers} × {heads} thumbnails of {size} bytes expected, {len(atlas)} bytes and "
            f"{'no' if values is None else len(values)} values given"
        )
    step = -(-max(height, width) // most_px)
    pooled = [_pooled(atlas[i * size : (i + 1) * size], width, step) for i in range(layers * heads)]
    columns, rows = -(-width // step), -(-height // step)
    pitch = max(24, min(64, 720 // heads))
    rise = pitch + (_MARK_PX if values is not None and pitch >= 36 else 0)
    parts: list[Node] = [
        label(
            f"{title} · {measure}" if measure else title, _LEFT, 14, font_size=12, font_weight=600
        ),
        label("head →  layer ↓", _LEFT, 29, font_size=9.5),
    ]
    parts += [
        label(
            str(head), _LEFT + (head + 0.5) * pitch, _TOP - 4, text_anchor="middle", font_size=9.5
        )
        for head in range(heads)
    ]
    parts += [
        label(
            str(layer), _LEFT - 7, _TOP + layer * rise + pitch / 2, text_anchor="end", font_size=9.5
        )
        for layer in range(layers)
    ]
    for i, levels in enumerate(pooled):
        x, y, side = _LEFT + i % heads * pitch, _TOP + i // heads * rise, pitch - _GAP
        parts += [
            shape(
                "rect",
                {
                    "x": float(x),
                    "y": float(y),
                    "width": side,
                    "height": side,
                    "fill": "none",
                    "stroke": theme.PICTURE_LINE,
                    "stroke-opacity": 0.35,
                },
            ),
            raster(heatmap_png(columns, rows, levels), x, y, side, side),
        ]
        if values is not None and rise > pitch:
            parts.append(
                label(
                    f"{values[i]:.2f}",
                    x + side / 2,
                    y + side + 10,
                    text_anchor="middle",
                    font_size=9,
                )
            )
    bottom = _TOP + layers * rise + 12
    parts.append(shape("g", {"transform": f"translate({_LEFT} {bottom})"}, *scale_nodes()))
    return picture(
        max(_LEFT + heads * pitch + 8, 7.4 * len(title) + _LEFT, 210), bottom + 30, title, *parts
    )


def _pooled(levels: bytes, width: int, step: int) -> bytes:
    """The largest level of each block of step × step."""
    if step == 1:
        return levels
    rows = [levels[start : start + width] for start in range(0, len(levels), width)]
    tall = [
        bytes(map(max, *rows[i : i + step])) if len(rows[i : i + step]) > 1 else rows[i]
        for i in range(0, len(rows), step)
    ]
    return b"".join(bytes(max(row[i : i + step]) for i in range(0, width, step)) for row in tall)
