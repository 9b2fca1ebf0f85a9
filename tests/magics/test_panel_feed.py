import base64

import pytest

from llm_magics.magics.training.panel_feed import PanelFeed
from llm_magics.magics.training.train_view import NotebookView, TerminalView, comparison_panel
from llm_magics.training.run import events as e
from llm_magics.widgets.training.training_panel import TrainingPanel


def step(number, total=100, **values):
    given = {
        "epoch": number / 10,
        "loss": 5.0 / number,
        "learning_rate": 1e-3,
        "grad_norm": 1.5,
        "tokens_per_s": 900.0,
        "seconds": 0.5 * number,
        "padding": 0.1,
        **values,
    }
    return e.StepDone(step=number, total_steps=total, **given)


@pytest.fixture
def panel():
    return TrainingPanel("x")


@pytest.fixture
def feed(panel):
    return PanelFeed(panel)


def test_steps_are_drawn_together_and_none_is_lost(panel, feed):
    news = [feed.on_event(step(number)) for number in range(1, 51)]
    assert news[0] is True
    assert sum(news) < 50
    feed.settle()
    assert [number for number, _ in panel.series()["train"]] == list(range(1, 51))
    assert panel.series("rate")["gradient_norm"][-1] == (50, 1.5)


def test_another_event_finds_the_steps_before_it_drawn(panel, feed):
    for number in (1, 2, 3):
        feed.on_event(step(number))
    feed.on_event(e.Evaluated(3, 0.3, 0.7, {"bleu": 30.0}))
    assert len(panel.series()["train"]) == 3
    assert panel.series()["validation"] == [(3, pytest.approx(0.7))]
    assert panel.series("metric") == {"bleu": [(3, 30.0)]}
    assert panel.progress["note"] == "validation loss 0.7000, bleu 30"


def test_the_time_left_is_by_the_clock_of_the_run(panel, feed):
    for number in (1, 11, 100):
        feed.on_event(step(number))
        feed._shown_s = float("-inf")
        feed.settle()
    feed.on_event(step(41, 101))
    feed._shown_s = float("-inf")
    feed.settle()
    assert panel.progress["eta_s"] == pytest.approx(60 * 0.5)


def test_layers_go_to_their_groups_and_what_is_no_layer_has_no_activation(panel, feed):
    feed.on_event(
        e.LayersSeen(10, ("embedding", "encoder.0"), (None, 0.25), (None, 1.5), (3.0, 4.0))
    )
    assert panel.series("gradient_norm") == {"embedding": [(10, 3.0)], "encoder.0": [(10, 4.0)]}
    assert panel.series("activation_std") == {"encoder.0": [(10, 1.5)]}
    assert panel.series("activation_mean") == {"encoder.0": [(10, 0.25)]}


def test_samples_and_attention_become_snapshots(panel, feed):
    feed.on_event(e.Sampled(10, (e.Sample("in", "out", "right"),)))
    feed.on_event(
        e.AttentionSeen(
            10, "cross", ("a",), ("x", "y"), 1, 2, base64.b64encode(bytes([1, 2, 3, 4])).decode()
        )
    )
    panel.finish()
    samples, attention = panel.snapshots
    assert samples["rows"] == [["in", "out", "right"]]
    assert (attention["maps"], attention["about"]) == (bytes([1, 2, 3, 4]), "cross")


def test_turns_of_a_run_show_in_status_marks_and_notes(panel, feed):
    feed.on_event(e.RunStarted("play", 0, 100, 10, 10, 10, "cpu", notes=("2 rows left out",)))
    assert panel.progress["note"] == "play on cpu · 2 rows left out"
    feed.on_event(e.Paused(5))
    assert panel.status == "paused"
    feed.on_event(e.Resumed(5))
    assert panel.status == "running"
    feed.on_event(e.RateChanged(6, 0.5))
    feed.on_event(e.BatchSplit(7, 2048))
    feed.on_event(e.CheckpointSaved(8, "/somewhere"))
    assert panel.progress["rate_factor"] == 0.5
    assert "2,048" in panel.progress["memory"]
    assert panel.progress["checkpoint"] == 8
    assert [(mark["step"], mark["text"]) for mark in panel.marks] == [
        (5, "paused"),
        (6, "learning rate × 0.5"),
        (7, "batch split"),
    ]


def test_a_stopped_panel_is_not_set_running_again(panel, feed):
    panel.status = "stopping"
    feed.on_event(e.Resumed(5))
    assert panel.status == "stopping"


def test_several_runs_are_overlaid_from_their_records():
    def record(value):
        return [
            e.RunStarted("r", 0, 2, 1, 1, 1, "cpu"),
            step(1, 2),
            e.Evaluated(1, 0.1, value, {"bleu": value}),
            step(2, 2),
        ]

    panel = comparison_panel({"small": record(1.0), "large": record(2.0)})
    assert panel.title == "small · large"
    assert {name: len(points) for name, points in panel.series().items()} == {
        "small train": 2,
        "small validation": 1,
        "large train": 2,
        "large validation": 1,
    }
    assert panel.series("metric") == {"small bleu": [(1, 1.0)], "large bleu": [(1, 2.0)]}
    assert (panel.progress, panel.levers, panel.status) == ({}, [], "finished")


def test_a_terminal_gets_one_line_a_turn(capsys):
    view = TerminalView()
    for event in (
        e.RunStarted("play", 0, 100, 1234, 10, 10, "cpu", notes=("2 rows left out",)),
        step(1),
        e.Evaluated(5, 0.5, 0.7, {"bleu": 30.0}),
        e.Paused(5),
        e.Resumed(5),
        e.RateChanged(6, 0.5),
        e.BatchSplit(7, 2048),
        e.CheckpointSaved(8, "x"),
        e.CheckpointSkipped("step 8: a file is cut off"),
        e.Finished("completed", 100, 50.0),
    ):
        view.on_event(event)
    first = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert first == [
        "play:",
        "2",
        "step",
        "paused",
        "resumed",
        "learning",
        "memory",
        "a",
        "completed",
    ]


def test_what_comes_before_a_long_wait_is_sent_at_once(monkeypatch):
    sent = []
    monkeypatch.setattr(
        TrainingPanel, "send", lambda self, content, buffers=None: sent.append(buffers)
    )
    view = NotebookView("waits")
    for number in range(1, 31):
        view.on_event(step(number))
    view.on_event(e.Evaluated(step=30, epoch=1.0, loss=2.0, metrics={}))
    assert sent
    assert view.panel._points.news()[1] == b""
