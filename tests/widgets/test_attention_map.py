import struct
from pathlib import Path

import pytest
import traitlets

from llm_magics.display.raster import expand
from llm_magics.widgets.attention_map import AttentionMap, Panel

ROWS, COLUMNS = ["Die", "Katze", "\u202e"], ["The", "cat"]


def level(kind, layer, head, cell):
    return (100 * (kind == "cross") + 40 * layer + 7 * head + cell) % 256


def fetch(kind, layer, head):
    return bytes(level(kind, layer, head, cell) for cell in range(6))


def fetch_row(kind, layer, head, row):
    return [row + 0.25, row + 0.5]


def panel(kind, layers=2, heads=3):
    atlas = b"".join(fetch(kind, layer, head)[:4] for layer in range(layers) for head in range(heads))
    return Panel(kind, layers, heads, ROWS, COLUMNS, atlas, 2, 2)


@pytest.fixture
def view():
    return AttentionMap(title="x", panels=[panel("encoder"), panel("cross")], fetch=fetch)


def test_a_model_with_source_and_target_opens_on_its_last_cross_layer(view):
    assert view.selection == {"kind": "cross", "layer": 1, "head": 0}
    assert view.head_key == ["cross", 1, 0]
    assert view.head_map == fetch("cross", 1, 0)


def test_the_enlarged_head_follows_the_selection(view):
    view.selection = {"kind": "encoder", "layer": 0, "head": 2}
    assert view.head_key == ["encoder", 0, 2]
    assert view.head_map == fetch("encoder", 0, 2)
    assert view.map()[1] == [expand(level("encoder", 0, 2, cell)) for cell in (2, 3)]


def test_exact_rows_are_used_where_there_are_any():
    view = AttentionMap(panels=[panel("self")], fetch=fetch, fetch_row=fetch_row)
    assert view.map() == [[0.25, 0.5], [1.25, 1.5], [2.25, 2.5]]
    assert view.has_rows


@pytest.mark.parametrize("selection", [
    {}, {"kind": "decoder", "layer": 0, "head": 0}, {"kind": "cross", "layer": 2, "head": 0},
    {"kind": "cross", "layer": 0, "head": -1}, {"kind": "cross", "layer": True, "head": 0},
    {"kind": "cross", "layer": 0.5, "head": 0}, {"kind": ["cross"], "layer": 0, "head": 0},
])
def test_a_head_that_is_not_there_cannot_be_selected(view, selection):
    with pytest.raises(traitlets.TraitError, match="2 layers × 3 heads"):
        view.selection = selection
    assert view.selection["kind"] == "cross"


def test_a_fetch_that_fails_keeps_the_widget_alive():
    def broken(kind, layer, head):
        if head:
            raise RuntimeError("out of memory \ud800")
        return fetch(kind, layer, head)

    view = AttentionMap(panels=[panel("self")], fetch=broken)
    view.selection = {"kind": "self", "layer": 0, "head": 1}
    assert view.head_key == ["self", 1, 0]
    view.selection = {"kind": "self", "layer": 0, "head": 0}
    assert view.head_map == fetch("self", 0, 0)


def test_a_fetch_of_the_wrong_size_is_an_error():
    with pytest.raises(ValueError, match="3 × 2 expected"):
        AttentionMap(panels=[panel("self")], fetch=lambda *_: b"12345")


def test_an_atlas_of_the_wrong_size_is_an_error():
    with pytest.raises(ValueError, match="an atlas of 24 bytes expected"):
        Panel("self", 2, 3, ROWS, COLUMNS, b"", 2, 2)
    with pytest.raises(ValueError, match="at least one panel"):
        AttentionMap(panels=[], fetch=fetch)


def test_each_head_is_fetched_once():
    calls = []
    view = AttentionMap(panels=[panel("self")], fetch=lambda *key: calls.append(key) or fetch(*key))
    for head in (1, 0, 1, 0):
        view.selection = {"kind": "self", "layer": 1, "head": head}
    assert sorted(calls) == [("self", 1, 0), ("self", 1, 1)]


def test_tokens_travel_as_visible_text(view):
    assert view.panels[0]["rows"] == ["Die", "Katze", "◌"]


def test_the_bundle_holds_view_picture_and_text(view):
    data, _ = view._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == view.model_id
    assert data["text/html"].startswith('<img src="data:image/svg+xml;base64,')
    assert data["text/plain"] == "x · cross attention · layer 1 · head 0"


@pytest.fixture(scope="module")
def in_kernel(kernel):
    """The id of a map that lives in a real kernel."""
    source = Path(__file__).read_text(encoding="utf-8").partition("@pytest.fixture\ndef view")[0]
    kernel.run(source)
    return kernel.run("m = AttentionMap(panels=[panel('self')], fetch=fetch, fetch_row=fetch_row)\nprint(m.model_id)")


def answer(kernel, model_id, content):
    """Content and buffers that the map sends back, or None when it stays silent."""
    messages = kernel.finish(kernel.click(model_id, content))
    sent = [message for message in messages
            if message["msg_type"] == "comm_msg" and message["content"]["data"]["method"] == "custom"]
    return [(message["content"]["data"]["content"], [bytes(b) for b in message["buffers"]]) for message in sent]


def test_a_head_and_an_exact_row_are_answered_in_binary(kernel, in_kernel):
    assert answer(kernel, in_kernel, {"want": ["self", 1, 2]}) == [
        ({"head": ["self", 1, 2]}, [fetch("self", 1, 2)])]
    assert answer(kernel, in_kernel, {"want_row": ["self", 1, 2, 2]}) == [
        ({"row": ["self", 1, 2, 2]}, [struct.pack("<2f", 2.25, 2.5)])]


@pytest.mark.parametrize("content", [
    {"want": ["self", 9, 0]}, {"want": "self"}, {"want": ["self", 0]}, {"want_row": ["self", 0, 0, 3]},
    {"want_row": ["self", 0, 0, True]}, {"want_row": [["self"], 0, 0, 0]}, {}, {"__class__": 1}, "want", [1], None,
])
def test_a_message_that_makes_no_sense_gets_no_answer(kernel, in_kernel, content):
    assert answer(kernel, in_kernel, content) == []
    assert answer(kernel, in_kernel, {"want": ["self", 0, 0]})
