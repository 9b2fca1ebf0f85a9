"""Matrices of bytes as small PNG pictures, written with zlib alone.

One picture serves light and dark pages: the colour table goes from fully transparent to one strong
blue, at a lightness half way between white and black, so that on either background more is always
further away from "nothing". Order rests on that distance and not on hue, so it is safe for
colour-blind readers.
"""

from __future__ import annotations

import math
import struct
import zlib

__all__ = ["COLOURS", "DIVERGING", "expand", "heatmap_png"]


def _oklch_to_rgb(lightness: float, chroma: float, hue_degrees: float) -> tuple[int, int, int]:
    """OKLCH to sRGB bytes (B. Ottosson, "A perceptual color space for image processing", 2020)."""
    a = chroma * math.cos(math.radians(hue_degrees))
    b = chroma * math.sin(math.radians(hue_degrees))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red, green, blue = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return _gamma(red), _gamma(green), _gamma(blue)


def _gamma(linear: float) -> int:
    value = min(1.0, max(0.0, linear))
    curved = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * curved)


COLOURS: tuple[tuple[int, int, int, int], ...] = tuple(
    (*_oklch_to_rgb(0.58, 0.10 + 0.06 * level / 255, 235 + 20 * level / 255), level)
    for level in range(256)
)
"""Red, green, blue and opacity of each of the 256 levels."""

DIVERGING: tuple[tuple[int, int, int, int], ...] = tuple(
    (*_oklch_to_rgb(0.62, 0.15, 55 if level < 128 else 250), min(255, 2 * abs(level - 128)))
    for level in range(256)
)
"""Orange below level 128, nothing at it, blue above: apart for colour-blind readers on any
background."""


def expand(level: int) -> float:
    """The weight in 0…1 that a square-root companded byte stands for."""
    return (level / 255) ** 2


def heatmap_png(
    width: int,
    height: int,
    values: bytes,
    scale: int = 1,
    colours: tuple[tuple[int, int, int, int], ...] = COLOURS,
) -> bytes:
    """A PNG of `values`, one byte a cell, row by row, each cell `scale` pixels wide and high.

    Values are levels of `colours`; attention weights come square-root companded, level = round(255
    √weight). Raises `ValueError` when there are not width · height bytes.
    """
    if width < 1 or height < 1 or scale < 1 or len(values) != width * height:
        raise ValueError(
            f"{width} × {height} cells at scale {scale} need {width * height} bytes, "
            f"{len(values)} given"
        )
    lines = []
    for y in range(height):
        row = bytes(values[y * width : (y + 1) * width])
        if scale > 1:
            row = b"".join(bytes([value]) * scale for value in row)
        lines.append((b"\0" + row) * scale)  # filter 0: the line as it is
    header = struct.pack(
        ">IIBBBBB", width * scale, height * scale, 8, 3, 0, 0, 0
    )  # 8 bit, indexed colour
    palette = bytes(channel for colour in colours for channel in colour[:3])
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette),
            _chunk(b"tRNS", bytes(colour[3] for colour in colours)),
            _chunk(b"IDAT", zlib.compress(b"".join(lines), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
