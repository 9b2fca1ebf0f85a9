import math
import re
from xml.etree import ElementTree

import pytest

from llm_magics.display.charts.curve import Series, loss_curve_svg, nice_ticks

NS = "{http://www.w3.org/2000/svg}"


def drawn(*series, **how):
    root = ElementTree.fromstring(loss_curve_svg(list(series), title="a <title>", **how))
    paths = [
        [tuple(map(float, point.split())) for point in re.split("[ML]", path.get("d"))[1:]]
        for path in root.iter(f"{NS}path")
    ]
    return root, paths, [node.text for node in root.iter(f"{NS}text")]


def test_higher_values_are_higher_up_and_all_are_inside():
    root, (path,), _ = drawn(Series("validation", [1, 2, 3], [3.0, 1.0, 2.0]))
    heights = [y for _, y in path]
    assert heights[0] < heights[2] < heights[1]
    assert all(0 <= x <= 640 and 0 <= y <= 280 for x, y in path)
    assert root.get("width") == "640"


def test_each_line_is_named_at_its_end_with_its_last_value():
    _, paths, texts = drawn(
        Series("train", [1, 2], [2, 1.5]), Series("validation", [1, 2], [2.1, 1.25])
    )
    assert len(paths) == 2
    assert {"train 1.5", "validation 1.25", "a <title>"} <= set(texts)


def test_train_is_thin_and_the_others_bold():
    root, _, _ = drawn(Series("train", [1, 2], [2, 1]), Series("validation", [1, 2], [2, 1]))
    thin, bold = (float(path.get("stroke-width")) for path in root.iter(f"{NS}path"))
    assert thin < bold


def test_values_that_are_not_finite_are_left_out():
    _, (path,), _ = drawn(Series("a", [1, 2, 3, 4], [1, math.nan, math.inf, 2]))
    assert len(path) == 2


def test_values_not_above_zero_are_left_out_on_the_log_scale():
    _, (path,), _ = drawn(Series("a", [1, 2, 3, 4], [1, 0, -1, 10]), log_y=True)
    assert len(path) == 2


def test_equal_ratios_are_equal_distances_on_the_log_scale():
    _, (path,), _ = drawn(Series("a", [1, 2, 3], [100, 10, 1]), log_y=True)
    (_, high), (_, middle), (_, low) = path
    assert middle - high == pytest.approx(low - middle, abs=0.11)


@pytest.mark.parametrize("series", [[], [Series("a", [], [])], [Series("a", [1], [math.nan])]])
def test_without_a_value_the_picture_says_so(series):
    _, paths, texts = drawn(*series)
    assert paths == []
    assert "no values yet" in texts


@pytest.mark.parametrize("log_y", [False, True])
def test_one_point_is_a_dot(log_y):
    root, _, _ = drawn(Series("a", [5], [2.5]), log_y=log_y)
    (dot,) = root.iter(f"{NS}circle")
    assert 0 < float(dot.get("cy")) < 280


def test_a_long_line_is_thinned_but_keeps_its_spike():
    values = [1.0] * 40_000
    values[23_456] = 50.0
    _, (path,), _ = drawn(Series("a", list(range(40_000)), values))
    assert len(path) <= 1502
    assert min(y for _, y in path) < 60


def test_constant_values_are_drawn_in_the_middle():
    _, (path,), _ = drawn(Series("a", [1, 2], [3.0, 3.0]))
    assert len({y for _, y in path}) == 1


def test_ticks_are_round_and_inside_the_range():
    assert nice_ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert nice_ticks(-1, 1, 4) == [-1, -0.5, 0, 0.5, 1]
