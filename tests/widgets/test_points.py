import math
import struct
from itertools import pairwise

from llm_magics.widgets.training.points import Points


def triples(data):
    return [struct.unpack_from("<3f", data, at) for at in range(0, len(data), 12)]


def test_the_first_news_are_the_whole_and_later_ones_what_was_added():
    points = Points()
    train, validation = points.series(), points.series()
    points.add(train, 1, 0.5)
    points.add(validation, 1, 0.75)
    assert (points.news()[0], points.generation) == (0, 1)
    points.add(train, 2, 0.25)
    start, data = points.news()
    assert (start, triples(data)) == (2, [(train, 2, 0.25)])
    assert points.news() == (3, b"")
    assert points.generation == 1


def test_the_whole_holds_everything_and_news_go_on_after_it():
    points = Points()
    number = points.series()
    for step in range(5):
        points.add(number, step, step / 2)
    assert triples(points.whole()) == [(0, step, step / 2) for step in range(5)]
    points.add(number, 5, 2.5)
    assert [triples(part) if isinstance(part, bytes) else part for part in points.news()] == [
        5,
        [(0, 5, 2.5)],
    ]


def test_a_long_series_is_thinned_by_halves_and_stays_even():
    points = Points()
    number, other = points.series(most=100), points.series()
    points.add(other, 7, 1.0)
    for step in range(1000):
        points.add(number, step, 2.0 * step)
    kept = points.of(number)
    assert 50 <= len(kept) <= 100
    gaps = {later - earlier for (earlier, _), (later, _) in pairwise(kept)}
    assert gaps == {16}
    assert all(value == 2 * step for step, value in kept)
    assert points.of(other) == [(7, 1.0)]
    start, data = points.news()
    assert start == 0, "what was taken away must be taken away in the browser, too"
    assert len(triples(data)) == len(kept) + 1


def test_steps_that_a_resumed_run_takes_again_replace_those_it_lost():
    points = Points()
    number = points.series()
    for step in (1, 2, 3, 4):
        points.add(number, step, 1.0)
    points.news()
    for step in (3, 4, 5):
        points.add(number, step, 2.0)
    assert points.of(number) == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]
    assert points.news()[0] == 0


def test_values_that_are_not_finite_are_kept():
    points = Points()
    number = points.series()
    points.add(number, 1, math.nan)
    points.add(number, 2, math.inf)
    assert [str(value) for _, value in points.of(number)] == ["nan", "inf"]
