import math

import pytest
import traitlets

from llm_magics.display.charts.tuning import Axis
from llm_magics.display.tuning_board import Board, Trial
from llm_magics.widgets.training.tuning_board import TuningBoard

AXES = (Axis("optimizer.lr", None, 1e-4, 1e-2, log=True), Axis("model.dropout", (0.0, 0.3)))


def trial(number, lr=1e-3, loss=2.0, state="complete", **more):
    return Trial(
        number,
        {"optimizer.lr": lr, "model.dropout": 0.3},
        state,
        loss,
        (5, 10),
        (loss + 1, loss),
        10,
        20,
        **more,
    )


def board(*trials, **more):
    return Board("words", wanted=9, trials=trials, axes=AXES, **more)


FIVE = (
    trial(0),
    trial(1, loss=1.0),
    trial(2, loss=3.0),
    trial(3, lr=1e-2),
    trial(4, state="running"),
)


def test_every_trial_is_there_as_plain_values():
    view = TuningBoard(board(*FIVE, importance={"model.dropout": 0.25, "optimizer.lr": 0.75}))
    first = view.trials[0]
    assert (first["label"], first["state_text"], first["value_text"]) == ("t000", "complete", "2")
    assert first["caption"] == "lr=0.001 dropout=0.3"
    assert first["places"] == pytest.approx([0.5, 0.75])
    assert (first["steps"], first["losses"], first["total_steps"]) == ([5, 10], [3.0, 2.0], 20)
    assert [one["best"] for one in view.trials] == [False, True, False, False, False]
    assert [one["rank"] for one in view.trials] == [1, 0, 3, 2, 4]
    assert view.importance == [["optimizer.lr", 0.75], ["model.dropout", 0.25]]
    assert [axis["name"] for axis in view.axes] == ["lr", "dropout"]
    assert view.axes[1]["ticks"] == [[0.25, "0"], [0.75, "0.3"]]
    assert view.trials[4]["state_text"] == "running 50 %"
    assert view.trials[4]["places"] == [], "only complete trials have a line through the settings"


def test_before_there_are_four_complete_trials_nothing_is_compared():
    assert all(one["places"] == [] for one in TuningBoard(board(*FIVE[:3])).trials)


def test_numbers_without_a_json_form_become_none_and_text_is_scrubbed():
    view = TuningBoard(board(trial(0, loss=math.inf, note="x\x00")))
    assert view.trials[0]["losses"] == [None, None]
    assert view.trials[0]["value"] is None
    assert view.trials[0]["note"] == "x\ufffd"


def test_updates_that_come_fast_are_thinned_and_the_last_one_is_shown_at_the_end():
    view, seen = TuningBoard(board()), []
    view.observe(lambda change: seen.append(len(change["new"])), names="trials")
    for count in range(1, 6):
        view.update(board(*FIVE[:count]))
    assert len(seen) < 5
    view.finish("interrupted")
    assert (seen[-1], view.status, view.stoppable) == (5, "interrupted", False)


class Search:
    def __init__(self):
        self.calls = []

    def stop(self):
        self.calls.append("stop")

    def stop_trial(self, number):
        self.calls.append(number)
        raise RuntimeError("which must not reach the subshell")


def test_buttons_act_on_the_search_they_are_connected_to():
    view, search = TuningBoard(board(*FIVE)), Search()
    assert not view.stoppable
    view._handle_custom_msg({"do": "stop_trial", "trial": 3}, [])
    view.connect(search)
    assert view.stoppable
    view._handle_custom_msg({"do": "stop_trial", "trial": 4}, [])
    view._handle_custom_msg({"do": "stop"}, [])
    assert search.calls == [4, "stop"]
    assert view.stop_requested


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": "run"},
        "stop",
        None,
        ["stop"],
        {"do": ["stop"]},
        {"do": "stop_trial"},
        {"do": "stop_trial", "trial": "4"},
        {"do": "stop_trial", "trial": True},
    ],
)
def test_any_other_message_changes_nothing(message):
    view, search = TuningBoard(board(*FIVE)), Search()
    view.connect(search)
    view._handle_custom_msg(message, [])
    assert search.calls == []


def test_the_status_is_checked():
    with pytest.raises(traitlets.TraitError):
        TuningBoard().status = "asleep"


def test_the_bundle_holds_view_pictures_table_and_text():
    view = TuningBoard(board(*FIVE, importance={"optimizer.lr": 1.0}))
    data, _ = view._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == view.model_id
    assert data["text/html"].count("data:image/svg+xml") == 3, (
        "curves, importance, parallel coordinates"
    )
    assert "t001 (best)" in data["text/html"]
    assert data["text/plain"].startswith(
        "running: words: 1 running, 4 complete of 9 wanted; best t001 with loss 1"
    )
