import math
import struct
from itertools import pairwise

import pytest
import traitlets

from llm_magics.training.run.control import Control
from llm_magics.widgets.training import snapshots
from llm_magics.widgets.training.training_panel import TrainingPanel


def triples(data):
    return [struct.unpack_from("<3f", data, at) for at in range(0, len(data), 12)]


def attention(panel, step, run="", size=4):
    panel.snapshot(
        "attention",
        step,
        run=run,
        about="cross",
        rows=("a", "b"),
        columns=("x", "y\ud800"),
        layers=1,
        heads=size // 4,
        maps=bytes(size),
    )


def test_every_point_can_be_read_back():
    panel = TrainingPanel("x")
    panel.add("train", 1, 0.5)
    panel.add("validation", 1, 0.75)
    panel.add("train", 2, 0.25)
    panel.add("bleu", 2, 30.0, group="metric")
    assert panel.series() == {"train": [(1, 0.5), (2, 0.25)], "validation": [(1, 0.75)]}
    assert panel.series("metric") == {"bleu": [(2, 30.0)]}


def test_points_of_several_runs_are_told_apart():
    panel = TrainingPanel("x")
    for run, value in (("a", 1.0), ("b", 2.0)):
        panel.add("validation", 1, value, run=run)
    assert panel.series() == {"a validation": [(1, 1.0)], "b validation": [(1, 2.0)]}
    assert panel.series(run="b") == {"validation": [(1, 2.0)]}


def test_a_group_that_no_tab_shows_is_refused():
    with pytest.raises(ValueError, match="none of loss, metric"):
        TrainingPanel("x").add("train", 1, 0.5, group="lost")


def test_everything_is_in_the_model_at_the_end():
    panel = TrainingPanel("x")
    panel.add("train", 1, 0.5)
    panel.add("validation", 3, 0.75)
    attention(panel, 3)
    assert (panel.history, panel.snapshots) == (b"", []), "while it runs only news travel"
    panel.finish("interrupted")
    assert panel.series_names == [["", "loss", "train"], ["", "loss", "validation"]]
    assert triples(panel.history) == [(0, 1, 0.5), (1, 3, 0.75)]
    assert panel.snapshots == [
        {
            "kind": "attention",
            "run": "",
            "step": 3,
            "about": "cross",
            "rows": ["a", "b"],
            "columns": ["x", "y\ufffd"],
            "layers": 1,
            "heads": 1,
            "maps": bytes(4),
        }
    ]
    assert (panel.status, panel.levers) == ("interrupted", [])


FEED = """
from llm_magics.widgets.training.training_panel import TrainingPanel
import time
panel = TrainingPanel("x")
for step in range(60):
    panel.add("train", step, step / 8)
    if step % 20 == 10:
        panel.snapshot("samples", step, rows=[["a", "b", str(step)]])
        panel.snapshot("attention", step, about="self", rows=["a"], columns=["a"], layers=1, heads=2, maps=bytes([step, 255]))
    panel.flush()
    time.sleep(0.01)
panel.flush(force=True)
print(panel.model_id)
"""


class Page:
    """What a page does with the messages of a panel, as points.js and training_panel.js do it."""

    def __init__(self):
        self.points, self.generation, self.snapshots = [], -1, []

    def take(self, message):
        content = message["content"].get("data", {}) if message["msg_type"] == "comm_msg" else {}
        if content.get("method") != "custom":
            return
        content, buffers = content["content"], [bytes(part) for part in message["buffers"]]
        if "points_from" in content:
            start, new = content["points_from"], triples(buffers.pop(0))
            if start == 0:
                self.points, self.generation = new, content["generation"]
            elif (start, content["generation"]) == (len(self.points), self.generation):
                self.points += new
        if "snapshots" in content:
            self.snapshots = []
        for one in content.get("snapshots", [content["snapshot"]] if "snapshot" in content else []):
            self.snapshots.append(
                {**one, "maps": buffers.pop(0)} if one["kind"] == "attention" else one
            )


def test_a_page_that_was_there_and_one_that_comes_later_hold_the_same(kernel):
    """Through a real kernel: news put together are the whole, and so is what is sent to a page that
    asks."""
    there, late = Page(), Page()
    messages = kernel.finish(kernel.start(FEED))
    for message in messages:
        there.take(message)
    for message in kernel.finish(kernel.click(kernel.text(messages), {"do": "show"})):
        late.take(message)
    assert there.points == late.points == [(0, step, step / 8) for step in range(60)]
    assert there.snapshots == late.snapshots
    assert [(one["kind"], one["step"]) for one in late.snapshots] == [
        (kind, step) for step in (10, 30, 50) for kind in ("samples", "attention")
    ]
    assert late.snapshots[-1]["maps"] == bytes([50, 255])


def test_flushes_in_quick_succession_send_once(kernel):
    sent = kernel.finish(
        kernel.start(
            FEED.replace("time.sleep(0.01)", "pass").replace("panel.flush(force=True)", "")
        )
    )
    custom = [
        message
        for message in sent
        if message["msg_type"] == "comm_msg" and message["content"]["data"]["method"] == "custom"
    ]
    assert 1 <= len(custom) <= 3


def test_snapshots_are_bounded_in_number_and_bytes_and_stay_even(monkeypatch):
    monkeypatch.setattr(snapshots, "MOST_MAP_BYTES", 40)
    panel = TrainingPanel("x")
    for step in range(1, 501):
        panel.snapshot("samples", step, rows=[["a", "b", "c"]])
        attention(panel, step, run="other")
    panel.finish()
    steps = {
        kind: [one["step"] for one in panel.snapshots if one["kind"] == kind]
        for kind in ("samples", "attention")
    }
    assert len(steps["samples"]) == 200
    assert len(steps["attention"]) == 10
    for kept in steps.values():
        assert (kept[0], kept[-1]) == (1, 500)
        gaps = [later - earlier for earlier, later in pairwise(kept)]
        assert max(gaps) <= 4 * 500 / len(kept)


def test_what_a_resumed_run_takes_again_replaces_its_own_snapshots_only():
    panel = TrainingPanel("x")
    for run, step in (("a", 10), ("b", 20), ("a", 20), ("a", 30), ("a", 20)):
        panel.snapshot("samples", step, run=run, rows=[["in", "out", ""]])
    attention(panel, 5, run="b")
    panel.finish()
    assert [(one["kind"], one["run"], one["step"]) for one in panel.snapshots] == [
        ("samples", "a", 10),
        ("samples", "b", 20),
        ("samples", "a", 20),
        ("attention", "b", 5),
    ]


def test_a_map_of_the_wrong_size_is_an_error():
    with pytest.raises(ValueError, match="4 bytes of attention, 8 expected"):
        TrainingPanel("x").snapshot(
            "attention",
            1,
            about="self",
            rows=["a", "b"],
            columns=["a", "b"],
            layers=1,
            heads=2,
            maps=bytes(4),
        )


def test_numbers_without_a_json_form_become_none_and_text_is_scrubbed():
    panel = TrainingPanel("a\ud800")
    panel.progress = {"step": 3, "eta_s": math.inf, "tokens_per_s": math.nan, "note": "x\x00"}
    assert panel.title == "a\ufffd"
    assert panel.progress == {"step": 3, "eta_s": None, "tokens_per_s": None, "note": "x\ufffd"}
    panel.snapshot("samples", 1, rows=(("a\ud800", "b", "c"),))
    panel.finish()
    assert panel.snapshots[0]["rows"] == [["a\ufffd", "b", "c"]]


def test_buttons_act_at_once_on_what_is_connected():
    panel, control = TrainingPanel("x"), Control()
    panel.connect(control)
    panel._handle_custom_msg({"do": "pause"}, [])
    assert control.paused
    panel._handle_custom_msg({"do": "resume"}, [])
    assert not control.paused
    panel._handle_custom_msg({"do": "checkpoint"}, [])
    panel._handle_custom_msg({"do": "rate", "factor": 0.5}, [])
    assert (control.take_checkpoint(), control.take_rate_factor()) == (True, 0.5)
    assert not panel.stop_requested
    panel._handle_custom_msg({"do": "stop"}, [])
    assert control.stopping
    assert panel.stop_requested
    assert panel.take_requests() == []


def test_without_anything_connected_requests_wait_in_order():
    panel = TrainingPanel("x")
    for message in ({"do": "pause"}, {"do": "rate", "factor": 2}, {"do": "stop"}):
        panel._handle_custom_msg(message, [])
    assert panel.take_requests() == [("pause", None), ("rate", 2.0), ("stop", None)]
    assert panel.take_requests() == []


def test_a_button_that_fails_does_not_break_the_panel(caplog):
    class Broken:
        def stop(self):
            raise RuntimeError("gone")

    panel = TrainingPanel("x")
    panel.connect(Broken())
    panel._handle_custom_msg({"do": "stop"}, [])
    assert "stop failed: gone" in caplog.text
    panel.connect(None)
    assert panel.levers == []


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": "run"},
        "stop",
        None,
        ["stop"],
        {"do": ["stop"]},
        {"do": "rate"},
        {"do": "rate", "factor": 0},
        {"do": "rate", "factor": -1},
        {"do": "rate", "factor": math.nan},
        {"do": "rate", "factor": True},
        {"do": "connect"},
        {"do": "rate", "factor": "2"},
        {"do": "rate", "factor": 1e9},
    ],
)
def test_any_other_message_changes_nothing(message):
    panel = TrainingPanel("x")
    panel._handle_custom_msg(message, [])
    assert not panel.stop_requested
    assert panel.take_requests() == []


def test_status_and_smoothing_are_checked():
    panel = TrainingPanel("x")
    with pytest.raises(traitlets.TraitError):
        panel.status = "asleep"
    with pytest.raises(traitlets.TraitError):
        panel.smoothing = 1.0


def test_the_bundle_holds_view_picture_samples_and_text():
    panel = TrainingPanel("<b>")
    panel.add("validation", 5, 0.25)
    panel.add("validation", 6, math.nan)
    panel.add("bleu", 6, 31.5, group="metric")
    panel.snapshot("samples", 5, rows=[["<i>in", "out", ""]])
    panel.snapshot("samples", 6, rows=[["<i>in", "later", ""]])
    panel.progress = {"step": 6, "total_steps": 9}
    data, _ = panel._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.model_id
    assert data["text/html"].startswith('<img src="data:image/svg+xml;base64,')
    assert data["text/html"].count("<img") == 2
    assert "&lt;i&gt;in" in data["text/html"]
    assert "later" in data["text/html"]
    assert "out" not in data["text/html"]
    assert "<b>" not in data["text/html"]
    assert data["text/plain"] == "<b>: running, step 6 of 9, validation nan"
