"""Faults that can be seen in a model's sentence: each found where it is, none where it is not."""

from __future__ import annotations

import pytest

from llm_magics.text.checks import faults, is_loop

SOURCE = "The old man lives in the house."


def kinds(source, output, **options):
    return [fault.kind for fault in faults(source, output, **options)]


@pytest.mark.parametrize(
    ("source", "output", "expected"),
    [
        (SOURCE, "", ["empty"]),
        (SOURCE, " \n", ["empty"]),
        ("It costs 20 euros.", "Es kostet 20000 Oroge.", ["number"]),
        ("He is 47 years old.", "Er ist vier Jahre alt.", ["number"]),
        ("Hello %1$s!", "Hallo Peter!", ["lost"]),
        ("See <b>this</b>.", "Sieh das.", ["lost"]),
        (SOURCE, SOURCE, ["untranslated"]),
        (SOURCE, "Der alte Mann wohnt im Haus \ufffd.", ["undecoded"]),
        (SOURCE, "Der Mann der Mann der Mann der Mann der Mann.", ["loop"]),
        ("WHERE", "Tieh CSSS-SSS-SSS-SA-SAA.", ["loop"]),
        ("Yes.", "Ja, das ist eine sehr lange Antwort auf eine kurze Frage.", ["length"]),
        ("The committee rejected the proposal of the new government today.", "Ja.", ["length"]),
    ],
)
def test_a_fault_is_found(source, output, expected):
    assert kinds(source, output) == expected


@pytest.mark.parametrize(
    ("source", "output"),
    [
        (SOURCE, "Der alte Mann wohnt in dem Haus."),
        ("It costs 1,000.50 euros.", "Es kostet 1.000,50 Euro."),
        ("The train leaves at 9:30.", "火车在9点30分开。"),
        ("Hello %1$s!", "Hallo %1$s!"),
        ("Anna Schmidt", "Anna Schmidt"),
        ("No, no, no!", "Nein, nein, nein!"),
        ("I like cats.", "我喜欢猫。"),
        ("我喜欢在公园里和我的朋友们一起散步。", "I like to walk in the park with my friends."),
        ("OK.", "In Ordnung."),
        ("", ""),
    ],
)
def test_a_good_sentence_has_none(source, output):
    assert kinds(source, output) == []


def test_a_text_in_the_language_of_its_source_may_repeat_it():
    assert kinds("The cat sleeps. It rains.", "The cat sleeps.", same_language=True) == []
    assert kinds(SOURCE, "Der alte Mann", was_cut=True) == ["cut"]


def test_a_loop_of_the_source_is_not_the_models():
    text = "la la la la la la la la"
    assert is_loop(text)
    assert kinds(text, text.replace("la", "na"), same_language=True) == []


def test_prose_is_not_a_loop():
    assert not is_loop(
        "The cat that sat on the mat saw the rat that the dog had seen, and the dog saw the cat."
    )
    assert not is_loop("1000000000 ---------- ... == ****")
