import base64
import gzip
import json
import re
from html import unescape

import numpy
import pytest

from llm_magics.widgets.attention.attention_explorer import AttentionExplorer
from llm_magics.widgets.attention.page import attention_page
from llm_magics.widgets.attention.panel import Panel


class Noise:
    """Maps that compress badly, like those of a real model, of 72 heads and so many tokens."""

    title = "noise"
    measures: dict = {"entropy": {"title": "entropy"}, "rollout": {"title": "rollout"}}  # noqa: RUF012

    def __init__(self, tokens, layers=6, heads=12):
        words = [f"w{i}</script>" for i in range(tokens)]
        random = numpy.random.default_rng(0)
        base = numpy.maximum(random.integers(-100, 130, (tokens, tokens)), 0).astype("uint8")
        self._levels = {0: base}
        while len(base) > 1:
            side = -(-len(base) // 2)
            padded = numpy.zeros((2 * side, 2 * side), "uint8")
            padded[: len(base), : len(base)] = base
            base = padded.reshape(side, 2, side, 2).max((1, 3))
            self._levels[len(self._levels)] = base
        self.panels = [Panel("self", layers, heads, words, words, bytes(layers * heads * 16), 4, 4)]

    def tile(self, kind, layer, head, level, row, column):
        return numpy.roll(self._levels[level], layer * 12 + head, 1)[:256, :256].tobytes()

    def picture(self, kind, layer, head):
        whole = numpy.roll(self._levels[0], layer * 12 + head, 1)
        return whole.tobytes(), *whole.shape


def data_of(html):
    data = json.loads(
        re.search(r'<script type="application/json" id="llm-data">(.*?)</script>', html, re.DOTALL)[
            1
        ]
    )
    return data, gzip.decompress(base64.b64decode(data["packed"]))


@pytest.fixture(scope="module")
def saved():
    source = Noise(512)
    view = AttentionExplorer([source], title="<i>me</i>")
    view.selection = {"layer": 2, "head": 5, "heads": [[4, 11]]}
    html = attention_page([source], view.get_state(), {(0, "self", "entropy"): [0.5] * 72})
    return source, html, *data_of(html)


def test_a_page_of_512_tokens_and_72_heads_is_under_three_megabytes_and_says_what_it_holds(saved):
    _, html, data, _ = saved
    assert 1_500_000 < len(html.encode()) <= 3_000_000
    fine = sum(head["level"] == 0 for head in data["heads"].values())
    assert 2 < fine < 72
    assert f"{fine} of 72 heads in full resolution" in data["note"]


def test_the_selected_heads_are_there_in_full_resolution_and_all_others_pooled(saved):
    source, _, data, blob = saved
    assert len(data["heads"]) == 72
    for layer, head in ((2, 5), (4, 11)):
        held = data["heads"][f"0/self/{layer}/{head}"]
        assert (held["level"], held["height"]) == (0, 512)
        assert (
            blob[held["start"] : held["start"] + held["bytes"]]
            == source.picture("self", layer, head)[0]
        )
    coarse = next((key, held) for key, held in data["heads"].items() if held["level"])
    layer, head = map(int, coarse[0].split("/")[2:])
    held = coarse[1]
    assert blob[held["start"] : held["start"] + held["bytes"]] == source.tile(
        "self", layer, head, held["level"], 0, 0
    )


def test_a_short_text_is_held_whole():
    source = Noise(40, 2, 2)
    data, _ = data_of(attention_page([source], AttentionExplorer([source]).get_state(), {}))
    assert {held["level"] for held in data["heads"].values()} == {0}
    assert "all 4 heads in full resolution" in data["note"]


def test_thumbnails_lie_where_the_page_says(saved):
    source, _, data, blob = saved
    [atlas] = data["atlases"]
    assert blob[atlas["start"] : atlas["start"] + atlas["bytes"]] == source.panels[0].atlas


def test_only_measures_that_were_computed_can_be_chosen(saved):
    _, _, data, _ = saved
    assert list(data["state"]["sources"][0]["measures"]) == ["entropy"]
    assert data["measures"] == [
        {"source": 0, "kind": "self", "name": "entropy", "values": [0.5] * 72}
    ]


def test_tokens_and_title_stay_text(saved):
    _, html, data, _ = saved
    assert html.count("</script>") == 2
    assert "<title>&lt;i&gt;me&lt;/i&gt;</title>" in html
    assert data["state"]["tokens"][0][0] == "w0</script>"


def test_a_page_may_load_nothing(saved):
    _, html, _, _ = saved
    assert "default-src 'none'" in unescape(html)
    assert not re.search(r"https?:", html)
