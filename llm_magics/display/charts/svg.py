"""SVG pictures as trees of nodes, to be shown inside `<img>`: escaped text, listed tags, nothing
remote."""

from __future__ import annotations

import base64
import re

from llm_magics.display import theme
from llm_magics.display.html import Node, render
from llm_magics.errors import printable

__all__ = ["label", "picture", "raster", "shape"]

_TAGS = frozenset(
    {
        "circle",
        "defs",
        "g",
        "image",
        "line",
        "linearGradient",
        "path",
        "rect",
        "stop",
        "svg",
        "text",
        "title",
    }
)
_ATTRIBUTE = re.compile(r"(?!on)[a-zA-Z][a-zA-Z0-9-]*")
_REFERENCE = re.compile(r"url\(#[a-z]+\)")
_NOT_XML = re.compile(
    "[\ufffe\uffff]"
)  # allowed in a Python string, but a browser refuses the whole picture


def shape(tag: str, attrs: dict[str, object] | None = None, *children: Node | str) -> Node:
    """One SVG element; numbers are written with at most two decimals. Raises `ValueError` for what
    is not listed."""
    if tag not in _TAGS:
        raise ValueError(f"SVG tag {tag!r} is not on the list {sorted(_TAGS)}")
    checked = {}
    for name, value in (attrs or {}).items():
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else _text(value)
        if not _ATTRIBUTE.fullmatch(name) or ("url(" in text and not _REFERENCE.fullmatch(text)):
            raise ValueError(f"SVG attribute {name}={text[:80]!r} is not allowed")
        if name == "href" and not text.startswith("data:image/png;base64,"):
            raise ValueError("an SVG picture may only refer to a PNG inside itself")
        checked[name] = text
    return Node(
        tag,
        checked,
        tuple(child if isinstance(child, Node) else _text(child) for child in children),
    )


def picture(width_px: float, height_px: float, title: str, *children: Node) -> str:
    """A whole SVG document; `title` is its name for screen readers."""
    attrs = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {width_px:.0f} {height_px:.0f}",
        "width": round(width_px),
        "height": round(height_px),
        "role": "img",
        "font-family": theme.PICTURE_FONT,
        "font-size": 11,
        "fill": theme.PICTURE_INK,
    }
    return render(shape("svg", attrs, shape("title", {}, title), *children))


def label(text: str, x: float, y: float, **attrs: object) -> Node:
    """Text at x, y; attribute names with `_` for `-`. Direction and isolation are the text's
    own."""
    named = {name.replace("_", "-"): value for name, value in attrs.items()}
    return shape("text", {"x": float(x), "y": float(y), "unicode-bidi": "plaintext", **named}, text)


def raster(png: bytes, x: float, y: float, width: float, height: float) -> Node:
    """A PNG inside the picture, its pixels kept square-edged."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    return shape(
        "image",
        {
            "x": float(x),
            "y": float(y),
            "width": float(width),
            "height": float(height),
            "preserveAspectRatio": "none",
            "style": "image-rendering:pixelated",
            "href": source,
        },
    )


def _text(value: object) -> str:
    return _NOT_XML.sub("\ufffd", printable(value))
