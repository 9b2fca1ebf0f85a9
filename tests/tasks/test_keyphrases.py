"""Key phrases without a model, in four languages."""

from __future__ import annotations

import pytest

from llm_magics.text import keyphrases, unspaced
from llm_magics.text.keyphrases import has_stop_words, key_phrases
from llm_magics.text.unspaced import is_free

TEXTS = {
    "en": (
        "The wind tunnel is old. Every bridge is tested in the wind tunnel before it is built. "
        "The bridge of Washington "
        "State was not.",
        {"wind tunnel", "bridge", "Washington State"},
    ),
    "de": (
        "Der Ausbau erneuerbarer Energien ist langsam. Ohne Stromnetze nützen erneuerbare "
        "Energien wenig, und die "
        "Stromnetze fehlen.",
        {"erneuerbarer Energien", "Stromnetze"},
    ),
    "fr": (
        "L'eau de la Seine vient de loin. Le bassin de la Seine est grand, et le transport "
        "fluvial y est important. Le "
        "transport fluvial est ancien.",
        {"Seine", "transport fluvial"},
    ),
    "zh": (
        "卷积神经网络用于图像识别。循环神经网络用于自然语言处理。神经网络需要大量数据。",
        {"神经网络"},
    ),
}


@pytest.mark.parametrize("language", TEXTS)
def test_what_recurs_and_stands_between_stop_words_is_found(language):
    text, expected = TEXTS[language]
    found = key_phrases(text, language, 8)
    assert expected <= {phrase.text for phrase in found}
    assert [phrase.score for phrase in found] == sorted(
        (phrase.score for phrase in found), reverse=True
    )
    assert found[0].score == 1
    for phrase in found:
        assert " ".join(text[slice(*phrase.places[0])].split()) == phrase.text
        assert all(0 <= start < end <= len(text) for start, end in phrase.places)


def test_a_phrase_and_its_part_do_not_stand_side_by_side():
    found = [
        phrase.text
        for phrase in key_phrases("A neural network learns. The neural network is deep.", "en")
    ]
    assert "neural network" in found
    assert not {"neural", "network"} & set(found)


def test_stop_words_articles_and_possessives_are_no_part_of_a_phrase():
    found = {
        phrase.text
        for phrase in key_phrases(
            "L'Europe et la France. L'Europe est grande, la France aussi.", "fr"
        )
    }
    assert {"Europe", "France"} <= found
    assert {
        phrase.text
        for phrase in key_phrases("Alice's garden is Alice's pride. Alice smiles.", "en")
    } >= {"Alice"}


def test_there_are_none_without_words_and_only_so_many_as_asked():
    assert (
        key_phrases("", "en")
        == key_phrases("... 12 !", "en")
        == key_phrases("the of and", "en")
        == []
    )
    assert len(key_phrases(TEXTS["en"][0], "en", 2)) == 2


def test_every_occurrence_is_counted_whatever_its_ending_or_capitals():
    phrase = key_phrases("Transformers read. A transformer reads all; transformers attend.", "en")[
        0
    ]
    assert [len(phrase.places), phrase.text] == [3, "Transformers"]


def test_languages_with_stop_words_are_known():
    assert all(map(has_stop_words, ("en", "de", "fr", "zh")))
    assert not has_stop_words("ilo")


def without_a_segmenter(monkeypatch):
    for module in (keyphrases, unspaced):
        monkeypatch.setattr(module, "segmenter", lambda language: None)


MEDICINE = (
    "观察补肾活血汤治疗老年高血压的疗效。补肾活血汤组的疗效好，有效性高。治疗组服用补肾活血汤，对照组口服西药。"
    "结果表明补肾活血汤可以改善老年高血压患者的血管内皮功能。"
)


def test_chinese_phrases_keep_different_company(monkeypatch):
    without_a_segmenter(monkeypatch)
    found = [phrase.text for phrase in key_phrases(MEDICINE, "zh", 5)]
    assert {"补肾活血汤", "老年高血压"} <= set(found)
    assert not {"肾活血汤", "补肾活血", "年高血压"} & set(found)


def test_a_string_is_free_where_two_characters_stand_before_and_behind_it():
    text = "神经网络好，神经网络学。用神经网络。"
    places = [(at, at + 3) for at in range(len(text)) if text.startswith("神经网", at)]
    assert not is_free(text, places)  # 络 always follows
    assert is_free(text, [(start, end + 1) for start, end in places])


def test_phrases_that_stand_there_once_give_way_to_those_that_recur(monkeypatch):
    without_a_segmenter(monkeypatch)
    assert "血管内皮功能" not in {phrase.text for phrase in key_phrases(MEDICINE, "zh", 20)}
    assert key_phrases("补肾活血汤。", "zh")[0].text == "补肾活血汤"


def test_with_a_segmenter_chinese_phrases_are_nouns_and_cut_no_word():
    pytest.importorskip("rjieba", reason="pip install 'llm-magics-notebook[chinese]'")
    found = {phrase.text for phrase in key_phrases(MEDICINE, "zh", 20)}
    assert {"补肾活血汤", "疗效"} <= found
    assert not {"治疗", "服用", "改善", "有效"} & found  # verbs
    for phrase in key_phrases(MEDICINE, "zh", 20):
        for start, end in phrase.places:
            assert MEDICINE[start:end] == phrase.text
