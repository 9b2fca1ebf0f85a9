import base64
import zlib
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from llm_magics.display.attention.map import attention_svg, token_label

NS = "{http://www.w3.org/2000/svg}"


def parsed(rows, columns):
    weights = bytes(i % 256 for i in range(len(rows) * len(columns)))
    return weights, ElementTree.fromstring(attention_svg(weights, rows, columns, title="head"))


def test_the_cells_are_the_weights_given():
    weights, root = parsed(["a", "b"], ["c", "d", "e"])
    png = base64.b64decode(next(root.iter(f"{NS}image")).get("href").partition(",")[2])
    at = png.index(b"IDAT") + 4
    lines = zlib.decompressobj().decompress(png[at:])
    assert lines == b"\0" + weights[:3] + b"\0" + weights[3:]


def test_all_tokens_of_a_short_text_are_written():
    _, root = parsed(["Die", "Katze"], ["The", "<script>x", "cat"])
    texts = [node.text for node in root.iter(f"{NS}text")]
    assert {"Die", "Katze", "The", "<script>x", "cat", "head"} <= set(texts)


def test_tokens_of_a_long_text_are_thinned_so_that_none_touches_another():
    _, root = parsed([f"r{i}" for i in range(300)], [f"c{i}" for i in range(300)])
    heights = [
        float(node.get("y")) for node in root.iter(f"{NS}text") if (node.text or "").startswith("r")
    ]
    assert 10 < len(heights) < 60
    assert min(b - a for a, b in pairwise(heights)) >= 10


def test_every_label_lies_inside_the_picture():
    _, root = parsed(["m" * 30] * 3, ["w" * 30] * 3)
    for node in root.iter(f"{NS}text"):
        assert 0 <= float(node.get("x")) <= float(root.get("width"))
        assert 0 <= float(node.get("y")) <= float(root.get("height"))


@pytest.mark.parametrize(
    ("token", "label"),
    [
        ("▁the", "▁the"),
        (" the", "␣the"),
        ("\n", "⏎"),
        ("a\u202eb", "a◌b"),
        ("\u200b", "◌"),
        ("x" * 20, "x" * 11 + "…"),
        ("\x00\ud800", "\ufffd\ufffd"),
    ],
)
def test_what_cannot_be_seen_in_a_token_is_made_visible(token, label):
    assert token_label(token) == label


def test_sizes_that_disagree_are_refused():
    with pytest.raises(ValueError, match="bytes"):
        attention_svg(b"123", ["a"], ["b"], title="")
