import pytest

from llm_magics.display.html import render
from llm_magics.display.progress import duration, progress_node, progress_text


def test_the_text_bar_is_as_full_as_the_work():
    assert (
        progress_text(6, 24, "rows", 8) == "█" * 6 + "─" * 18 + "  6 of 24 · 25 % · 8 s left · rows"
    )
    assert progress_text(24, 24).count("█") == 24


def test_an_unknown_total_shows_the_count_alone():
    assert progress_text(1200, 0) == "1,200"
    assert "of" not in render(progress_node(1200, 0))


def test_the_bar_tells_a_screen_reader_where_it_is():
    html = render(progress_node(3, 4, "<b>"))
    assert 'role="progressbar"' in html
    assert 'aria-valuenow="3"' in html
    assert "width:75.0%" in html
    assert "<b>" not in html


def test_more_than_all_is_all():
    assert "width:100.0%" in render(progress_node(5, 4))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (125, "2 min 05 s"), (4320, "1 h 12 min")]
)
def test_durations_read_as_people_say_them(seconds, text):
    assert duration(seconds) == text
