import math
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from llm_magics.display.charts.tuning import (
    Axis,
    importance_svg,
    learning_rate_svg,
    parallel_coordinates_svg,
    short_names,
)
from llm_magics.display.tuning_board import Board, Trial, ranked, settings_text, small_multiples_svg

AXES = (
    Axis("optimizer.lr", None, 1e-4, 1e-2, log=True),
    Axis("model.norm_first", (True, False)),
    Axis("seed", None, 3, 3),
)
SVG = "{http://www.w3.org/2000/svg}"


def trial(number, value, state="complete", **more):
    return Trial(
        number, {"optimizer.lr": 1e-3, "model.norm_first": True, "seed": 3}, state, value, **more
    )


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def paths(svg):
    """Points of every path."""
    return [
        [tuple(map(float, point.split())) for point in node.get("d")[1:].split("L")]
        for node in ElementTree.fromstring(svg).iter(f"{SVG}path")
    ]


def test_complete_trials_come_first_and_the_better_ones_before_the_others():
    trials = [
        trial(0, 2.0),
        trial(1, 1.0, "pruned"),
        trial(2, 3.0),
        trial(3, None, "failed"),
        trial(4, math.nan, "failed"),
    ]
    assert [t.number for t in ranked(trials, greater_is_better=False)] == [0, 2, 1, 3, 4]
    assert [t.number for t in ranked(trials, greater_is_better=True)] == [2, 0, 1, 3, 4]
    assert Board("x", trials=tuple(trials)).best.number == 0
    assert Board("x", greater_is_better=True, trials=tuple(trials)).best.number == 2
    assert Board("x", trials=(trial(1, 1.0, "pruned"),)).best is None


def test_all_curves_share_one_scale():
    low, high = (
        trial(i, None, steps=(10, 20), losses=losses, total_steps=20)
        for i, losses in enumerate([(1, 1), (2, 2)])
    )
    (one, other) = paths(small_multiples_svg(Board("x", trials=(low, high))))
    assert one[0][1] > other[0][1], "a lower loss lies lower"
    assert (one[1][0] - one[0][0]) == pytest.approx(other[1][0] - other[0][0])


def test_a_trial_that_went_astray_does_not_flatten_the_others():
    curves = [(4.0, 2.0), (1e6, 1e6)]
    svg = small_multiples_svg(
        Board(
            "x",
            trials=tuple(
                trial(i, None, steps=(1, 2), losses=losses, total_steps=2)
                for i, losses in enumerate(curves)
            ),
        )
    )
    assert "logarithmic" in texts(svg)[0]
    assert paths(svg)[0][1][1] - paths(svg)[0][0][1] > 2


def test_states_are_written_and_the_best_is_marked():
    shown = texts(
        small_multiples_svg(
            Board("x", trials=(trial(0, 1.0), trial(1, 2.0, "pruned"), trial(2, None, "queued")))
        )
    )
    assert "t000 ★ best" in shown
    assert {"complete", "pruned", "queued"} <= set(shown)


def test_of_many_trials_the_best_and_the_latest_are_drawn():
    shown = texts(
        small_multiples_svg(Board("x", trials=tuple(trial(i, abs(i - 7) + 1.0) for i in range(90))))
    )
    labels = {text.split()[0] for text in shown if text.startswith("t0")}
    assert len(labels) == 40
    assert {"t007", "t089"} <= labels
    assert "40 of 90" in shown[0]


def test_places_follow_the_kind_of_a_setting():
    rate, norm, seed = AXES
    assert [rate.at(value) for value in (1e-4, 1e-3, 1e-2)] == pytest.approx([0, 0.5, 1])
    assert (norm.at(True), norm.at(False)) == (0.25, 0.75)
    assert seed.at(3) == 0.5
    assert Axis("dropout", None, 0.0, 0.4).at(0.1) == pytest.approx(0.25)
    assert [text for _, text in norm.ticks()] == ["true", "false"]
    assert sorted(place for place, _ in rate.ticks()) == pytest.approx([0, 0.5, 1])


def test_the_parallel_coordinates_end_at_the_value_and_the_best_is_drawn_last():
    svg = parallel_coordinates_svg(
        AXES, [(trial(0, 1.0).settings, 1.0), (trial(1, 5.0).settings, 5.0)], "loss", False
    )
    worst, best = paths(svg)
    assert len(best) == len(AXES) + 1
    assert best[-1][1] > worst[-1][1], "1 lies below 5"
    nodes = list(ElementTree.fromstring(svg).iter(f"{SVG}path"))
    assert float(nodes[1].get("stroke-width")) > float(nodes[0].get("stroke-width"))
    assert {"lr", "norm_first", "seed", "loss"} <= set(texts(svg))


def test_bars_are_as_long_as_the_shares():
    svg = importance_svg({"a": 0.25, "b": 0.75})
    widths = [float(node.get("width")) for node in ElementTree.fromstring(svg).iter(f"{SVG}rect")]
    assert widths[0] == pytest.approx(3 * widths[1], rel=1e-3)
    assert {"75 %", "25 %"} <= set(texts(svg))


def test_names_are_as_short_as_they_can_be():
    assert short_names(["optimizer.lr", "model.dropout", "lora.dropout"]) == [
        "lr",
        "model.dropout",
        "lora.dropout",
    ]
    assert (
        settings_text({"optimizer.lr": 0.00123456, "model.norm_first": False})
        == "lr=0.001235 norm_first=false"
    )


def test_the_rates_lie_evenly_in_their_logarithm_and_both_suggestions_are_marked():
    rates = [10.0**e for e in (-4, -3, -2, -1)]
    svg = learning_rate_svg(
        rates, [3, 2, 1, math.inf], [3, 2, 1, 1.5], {"steepest": 1e-3, "minimum / 10": 1e-3}
    )
    raw, smoothed = paths(svg)
    steps = [after[0] - before[0] for before, after in pairwise(smoothed)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)
    assert len(raw) == 3, "what is not finite is left out"
    assert {"steepest 0.001", "minimum / 10 0.001"} <= set(texts(svg))


def test_a_board_without_trials_can_be_shown():
    board = Board("x", wanted=3)
    assert board.summary() == "x: no trial yet of 3 wanted"
    ElementTree.fromstring(small_multiples_svg(board))
    assert board.table().rows == ()
