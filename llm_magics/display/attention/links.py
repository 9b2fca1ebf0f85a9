"""Attention as weighted lines between words, as a picture that needs neither a kernel nor a
script."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from llm_magics.display import theme
from llm_magics.display.attention.map import text_width, token_label
from llm_magics.display.charts.svg import label, picture, shape
from llm_magics.display.html import Node

__all__ = ["alignment_svg", "lines_svg"]

Map = Sequence[Sequence[float]]
"""Weights, one list a row token."""

_FAINTEST = 0.02
_PITCH = 18
_BAND, _ABOVE, _BELOW = 150, 26, 112
_WORD_GAP = 9
_WIDTH, _MARGIN = 760, 12


def lines_svg(maps: dict[str, Map], rows: list[str], columns: list[str], *, title: str) -> str:
    """SVG text of the row tokens on the left, the column tokens on the right, and a line for each
    weight from 0.02.

    `maps` are heads by name, each in a colour of its own; after six the colours would repeat, so
    the others are named but not drawn.
    """
    left, right, top = 150.0, 420.0, 62.0
    colours = theme.PICTURE_SERIES
    drawn = list(maps.items())[: len(colours)]
    parts = [label(title, 12, 16, font_size=12, font_weight=600), *_names(list(maps), len(drawn))]
    for (_, weights), colour in zip(drawn, colours, strict=False):
        for i, row in enumerate(weights):
            y = top + (i + 0.5) * _PITCH
            for j, weight in enumerate(row):
                if weight >= _FAINTEST:
                    to, middle = top + (j + 0.5) * _PITCH, (left + right) / 2
                    path = (
                        f"M{left:.0f} {y:.0f}C{middle:.0f} {y:.0f} {middle:.0f} {to:.0f} "
                        f"{right:.0f} {to:.0f}"
                    )
                    parts.append(_curve(path, weight, colour))
    parts += [
        label(token_label(token), left - 7, top + (i + 0.5) * _PITCH + 4, text_anchor="end")
        for i, token in enumerate(rows)
    ]
    parts += [
        label(token_label(token), right + 7, top + (i + 0.5) * _PITCH + 4)
        for i, token in enumerate(columns)
    ]
    height = top + max(len(rows), len(columns)) * _PITCH + 12
    return picture(max(570, 24 + text_width(title, 12.5)), height, title, *parts)


def alignment_svg(maps: dict[str, Map], rows: list[str], columns: list[str], *, title: str) -> str:
    """SVG text of the column words above, the row words below, and links between; long texts wrap
    into bands.

    Links show the mean over the heads of `maps`.
    """
    above, below, bands = _banded(columns, rows)
    top = 40.0
    count = len(maps)
    which = next(iter(maps)) if count == 1 else f"mean of {count} heads"
    parts = [label(f"{title} · {which}", 12, 16, font_size=12, font_weight=600)]
    for i, (x, band, width, _) in enumerate(below):
        for j, (to, over, across, _) in enumerate(above):
            weight = math.fsum(weights[i][j] for weights in maps.values()) / count
            if weight >= _FAINTEST:
                x0, x1 = x + width / 2, to + across / 2
                y0, y1 = top + band * _BAND + _BELOW - 13, top + over * _BAND + _ABOVE + 5
                middle = (y0 + y1) / 2
                parts.append(
                    _curve(
                        (
                            f"M{x0:.0f} {y0:.0f}C{x0:.0f} {middle:.0f} {x1:.0f} {middle:.0f} "
                            f"{x1:.0f} {y1:.0f}"
                        ),
                        weight,
                        theme.PICTURE_SERIES[0],
                    )
                )
    for words, offset in ((above, _ABOVE), (below, _BELOW)):
        parts += [
            label(
                text, x + width / 2, top + band * _BAND + offset, text_anchor="middle", font_size=12
            )
            for x, band, width, text in words
        ]
    right = max(x + width for x, _, width, _ in (*above, *below))
    return picture(
        max(right + 12, 24 + text_width(title + which, 13)),
        top + (bands - 1) * _BAND + _BELOW + 16,
        title,
        *parts,
    )


def _curve(path: str, weight: float, colour: str) -> Node:
    strength = min(1.0, weight)
    return shape(
        "path",
        {
            "d": path,
            "fill": "none",
            "stroke": colour,
            "stroke-width": 0.6 + 2 * strength,
            "stroke-opacity": 0.12 + 0.88 * strength,
        },
    )


def _names(names: list[str], drawn: int) -> list[Node]:
    """The heads with their colours, and those that are not drawn."""
    nodes, x = [], 12.0
    for name, colour in zip(names[:drawn], theme.PICTURE_SERIES, strict=False):
        nodes += [
            shape("rect", {"x": x, "y": 28, "width": 10, "height": 10, "rx": 2, "fill": colour}),
            label(name, x + 15, 37, font_size=10.5),
        ]
        x += 30 + text_width(name, 10.5)
    if len(names) > drawn:
        nodes.append(label(f"not drawn: {', '.join(names[drawn:])}", x, 37, font_size=10.5))
    return nodes


Word = tuple[float, int, float, str]
"""Left edge, band, width, text."""


def _banded(above: list[str], below: list[str]) -> tuple[list[Word], list[Word], int]:
    """Both texts in the same number of lines, so that what belongs together stands near."""
    bands = 1
    while True:
        first, second = _set_in_bands(above, bands), _set_in_bands(below, bands)
        needed = max(first[-1][1], second[-1][1]) + 1
        if needed <= bands:
            edge = max(x + width for x, _, width, _ in (*first, *second))
            return _from_its_side(first, edge), _from_its_side(second, edge), bands
        bands = max(needed, bands + 1)


def _set_in_bands(tokens: list[str], bands: int) -> list[Word]:
    texts = [token_label(token, 24) for token in tokens]
    widths = [text_width(text, 12) for text in texts]
    share = sum(width + _WORD_GAP for width in widths) / bands
    words, x, band, done = [], 0.0, 0, 0.0
    for text, width in zip(texts, widths, strict=True):
        is_due = band + 1 < bands and done + width / 2 > share * (band + 1)
        if x and (is_due or x + width > _WIDTH):
            x, band = 0.0, band + 1
        words.append((x, band, width, text))
        x += width + _WORD_GAP
        done += width + _WORD_GAP
    return words


def _from_its_side(words: list[Word], edge: float) -> list[Word]:
    """Words written from right to left begin at the right edge, others at the left."""
    turned = sum(_is_right_to_left(text) for *_, text in words) * 2 > len(words)
    return [
        (_MARGIN + (edge - x - width if turned else x), band, width, text)
        for x, band, width, text in words
    ]


def _is_right_to_left(token: str) -> bool:
    return any(unicodedata.bidirectional(char) in {"R", "AL"} for char in token)
