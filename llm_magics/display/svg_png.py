"""Our own SVG pictures as PNG: rectangles, curves, rasters and text, drawn with Pillow, which only
this needs.

It knows what `display/` writes for attention and no more: paths of M and C, groups that are moved,
text that may be turned a quarter. Letters that the fonts found here do not have become boxes; an
SVG has the reader's fonts.
"""

from __future__ import annotations

import base64
import io
import re
import unicodedata
from functools import cache
from typing import Any
from xml.etree import ElementTree

from llm_magics.errors import InputError

__all__ = ["svg_png"]

_NS = "{http://www.w3.org/2000/svg}"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_CURVE_STEPS = 24
_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "msyh.ttc",
    "PingFang.ttc",
    "Arial Unicode.ttf",
)
_FONTS = ("DejaVuSans.ttf", "Arial.ttf", "Helvetica.ttc")


def svg_png(svg: str, scale: int = 2) -> bytes:
    """PNG bytes of an SVG picture of ours, `scale` pixels a unit, on a white page.

    Raises InputError when Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise InputError(
            "saving as .png needs Pillow: pip install pillow, or save as .svg, which needs nothing"
        ) from None
    root = ElementTree.fromstring(svg)
    page = Image.new(
        "RGBA", tuple(round(float(root.get(name)) * scale) for name in ("width", "height")), "white"
    )
    _draw(page, root, 0.0, 0.0, scale, root.get("fill"))
    out = io.BytesIO()
    page.convert("RGB").save(out, "PNG", optimize=True)
    return out.getvalue()


def _draw(
    page: Any, parent: ElementTree.Element, x0: float, y0: float, scale: int, ink: str
) -> None:
    """Draw the elements of `parent`, one after the other; x0, y0 is where its group begins."""
    for node in parent:
        tag = node.tag.removeprefix(_NS)
        if tag == "g":
            dx, dy = map(float, _NUMBER.findall(node.get("transform", "0 0")))
            _draw(page, node, x0 + dx, y0 + dy, scale, ink)
        elif tag in _DRAWN:
            _DRAWN[tag](page, node, x0, y0, scale, ink)


def _rect(page: Any, node: ElementTree.Element, x0: float, y0: float, scale: int, ink: str) -> None:
    from PIL import ImageDraw

    x, y, width, height = _box(node, x0, y0, scale)
    fill, outline = _paint(node, "fill", ink), _paint(node, "stroke", "none")
    ImageDraw.Draw(page, "RGBA").rectangle((x, y, x + width, y + height), fill, outline)


def _path(page: Any, node: ElementTree.Element, x0: float, y0: float, scale: int, ink: str) -> None:
    from PIL import ImageDraw

    numbers = [float(number) for number in _NUMBER.findall(node.get("d"))]
    points = [
        ((x + x0) * scale, (y + y0) * scale)
        for x, y in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    width = max(1, round(float(node.get("stroke-width", 1)) * scale))
    ImageDraw.Draw(page, "RGBA").line(_bezier(*points), _paint(node, "stroke", "none"), width)


def _image(
    page: Any, node: ElementTree.Element, x0: float, y0: float, scale: int, ink: str
) -> None:
    from PIL import Image

    x, y, width, height = (round(value) for value in _box(node, x0, y0, scale))
    png = Image.open(io.BytesIO(base64.b64decode(node.get("href").partition(",")[2]))).convert(
        "RGBA"
    )
    way = Image.Resampling.NEAREST if width >= png.width else Image.Resampling.BOX
    page.alpha_composite(png.resize((max(1, width), max(1, height)), way), (x, y))


def _text(page: Any, node: ElementTree.Element, x0: float, y0: float, scale: int, ink: str) -> None:
    from PIL import Image, ImageDraw

    text = node.text or ""
    is_wide = any(unicodedata.east_asian_width(char) in {"W", "F"} for char in text)
    font = _font(float(node.get("font-size", 11)) * scale, is_wide)
    anchor = {"end": "r", "middle": "m"}.get(node.get("text-anchor"), "l") + "s"
    at = ((float(node.get("x")) + x0) * scale, (float(node.get("y")) + y0) * scale)
    weight = round(scale * 0.25) if node.get("font-weight") else 0
    if "rotate" not in node.get("transform", ""):
        ImageDraw.Draw(page).text(
            at, text, _paint(node, "fill", ink), font, anchor=anchor, stroke_width=weight
        )
        return
    left, top, right, bottom = (round(value) for value in font.getbbox(text, anchor="ls"))
    turned = Image.new("RGBA", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(turned).text((-left, -top), text, _paint(node, "fill", ink), font, anchor="ls")
    turned = turned.rotate(90, expand=True)
    page.alpha_composite(turned, (max(0, round(at[0]) + top), max(0, round(at[1]) - turned.height)))


_DRAWN = {"rect": _rect, "path": _path, "image": _image, "text": _text}


def _box(
    node: ElementTree.Element, x0: float, y0: float, scale: int
) -> tuple[float, float, float, float]:
    x, y, width, height = (float(node.get(name)) for name in ("x", "y", "width", "height"))
    return (x + x0) * scale, (y + y0) * scale, width * scale, height * scale


def _paint(node: ElementTree.Element, name: str, inherited: str) -> tuple[int, ...] | None:
    colour = node.get(name, inherited)
    if colour == "none":
        return None
    alpha = round(255 * float(node.get(f"{name}-opacity", 1)))
    return (*bytes.fromhex(colour.removeprefix("#")), alpha)


def _bezier(start: tuple, first: tuple, second: tuple, end: tuple) -> list[tuple[float, float]]:
    """Points of B(t) = (1−t)³·start + 3(1−t)²t·first + 3(1−t)t²·second + t³·end."""
    points = []
    for i in range(_CURVE_STEPS + 1):
        t = i / _CURVE_STEPS
        shares = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t * t, t**3)
        points.append(
            tuple(
                sum(
                    share * point[axis]
                    for share, point in zip(shares, (start, first, second, end), strict=True)
                )
                for axis in (0, 1)
            )
        )
    return points


@cache
def _font(size: float, wide: bool) -> Any:
    from PIL import ImageFont

    for name in (*_WIDE_FONTS, *_FONTS) if wide else _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
