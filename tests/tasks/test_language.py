"""The language of a text is found out, and languages go by code or name."""

import pytest

from llm_magics.errors import InputError, UnknownLanguage
from llm_magics.text.language import check_language, detect


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Hello", "en"),
        ("A dog runs.", "en"),
        ("Guten Morgen", "de"),
        ("Der kleine Hund schläft.", "de"),
        ("Bonjour à tous", "fr"),
        ("你好", "zh"),
        ("今日はいい天気", "ja"),
        ("مرحبا", "ar"),
        ("La vita è bella", "it"),
    ],
)
def test_short_texts_in_common_languages_are_told_apart(text, code):
    assert detect(text)[0] == code


def test_probability_grows_with_the_text():
    short, long = (
        detect("Der Hund"),
        detect("Der Hund schläft heute den ganzen Tag im Garten unter dem Baum."),
    )
    assert short[0] == long[0] == "de"
    assert 0 < short[1] < long[1] <= 1


def test_only_the_languages_asked_for_are_considered():
    text = "Det er en god dag i dag, sagde manden."
    assert detect(text)[0] == "da"
    assert detect(text, among=["en", "de", "no"])[0] == "no"
    assert detect("Der Hund schläft.", among=["fr"]) == ("fr", 1.0)


def test_a_language_the_detector_does_not_know_is_left_out():
    assert detect("Good morning", among=["en", "digits"]) == ("en", 1.0)


@pytest.mark.parametrize("text", ["12345", "😀", "  ", "...", "\ud800"])
def test_text_without_letters_has_no_language(text):
    with pytest.raises(InputError, match="--from"):
        detect(text)


def test_languages_go_by_code_name_or_locale():
    assert [check_language(word) for word in ("de", "German", "de-AT", "deu_Latn", " GERMAN ")] == [
        "de"
    ] * 5


def test_an_unknown_language_is_met_with_the_nearest():
    with pytest.raises(UnknownLanguage, match=r"did you mean de \(German\)"):
        check_language("Germn")
