"""Overview, lines, alignment and difference of attention heads as pictures, and any of them as
PNG."""

import base64
import io
import re
import zlib
from xml.etree import ElementTree

import pytest

from llm_magics.display.attention.difference import difference_svg
from llm_magics.display.attention.links import alignment_svg, lines_svg
from llm_magics.display.attention.map import text_width
from llm_magics.display.attention.overview import overview_svg
from llm_magics.display.raster import DIVERGING
from llm_magics.display.svg_png import svg_png

NS = "{http://www.w3.org/2000/svg}"


def read(svg):
    """The texts, the paths and the cells of the first raster of a picture."""
    root = ElementTree.fromstring(svg)
    images = [
        base64.b64decode(node.get("href").partition(",")[2]) for node in root.iter(f"{NS}image")
    ]
    return (
        [node.text for node in root.iter(f"{NS}text")],
        [node for node in root.iter(f"{NS}path")],
        [zlib.decompressobj().decompress(png[png.index(b"IDAT") + 4 :]) for png in images],
    )


def test_a_difference_is_blue_above_and_orange_below_and_nothing_where_equal():
    first, second = bytes([255, 0, 90, 128]), bytes([0, 255, 90, 0])
    _, _, [cells, *_] = read(difference_svg(first, second, ["a", "b"], ["c", "d"], title="t"))
    assert [cells[1], cells[2], cells[4]] == [255, 1, 128]
    assert cells[5] == 128 + round(127 * 128 / 255)
    assert DIVERGING[128][3] == 0
    assert DIVERGING[255][2] > DIVERGING[255][0]
    assert DIVERGING[1][0] > DIVERGING[1][2]
    with pytest.raises(ValueError, match="two maps of one size"):
        difference_svg(b"12", b"1", ["a"], ["b", "c"], title="t")


def test_an_overview_has_every_head_with_its_measure():
    atlas = bytes(range(2 * 3 * 4))
    texts, _, images = read(
        overview_svg(
            atlas, 2, 3, 2, 2, title="all", values=[i / 10 for i in range(6)], measure="entropy"
        )
    )
    assert "all · entropy" in texts
    assert {f"{i / 10:.2f}" for i in range(6)} <= set(texts)
    assert images[4] == b"\0" + bytes([16, 17]) + b"\0" + bytes([18, 19])


def test_thumbnails_of_an_overview_are_pooled_by_maximum():
    atlas = bytes([0, 9, 3, 0, 0, 0, 1, 0, 7])  # 3 × 3
    _, _, images = read(overview_svg(atlas, 1, 1, 3, 3, title="t", most_px=2))
    assert images[0] == b"\0" + bytes([9, 3]) + b"\0" + bytes([1, 7])


def test_an_overview_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match="2 × 3 thumbnails of 4 bytes"):
        overview_svg(b"", 2, 3, 2, 2, title="t")


def test_every_weight_worth_seeing_has_a_line_and_every_head_its_colour():
    maps = {"L0·H0": [[0.9, 0.1], [0.001, 0.999]], "L0·H1": [[0.5, 0.5], [0.5, 0.5]]}
    texts, paths, _ = read(lines_svg(maps, ["<b>a", "b"], ["c", "d"], title="t"))
    assert len(paths) == 3 + 4
    assert len({path.get("stroke") for path in paths}) == 2
    assert {"<b>a", "b", "c", "d", "L0·H0", "L0·H1"} <= set(texts)


def test_heads_beyond_the_colours_are_named_not_drawn():
    maps = {f"L0·H{i}": [[1.0]] for i in range(8)}
    texts, paths, _ = read(lines_svg(maps, ["a"], ["b"], title="t"))
    assert len(paths) == 6
    assert "not drawn: L0·H6, L0·H7" in texts


def test_an_alignment_shows_the_mean_of_its_heads_and_wraps():
    texts, paths, _ = read(
        alignment_svg({"A": [[1.0, 0.0]], "B": [[0.5, 0.5]]}, ["x"], ["y", "z"], title="t")
    )
    assert "t · mean of 2 heads" in texts
    strengths = [0.12 + 0.88 * mean for mean in (0.75, 0.25)]
    assert [float(path.get("stroke-opacity")) for path in paths] == pytest.approx(
        strengths, abs=0.01
    )
    words = ["word"] * 90
    root = ElementTree.fromstring(alignment_svg({"A": [[0.0] * 90] * 90}, words, words, title="t"))
    lines = {node.get("y") for node in root.iter(f"{NS}text") if node.text == "word"}
    assert len(lines) > 4
    assert all(
        0 <= float(node.get("x")) <= float(root.get("width")) for node in root.iter(f"{NS}text")
    )


def test_a_text_from_the_right_begins_at_the_right():
    root = ElementTree.fromstring(
        alignment_svg({"A": [[0.0] * 3] * 2}, ["one", "two"], ["القطة", "على", "تجلس"], title="t")
    )
    places = {node.text: float(node.get("x")) for node in root.iter(f"{NS}text")}
    assert places["القطة"] > places["على"] > places["تجلس"]
    assert places["one"] < places["two"]


def test_wide_letters_take_more_room():
    assert text_width("猫") > text_width("c")
    assert text_width("e\u0301") == text_width("e")


def test_a_png_shows_the_cells_and_lines_of_its_svg():
    image = pytest.importorskip("PIL.Image")
    svg = difference_svg(bytes([255, 0]), bytes([0, 255]), ["a"], ["c", "d"], title="t")
    png = image.open(io.BytesIO(svg_png(svg, scale=1))).convert("RGB")
    rect = next(ElementTree.fromstring(svg).iter(f"{NS}rect"))
    x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
    left = png.getpixel((int(x + width * 0.25), int(y + height / 2)))
    right = png.getpixel((int(x + width * 0.75), int(y + height / 2)))
    assert left[2] > left[0]
    assert right[0] > right[2]
    blank = png.getpixel((png.width - 1, png.height - 1))
    assert blank == (255, 255, 255)


def test_a_png_shows_the_words_of_its_svg_and_lines_as_faint_as_there():
    image = pytest.importorskip("PIL.Image")

    def darkness(svg):
        grey = image.open(io.BytesIO(svg_png(svg, scale=1))).convert("L")
        return sum(255 - value for value in grey.tobytes())

    svg = alignment_svg({"A": [[1.0, 0.05]]}, ["one"], ["two", "three"], title="words")
    silent = re.sub(r"<text[^>]*>[^<]*</text>", "", svg)
    opaque = re.sub(r'stroke-opacity="[^"]*"', "", silent)
    assert opaque != silent != svg
    assert darkness(svg) > darkness(silent) + 2_000
    assert darkness(opaque) > darkness(silent)
