"""The widget of the next word: its traits are the reading, clicks make the next text, nothing is
lost by an error."""

from __future__ import annotations

import math
import struct

import pytest

from llm_magics.display.html import el
from llm_magics.display.result import Provenance, Result
from llm_magics.errors import InputError
from llm_magics.widgets import next_word as module
from llm_magics.widgets.next_word import NextWord, Place, Reading


class Words(Result):
    """A result that shows its text."""

    provenance = Provenance(model="words")

    def __init__(self, text):
        self.text = text

    def node(self):
        return el("p", {}, self.text)


NEXT = ((" dog", 0.5, True), ("s", 0.25, True), ("</s>", 0.125, False))


def reading(text, *, masked=False):
    """Every word a token, as probable as half the word before, with three candidates."""
    if "?" in text:
        raise InputError("a question")
    places, start = [], 0
    for number, word in enumerate(text.split(" ")):
        known = (2.0**-number, float(number), number, NEXT) if number else (None, None, None, ())
        places.append(Place(start, start + len(word), *known))
        start += len(word) + 1
    masks = [number for number, word in enumerate(text.split(" ")) if word == "[MASK]"]
    if not masked:
        places.append(Place(len(text), len(text), None, None, None, NEXT))
    return Reading(text, places, masks, masked, f"{len(places)} places", "words", Words(text))


@pytest.fixture
def view():
    return NextWord(reading("the cat sleeps"), reading)


def numbers(packed):
    return [
        None if math.isnan(value) else value
        for value in struct.unpack(f"<{len(packed) // 4}f", packed)
    ]


def test_the_traits_are_the_reading(view):
    assert view.pieces == ["", "the", " ", "cat", " ", "sleeps", ""]
    assert numbers(view.figures) == [None, None, None, 0.5, 1, 1, 0.25, 2, 2]
    assert view.candidates == [[], *([[" dog", "s", "</s>"]] * 3)]
    assert numbers(view.chances) == [0.5, 0.25, 0.125] * 3
    assert view.fixed == [[1, 2], [2, 2], [3, 2]]
    assert (view.selected, view.summary, view.text) == (3, "4 places", "the cat sleeps")


def test_a_candidate_goes_behind_the_text_or_in_the_place_of_a_token(view):
    assert view.choose(0) == "the cat sleeps dog"
    assert view.choose(1) == "the cat sleeps dogs"
    assert view.choose(0, 1) == "the dog sleeps dogs"
    assert view.choose(0, 2, drop=True) == "the dog dog"
    assert view.result.text == view.text == "".join(view.pieces)
    assert view.selected == 3


def test_undo_and_redo_ask_no_model(view):
    view.choose(0)
    view.choose(0)
    asked = view._read
    view._read = None
    view.undo()
    view.undo()
    assert (view.text, view.can_undo, view.can_redo) == ("the cat sleeps", False, True)
    view.undo()
    view.redo()
    assert view.text == "the cat sleeps dog"
    view._read = asked
    view.choose(1)
    assert (view.text, view.can_redo) == ("the cat sleeps dogs", False)


def test_text_set_from_python_is_read(view):
    view.text = "a bee"
    assert view.pieces == ["", "a", " ", "bee", ""]
    with pytest.raises(InputError, match="a question"):
        view.text = "really?"
    assert view.text == "a bee"


@pytest.mark.parametrize(
    ("candidate", "place", "said"),
    [
        (3, None, "no candidate 3"),
        (0, 9, "at place 9"),
        (0, 0, "no candidate 0"),
        (2, None, "</s> is no text"),
        (-1, 1, "no candidate -1"),
    ],
)
def test_what_cannot_be_chosen_is_refused(view, candidate, place, said):
    with pytest.raises(ValueError, match=said):
        view.choose(candidate, place)


def test_masks_are_what_is_looked_at_first(view):
    masked = NextWord(
        reading("the [MASK] sleeps", masked=True), lambda text: reading(text, masked=True)
    )
    assert (masked.masks, masked.selected, masked.is_masked) == ([1], 1, True)
    assert masked.choose(0, 1) == "the dog sleeps"
    with pytest.raises(ValueError, match="say which place"):
        masked.choose(0)


def click(view, **wish):
    view._received(view, {"version": view.version, **wish}, [])
    assert view.wait(10)


def test_clicks_are_followed_on_a_thread(view):
    click(view, do="choose", place=3, candidate=0, drop=False)
    assert view.text == "the cat sleeps dog"
    click(view, do="choose", place=1, candidate=0, drop=True)
    assert view.text == "the dog"
    click(view, do="undo")
    assert view.text == "the cat sleeps dog"
    click(view, do="redo")
    click(view, do="read", text="another text")
    assert view.text == "another text"
    assert not view.busy


def test_a_click_on_what_is_no_longer_shown_is_not_followed(view):
    before = view.version
    click(view, do="choose", place=3, candidate=0, drop=False)
    click(view, do="choose", place=3, candidate=0, drop=False, version=before)
    assert view.text == "the cat sleeps dog"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"do": "read", "text": "why?"}, "a question"),
        ({"do": "choose", "place": 3, "candidate": 2}, "no text"),
        ({"do": "choose", "place": "3", "candidate": 0}, "whole numbers"),
    ],
)
def test_what_goes_wrong_is_said_and_nothing_is_lost(view, wish, said):
    click(view, **wish)
    assert said in view.error
    assert (view.text, view.busy) == ("the cat sleeps", False)
    click(view, do="choose", place=3, candidate=0)
    assert (view.text, view.error) == ("the cat sleeps dog", "")


def test_messages_that_nobody_knows_are_ignored(view):
    for message in ("x", {}, {"do": "fly"}, None):
        view._received(view, message, [])
    assert view.text == "the cat sleeps"


def test_of_a_long_text_the_end_is_shown_and_all_of_it_is_kept(view, monkeypatch):
    monkeypatch.setattr(module, "_SHOWN_TOKENS", 2)
    view.text = "one two three four"
    assert view.pieces == [" ", "three", " ", "four", ""]
    assert (view.earlier, view.selected) == (2, 2)
    click(view, do="choose", place=0, candidate=0)
    assert view.text == "one two dog four"
    click(view, do="read", text=" changed")
    assert view.text == "one two changed"


def test_a_saved_notebook_shows_it_without_a_kernel(view):
    data, about = view._repr_mimebundle_()
    assert data["text/html"] == "<p>the cat sleeps</p>"
    assert data["text/plain"] == "the cat sleeps"
    assert "application/vnd.jupyter.widget-view+json" in data
    assert about["llm_magics"]["model"] == "words"
