import struct
import threading
import time
import zlib

import numpy
import pytest

from llm_magics.widgets.attention.answers import Answers

HEAD = {"source": 0, "kind": "self", "layer": 1, "head": 2}


class Told:
    """What the answers sent, and a way to wait for it."""

    def __init__(self, sources, predict=None):
        self.sent = []
        self._news = threading.Condition()
        self.answers = Answers(sources, predict, self._send)

    def _send(self, content, buffers):
        with self._news:
            self.sent.append((content, buffers))
            self._news.notify_all()

    def ask(self, number, want, **rest):
        """The answer to one question."""
        assert self.answers.receive({"id": number, "want": want, **rest})
        with self._news:
            assert self._news.wait_for(lambda: self.of(number), 10), f"no answer to {want}"
        return self.of(number)[0]

    def of(self, number):
        return [sent for sent in self.sent if sent[0].get("id") == number]


@pytest.fixture
def source(synthetic):
    return synthetic.SyntheticSource(600, 2, 3, thumb=8, with_atlas=False)


def test_a_tile_and_a_picture_are_pooled_by_maximum(source):
    told = Told([source])
    weights = source.weights(1, 2)
    pooled = numpy.floor(
        255 * numpy.sqrt(weights.reshape(300, 2, 300, 2).max((1, 3))) + 0.5
    ).astype("uint8")
    content, [levels] = told.ask(1, "picture", **HEAD)
    assert (content["height"], content["width"], zlib.decompress(levels)) == (
        300,
        300,
        pooled.tobytes(),
    )
    assert content["deflated"]
    content, [tile] = told.ask(2, "tile", **HEAD, level=1, row=0, column=1)
    assert ("deflated" in content, tile) == (False, pooled[:256, 256:].tobytes()), (
        "11 kB are sent as they are"
    )


def test_a_map_that_does_not_shrink_is_sent_as_it_is(source):
    noise = numpy.random.default_rng(0).integers(0, 256, (512, 512), "uint8").tobytes()
    source.picture = lambda *_: (noise, 512, 512)
    content, [levels] = Told([source]).ask(1, "picture", **HEAD)
    assert ("deflated" in content, levels) == (False, noise)


def test_an_exact_row_is_little_endian_floats(source):
    _, [row] = Told([source]).ask(1, "row", **HEAD, row=7)
    assert row == struct.pack("<600f", *source.row("self", 1, 2, 7))


def test_a_neuron_comes_as_json_numbers_also_where_the_score_is_infinite(source):
    made = source.neuron("self", 1, 2, 3, 4)
    made.score = float("-inf")
    source.neuron = lambda *_: made
    content, _ = Told([source]).ask(1, "neuron", **HEAD, row=3, column=4)
    assert content["neuron"]["query"] == made.query
    assert content["neuron"]["score"] < -1e38


@pytest.mark.parametrize(
    ("want", "rest"),
    [
        ("picture", {**HEAD, "layer": 2}),
        ("picture", {**HEAD, "layer": True}),
        ("picture", {**HEAD, "source": -1}),
        ("picture", {**HEAD, "kind": None}),
        ("row", {**HEAD, "row": 600}),
        ("row", HEAD),
        ("tile", {**HEAD, "level": 0, "row": 3, "column": 0}),
        ("tile", {**HEAD, "level": -1, "row": 0, "column": 0}),
        ("neuron", {**HEAD, "row": 0, "column": -1}),
        ("measure", {"source": 0, "kind": "self", "name": "nothing"}),
        ("predict", {"silenced": []}),
    ],
)
def test_a_question_about_what_is_not_there_is_one_error_under_its_id(source, want, rest):
    content, buffers = Told([source]).ask("x", want, **rest)
    assert set(content) == {"id", "want", "error"}
    assert not buffers


def test_an_error_of_the_model_is_told(source):
    def broken(*_):
        raise RuntimeError("out of memory \ud800")

    source.picture = broken
    assert (
        Told([source]).ask(1, "picture", **HEAD)[0]["error"] == "RuntimeError: out of memory \ufffd"
    )


def test_what_is_no_question_is_not_answered(source):
    told = Told([source])
    for message in (
        None,
        [],
        {},
        {"want": "row"},
        {"id": 1.5, "want": "row"},
        {"id": 1, "want": "receive"},
        {"id": 1},
    ):
        assert not told.answers.receive(message)
    assert told.sent == []


def test_thumbnails_come_in_batches_and_stay_for_the_next_view(source):
    told = Told([source])
    first, _ = told.ask(1, "atlas", source=0, kind="self")
    assert first["whole"] is False
    deadline = time.monotonic() + 10
    while not any(content.get("whole") for content, _ in told.sent) and time.monotonic() < deadline:
        time.sleep(0.01)
    expected = b"".join(levels for *_, levels in source.thumbnails("self"))
    got = bytearray(len(expected))
    for content, buffers in told.sent:
        if "start" in content:
            got[content["start"] : content["start"] + len(buffers[0])] = buffers[0]
    assert got == expected
    second, [levels] = told.ask(2, "atlas", source=0, kind="self")
    assert (second["whole"], levels) == (True, expected)
    assert first["length"] == second["length"] == len(expected)


def test_thumbnails_that_nobody_made_yet_are_not_sent(source):
    source.thumbnails = lambda kind: iter(())
    content, [levels] = Told([source]).ask(1, "atlas", source=0, kind="self")
    panel = source.panels[0]
    assert (content["length"], levels) == (6 * panel.thumb_height * panel.thumb_width, b"")


def test_a_measure_is_computed_once(source):
    calls = []
    source.measure = lambda name, kind: calls.append(name) or [0.5] * 6
    told = Told([source])
    for number in (1, 2):
        _, [values] = told.ask(number, "measure", source=0, kind="self", name="diagonal")
        assert values == struct.pack("<6f", *[0.5] * 6)
    assert calls == ["diagonal"]


def test_of_predictions_asked_for_in_a_row_only_the_newest_is_run(source):
    started, go_on, ran = threading.Event(), threading.Event(), []

    def predict(silenced):
        ran.append(tuple(silenced))
        started.set()
        go_on.wait(10)
        return {"kind": "label", "entries": [("a", 1 - len(silenced) / 10)]}

    told = Told([source], predict)
    heads = [["self", 0, 0], ["self", 0, 1], ["self", 0, 2]]
    told.answers.receive({"id": 1, "want": "predict", "silenced": heads[:1]})
    assert started.wait(10)
    told.answers.receive({"id": 2, "want": "predict", "silenced": heads[:2]})
    told.answers.receive({"id": 3, "want": "predict", "silenced": heads})
    go_on.set()
    content, _ = told.ask(4, "predict", silenced=heads[2:])
    assert content["after"]["entries"] == [["a", 0.9]]
    assert [len(silenced) for silenced in ran] == [0, 1, 1]
