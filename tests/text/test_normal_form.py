"""Sentences as strangers paste them, and what a model reads in their place."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magics.text.normal_form import normal_form

PLAIN = "The cat sleeps on the sofa."


@pytest.mark.parametrize(
    "given_text",
    [
        PLAIN,
        PLAIN.replace(" cat", "\u00a0cat"),
        PLAIN.replace(" on", "\u2009on"),
        PLAIN.replace(" on", "\u202fon"),
        PLAIN.replace("cat", "c\u200bat"),
        PLAIN.replace(" on", "  on"),
        PLAIN.replace(" on", "\ton"),
        "\ufeff" + PLAIN,
        PLAIN.replace("sofa", "so\u00adfa"),
        "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in PLAIN),
        PLAIN.replace(" cat", "&nbsp;cat"),
        PLAIN.replace(" cat", "\u3000cat"),
    ],
)
def test_odd_blanks_and_widths_are_read_as_plain_ones(given_text):
    form = normal_form(given_text, "en")
    assert form.text == PLAIN
    assert form.restore("Die Katze schläft.") == "Die Katze schläft."


def test_a_sentence_in_normal_form_is_read_character_for_character():
    for text in (PLAIN, "¿Dónde está?", "Straße 5, 3. Stock!", '"Go," he said.', "C'est l'été."):
        form = normal_form(text, "fr")
        assert (form.text, form.restore("x.")) == (text, "x.")


def test_decomposed_accents_are_composed():
    assert normal_form(unicodedata.normalize("NFD", "C'est l'été."), "fr").text == "C'est l'été."


def test_capitals_are_read_small_and_given_back():
    form = normal_form("WHERE IS THE STATION? I'M LATE", "en")
    assert form.text == "Where is the station? I'm late."
    assert form.restore("Wo ist die Straße?") == "WO IST DIE STRASSE?"


@pytest.mark.parametrize("name", ["NATO", "USA", "A B C D E", "The NATO met.", "III", "你好世界"])
def test_abbreviations_and_scripts_without_capitals_stay(name):
    assert normal_form(name, "en", final_mark=False).text == name


def test_a_missing_final_mark_is_added_and_taken_off_again():
    form = normal_form("the cat sleeps", "en")
    assert form.text == "the cat sleeps."
    assert form.restore("die Katze schläft.") == "die Katze schläft"
    assert form.restore("猫在睡觉。") == "猫在睡觉"
    assert form.restore("und dann...") == "und dann..."
    assert form.restore("die Katze schläft!") == "die Katze schläft!"
    assert normal_form("我喜欢猫", "zh").text == "我喜欢猫。"
    assert normal_form("ฉันรักแมว", "th").text == "ฉันรักแมว"


def test_entities_are_read_and_markup_is_escaped_again():
    form = normal_form("Tom &amp; Jerry&#39;s &lt;cat&gt;.", "en")
    assert form.text == "Tom & Jerry's <cat>."
    assert form.restore("Tom & Jerry <3.") == "Tom &amp; Jerry &lt;3."
    assert normal_form("AT&T; R&D.", "en").text == "AT&T; R&D."


def test_curly_apostrophes_come_back():
    form = normal_form("Don\u2019t go \u2026", "en")
    assert form.text == "Don't go ..."
    assert form.restore("N'y va pas.") == "N\u2019y va pas."


def test_joiners_between_indic_letters_and_in_emoji_stay():
    for text in ("क्\u200dष।", "می\u200cخواهم.", "👩\u200d💻 works."):
        assert normal_form(text, "hi").text == text


def test_full_width_marks_stay_in_chinese_and_digits_do_not():
    assert normal_form("我有３只猫，你呢？", "zh").text == "我有3只猫，你呢？"


@given(st.text(max_size=40), st.sampled_from(["en", "zh", "de", "th"]))
def test_the_normal_form_of_a_normal_form_is_itself(text, language):
    once = normal_form(text, language)
    if not once.was_capitals and not once.had_entities:
        again = normal_form(once.text, language)
        assert again.text == once.text or "&" in once.text
