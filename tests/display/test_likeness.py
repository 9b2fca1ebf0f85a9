"""The heat map of lines: what is written in it, and what a picture shows of many."""

from __future__ import annotations

import base64
import re
import struct
import zlib

import pytest

from llm_magics.display.html import render
from llm_magics.display.likeness import likeness_map


def test_few_lines_are_a_table_with_every_cosine_and_markup_is_text():
    shown = render(likeness_map(["<b>one</b>", "two"], [[1.0, 0.25], [0.25, 1.0]]))
    assert "<b>" not in shown
    assert "&lt;b&gt;one&lt;/b&gt;" in shown
    assert re.findall(r">(\d\.\d\d)</td>", shown) == ["1.00", "0.25", "0.25", "1.00"]
    assert re.findall(r"rgba\(41,121,209,(\d\.\d+)\)", shown) == ["0.75", "0.19", "0.19", "0.75"]


def test_a_cosine_below_zero_is_written_and_not_shaded():
    shown = render(likeness_map(["a", "b"], [[1.0, -0.4], [-0.4, 1.0]]))
    assert "-0.40" in shown
    assert "209,0.00)" in shown


def pixels(png):
    """Rows of palette levels of an 8 bit PNG without filters."""
    width, height = struct.unpack(">II", png[16:24])
    start = png.index(b"IDAT") + 4
    data = zlib.decompress(png[start : start + struct.unpack(">I", png[start - 8 : start - 4])[0]])
    return [list(data[y * (width + 1) + 1 : (y + 1) * (width + 1)]) for y in range(height)]


def test_many_lines_are_one_picture_with_a_square_a_pair():
    count = 40
    matrix = [[1.0 if i == j else (i + j) / 200 for j in range(count)] for i in range(count)]
    shown = render(likeness_map([f"line {i}" for i in range(count)], matrix))
    assert shown.startswith("<img ")
    assert "How alike 40 lines are" in shown
    rows = pixels(base64.b64decode(re.search(r"base64,([^\"]+)", shown)[1]))
    scale = len(rows) // count
    assert scale >= 4
    for i, j in ((0, 0), (3, 30), (39, 1)):
        assert rows[i * scale + 1][j * scale + 1] == round(255 * matrix[i][j])


@pytest.mark.parametrize("count", [1, 16, 17, 200])
def test_every_number_of_lines_is_drawn(count):
    matrix = [[1.0] * count] * count
    assert len(render(likeness_map(["x" * 500] * count, matrix))) < 120_000
