import json
import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy
import pytest
import traitlets

from llm_magics.errors import InputError
from llm_magics.widgets.attention.attention_explorer import AttentionExplorer, Panel
from llm_magics.widgets.attention.panel import thumb_side


@pytest.fixture
def source(synthetic):
    return synthetic.SyntheticSource(12, 2, 3, segments=[0] * 5 + [1] * 7)


@pytest.fixture
def view(source, synthetic):
    return AttentionExplorer([source], title="x", predict=synthetic.predict)


def test_it_opens_on_the_last_layer_with_all_that_a_first_picture_needs(view, source):
    assert view.selection["view"] == "map"
    assert (view.selection["kind"], view.selection["layer"], view.selection["head"]) == (
        "self",
        1,
        0,
    )
    assert view.atlases == [[source.panels[0].atlas]]
    assert view.tokens == [source.panels[0].rows]
    assert view.sources[0]["panels"][0]["rows"] == view.sources[0]["panels"][0]["columns"] == 0


def test_a_part_of_the_selection_can_be_set_alone(view):
    view.selection = {"layer": 0, "head": 2, "rows": range(3), "heads": [(1, 1)]}
    assert (view.selection["layer"], view.selection["head"], view.selection["view"]) == (
        0,
        2,
        "map",
    )
    assert (view.selection["rows"], view.selection["heads"]) == ([0, 1, 2], [[1, 1]])
    view.selection = {"view": "lines"}
    assert view.selection["rows"] == [0, 1, 2]


def test_tokens_of_another_source_are_let_go(synthetic):
    view = AttentionExplorer([synthetic.SyntheticSource(12), synthetic.SyntheticSource(5)])
    view.selection = {"source": 0, "rows": [11], "against": 1}
    assert view.selection["against"] == [1, 1, 0]
    view.selection = {"source": 1}
    assert (view.selection["rows"], view.selection["against"]) == ([], None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layer": 2}, "2 layers × 3 heads"),
        ({"head": -1}, "2 layers × 3 heads"),
        ({"layer": True}, "2 layers × 3 heads"),
        ({"kind": "cross"}, "no head"),
        ({"kind": ["self"]}, "no head"),
        ({"source": 1}, "0 to 0 expected"),
        ({"view": "bertviz"}, "'overview', 'map'"),
        ({"segment": "BC"}, "'AB'"),
        ({"sort": "nothing"}, "'diagonal'"),
        ({"rows": [12]}, "0 to 11 expected"),
        ({"columns": "abc"}, "columns is a list"),
        ({"step": 12}, "0 to 11 expected"),
        ({"heads": [[9, 9]]}, "no head"),
        ({"silenced": [["self", 0]]}, "no head"),
        ({"against": 3}, "nothing to compare"),
        ({"against": [0, 0, 9]}, "nothing to compare"),
        ({"layers": 1}, "a selection has no layers"),
    ],
)
def test_what_cannot_be_selected_is_one_message_and_changes_nothing(view, wrong, message):
    before = dict(view.selection)
    with pytest.raises(traitlets.TraitError, match=message):
        view.selection = wrong
    assert view.selection == before


def test_the_map_is_that_of_the_selected_head_to_the_last_bit(view, source):
    view.selection = {"layer": 0, "head": 2}
    numpy.testing.assert_array_equal(numpy.asarray(view.map()), source.weights(0, 2))
    view.selection = {"rows": [3, 4], "columns": [0, 7, 8]}
    numpy.testing.assert_array_equal(
        numpy.asarray(view.map(selected=True)), source.weights(0, 2)[3:5][:, [0, 7, 8]]
    )


def test_a_data_frame_has_the_tokens_as_labels(view, source):
    pytest.importorskip("pandas")
    view.selection = {"rows": [1, 2]}
    frame = view.to_pandas(selected=True)
    assert list(frame.index) == ["the", "cat"]
    assert list(frame.columns) == source.panels[0].columns
    assert frame.loc["cat", "sat"] == source.weights(1, 0)[2, 3]


@pytest.mark.parametrize("chosen", ["map", "lines"])
def test_the_picture_of_a_text_pair_shows_the_part_that_was_chosen(synthetic, chosen):
    words = [f"{text}{i}" for text, count in (("a", 5), ("b", 7)) for i in range(count)]
    view = AttentionExplorer(
        [synthetic.SyntheticSource(12, 2, 3, rows=words, segments=[0] * 5 + [1] * 7)]
    )
    view.selection = {"view": chosen, "segment": "AB"}
    shown = [
        node.text
        for node in ElementTree.fromstring(view.static_svg()).iter(
            "{http://www.w3.org/2000/svg}text"
        )
    ]
    assert sorted(text for text in shown if text in words) == sorted(words), (
        "A's as rows, B's as columns, each once"
    )


def test_a_neuron_is_that_of_the_marked_pair(view):
    view.selection = {"layer": 0, "head": 1, "rows": [3], "columns": [2]}
    made = view.neuron()
    assert made["dot"] == pytest.approx(
        sum(q * k for q, k in zip(made["query"], made["key"], strict=True))
    )
    assert made["weight"] == pytest.approx(view.map()[3, 2])
    view.selection = {"rows": [], "columns": []}
    with pytest.raises(InputError, match="no pair of tokens is marked"):
        view.neuron()


def test_a_measure_has_a_row_of_heads_for_each_layer(view, source):
    assert view.measure("layer") == [[0.0] * 3, [1.0] * 3]
    expected = [
        [numpy.trace(source.weights(layer, head)) / 12 for head in range(3)] for layer in range(2)
    ]
    numpy.testing.assert_allclose(view.measure("diagonal"), expected, rtol=1e-6)
    with pytest.raises(InputError, match="there are diagonal, layer"):
        view.measure("rollout")


def test_panels_and_sources_that_do_not_fit_are_refused(source):
    with pytest.raises(ValueError, match="an atlas of 24 bytes"):
        Panel("self", 2, 3, ["a"], ["b"], b"1", 2, 2)
    with pytest.raises(ValueError, match="a segment for each of 1 row"):
        Panel("self", 1, 1, ["a"], ["b"], b"", 2, 2, row_segments=[0, 1])
    with pytest.raises(ValueError, match="at least one source"):
        AttentionExplorer([])
    with pytest.raises(ValueError, match="a name for each of 1"):
        AttentionExplorer([source], step_names=["a", "b"])


@pytest.mark.parametrize("ending", [".html", ".svg", ".png"])
@pytest.mark.parametrize("chosen", ["overview", "map", "lines", "cross", "neuron", "diff", "steps"])
def test_every_view_can_be_saved_in_every_way(view, tmp_path, chosen, ending):
    if ending == ".png":
        pytest.importorskip("PIL")
    view.selection = {"view": chosen, "sort": "diagonal"}
    data = view.save(tmp_path / "not" / "there" / f"map{ending}").read_bytes()
    assert data.startswith(
        {".html": b"<!doctype html>", ".svg": b"<svg", ".png": b"\x89PNG"}[ending]
    )


def test_another_ending_is_one_message(view, tmp_path):
    with pytest.raises(InputError, match=r"\.html, \.svg or \.png"):
        view.save(tmp_path / "map.pdf")


def test_the_bundle_holds_view_picture_and_text(view):
    data, _ = view._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == view.model_id
    assert data["text/html"].startswith('<img src="data:image/svg+xml;base64,')
    assert data["text/plain"] == "x · self attention · layer 1 · head 0"


def test_the_static_picture_is_that_of_the_view_chosen_when_it_is_shown(view):
    def texts():
        return {
            node.text
            for node in ElementTree.fromstring(view.static_svg()).iter(
                "{http://www.w3.org/2000/svg}text"
            )
        }

    assert "L1·H0" not in texts()
    view.selection = {"view": "lines", "heads": [[0, 1]]}
    assert {"L1·H0", "L0·H1"} <= texts()
    view.selection = {"view": "overview", "sort": "diagonal"}
    assert any("on the diagonal" in (text or "") for text in texts())


class Cheap:
    """A map of any size from one table: bytes are counted here, not weights."""

    measures: dict = {}  # noqa: RUF012 — a constant of this stand-in

    def __init__(self, tokens, random):
        self.title, side = "m", thumb_side(72)
        self._noise = random.integers(
            0, 256, 256 * 256, dtype="uint8"
        ).tobytes()  # what compresses worst
        words = [f"▁word{i}" for i in range(tokens)]
        self.panels = [
            Panel("self", 6, 12, words, words, (self._noise * 3)[: 72 * side * side], side, side)
        ]

    def tile(self, kind, layer, head, level, row, column):
        side = -(-len(self.panels[0].rows) // 2**level)
        return self._noise[: side * side]


@pytest.mark.parametrize("tokens", [72, 512, 2048])
def test_the_first_picture_costs_at_most_320_kilobytes(tokens):
    view = AttentionExplorer([Cheap(tokens, numpy.random.default_rng(0))], title="m")
    data, about = view._repr_mimebundle_()
    state = view.get_state()
    buffers = sum(len(atlas) for atlases in state.pop("atlases") for atlas in atlases)
    state.pop("layout")
    total = buffers + len(json.dumps([state, data, about], ensure_ascii=False).encode())
    assert total <= 320_000


@pytest.fixture(scope="module")
def in_kernel(kernel):
    """The id of an explorer that lives in a real kernel."""
    place = Path(__file__).parent / "synthetic_attention.py"
    kernel.run(
        place.read_text(encoding="utf-8")
        + "\nfrom llm_magics.widgets.attention.attention_explorer import AttentionExplorer\n"
    )
    kernel.run(
        "v = AttentionExplorer([SyntheticSource(12, 2, 3, with_atlas=False)], predict=predict)"
    )
    return kernel.run("print(v.model_id)")


def asked(kernel, model_id, content):
    """The answer to `content`, under its id, and its buffers."""
    kernel.click(model_id, content)
    message = kernel.wait_for(
        lambda message: (
            message["msg_type"] == "comm_msg"
            and message["content"]["data"].get("content", {}).get("id") == content["id"]
        )
    )
    return message["content"]["data"]["content"], [bytes(buffer) for buffer in message["buffers"]]


def test_questions_are_answered_in_a_real_kernel_in_binary(kernel, in_kernel, synthetic):
    source = synthetic.SyntheticSource(12, 2, 3)
    head = {"source": 0, "kind": "self", "layer": 1, "head": 2}
    content, buffers = asked(kernel, in_kernel, {"id": "a-1", "want": "picture", **head})
    assert content == {"id": "a-1", "want": "picture", "height": 12, "width": 12}
    assert buffers == [source.picture("self", 1, 2)[0]]
    content, buffers = asked(kernel, in_kernel, {"id": "a-2", "want": "row", **head, "row": 3})
    assert buffers == [struct.pack("<12f", *source.row("self", 1, 2, 3))]
    content, _ = asked(
        kernel, in_kernel, {"id": 3, "want": "predict", "silenced": [["self", 0, 1]]}
    )
    assert [content[when]["entries"][0] for when in ("before", "after")] == [
        ["mat", 0.7],
        ["mat", pytest.approx(0.5)],
    ]
    assert kernel.run("print(v.prediction['silenced'])") == "[('self', 0, 1)]"


def test_a_message_that_makes_no_sense_does_no_harm(kernel, in_kernel):
    for content in (
        {},
        "want",
        None,
        {"want": "picture"},
        {"id": 1, "want": "__class__"},
        {"id": [1], "want": "row"},
    ):
        kernel.finish(kernel.click(in_kernel, content))
    assert asked(
        kernel,
        in_kernel,
        {"id": 9, "want": "row", "source": 0, "kind": "self", "layer": 0, "head": 0, "row": 0},
    )[1]
