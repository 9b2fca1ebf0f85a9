import math
import struct

import pytest
import traitlets

from llm_magics.widgets.loss_curve import LossCurve


def triples(data):
    return [struct.unpack_from("<3f", data, at) for at in range(0, len(data), 12)]


def test_every_point_can_be_read_back():
    curve = LossCurve("x")
    curve.add("train", 1, 0.5)
    curve.add("validation", 1, 0.75)
    curve.add("train", 2, 0.25)
    assert curve.series() == {"train": [(1, 0.5), (2, 0.25)], "validation": [(1, 0.75)]}


def test_history_holds_little_endian_triples_after_a_forced_flush():
    curve = LossCurve("x")
    curve.add("train", 1, 0.5)
    curve.add("validation", 3, 0.75)
    curve.flush(force=True)
    assert curve.series_names == ["train", "validation"]
    assert triples(curve.history) == [(0, 1, 0.5), (1, 3, 0.75)]


def test_many_flushes_send_the_history_once():
    curve = LossCurve("x")
    seen = []
    curve.observe(lambda change: seen.append(len(change["new"])), names="history")
    for step in range(1, 500):
        curve.add("train", step, 1.0)
        curve.flush()
    assert seen == [12]
    curve.finish("finished")
    assert seen == [12, 499 * 12]


def test_deltas_carry_every_point_exactly_once(kernel):
    """What a page receives through a real kernel, put together, is the whole curve."""
    request = kernel.start("""
from llm_magics.widgets.loss_curve import LossCurve
import time
curve = LossCurve("x")
for step in range(40):
    curve.add("train", step, step / 8)
    curve.flush()
    time.sleep(0.01)
curve.finish()
""")
    held = []
    for message in kernel.finish(request):
        content = message["content"].get("data", {}) if message["msg_type"] == "comm_msg" else {}
        if content.get("method") == "custom":
            assert content["content"]["points_from"] == len(held)
            held += triples(bytes(message["buffers"][0]))
    assert held == [(0, step, step / 8) for step in range(40)]


def test_numbers_without_a_json_form_become_none_and_text_is_scrubbed():
    curve = LossCurve("a\ud800")
    curve.progress = {"step": 3, "eta_s": math.inf, "tokens_per_s": math.nan, "note": "x\x00"}
    assert curve.title == "a\ufffd"
    assert curve.progress == {"step": 3, "eta_s": None, "tokens_per_s": None, "note": "x\ufffd"}


def test_the_stop_button_sets_a_flag_and_calls_back():
    curve, calls = LossCurve("x"), []
    curve.on_stop(lambda: 1 / 0)
    curve.on_stop(lambda: calls.append(1))
    curve._handle_custom_msg({"do": "stop"}, [])
    assert curve.stop_requested
    assert calls == [1], "a callback that fails does not keep the next from being called"


@pytest.mark.parametrize("message", [{}, {"do": "run"}, "stop", None, ["stop"], {"do": ["stop"]}])
def test_any_other_message_changes_nothing(message):
    curve = LossCurve("x")
    curve._handle_custom_msg(message, [])
    assert not curve.stop_requested


def test_status_and_smoothing_are_checked():
    curve = LossCurve("x")
    with pytest.raises(traitlets.TraitError):
        curve.status = "asleep"
    with pytest.raises(traitlets.TraitError):
        curve.smoothing = 1.0


def test_the_bundle_holds_view_picture_and_text():
    curve = LossCurve("<b>")
    curve.add("validation", 5, 0.25)
    curve.add("validation", 6, math.nan)
    curve.progress = {"step": 6, "total_steps": 9}
    data, _ = curve._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == curve.model_id
    assert data["text/html"].startswith('<img src="data:image/svg+xml;base64,')
    assert "<b>" not in data["text/html"]
    assert data["text/plain"] == "<b>: running, step 6 of 9, validation nan"
