"""Key phrases without a model, in four languages."""

from __future__ import annotations

import pytest

from llm_magics.tasks.keyphrases import has_stop_words, key_phrases

TEXTS = {
    "en": ("The wind tunnel is old. Every bridge is tested in the wind tunnel before it is built. The bridge of Washington "
           "State was not.", {"wind tunnel", "bridge", "Washington State"}),
    "de": ("Der Ausbau erneuerbarer Energien ist langsam. Ohne Stromnetze nützen erneuerbare Energien wenig, und die "
           "Stromnetze fehlen.", {"erneuerbarer Energien", "Stromnetze"}),
    "fr": ("L'eau de la Seine vient de loin. Le bassin de la Seine est grand, et le transport fluvial y est important. Le "
           "transport fluvial est ancien.", {"Seine", "transport fluvial"}),
    "zh": ("卷积神经网络用于图像识别。循环神经网络用于自然语言处理。神经网络需要大量数据。", {"神经网络"}),
}


@pytest.mark.parametrize("language", TEXTS)
def test_what_recurs_and_stands_between_stop_words_is_found(language):
    text, expected = TEXTS[language]
    found = key_phrases(text, language, 8)
    assert expected <= {phrase.text for phrase in found}
    assert [phrase.score for phrase in found] == sorted((phrase.score for phrase in found), reverse=True)
    assert found[0].score == 1
    for phrase in found:
        assert " ".join(text[slice(*phrase.places[0])].split()) == phrase.text
        assert all(0 <= start < end <= len(text) for start, end in phrase.places)


def test_a_phrase_and_its_part_do_not_stand_side_by_side():
    found = [phrase.text for phrase in key_phrases("A neural network learns. The neural network is deep.", "en")]
    assert "neural network" in found
    assert not {"neural", "network"} & set(found)


def test_stop_words_articles_and_possessives_are_no_part_of_a_phrase():
    found = {phrase.text for phrase in key_phrases("L'Europe et la France. L'Europe est grande, la France aussi.", "fr")}
    assert {"Europe", "France"} <= found
    assert {phrase.text for phrase in key_phrases("Alice's garden is Alice's pride. Alice smiles.", "en")} >= {"Alice"}


def test_there_are_none_without_words_and_only_so_many_as_asked():
    assert key_phrases("", "en") == key_phrases("... 12 !", "en") == key_phrases("the of and", "en") == []
    assert len(key_phrases(TEXTS["en"][0], "en", 2)) == 2


def test_every_occurrence_is_counted_whatever_its_ending_or_capitals():
    phrase = key_phrases("Transformers read. A transformer reads all; transformers attend.", "en")[0]
    assert [len(phrase.places), phrase.text] == [3, "Transformers"]


def test_languages_with_stop_words_are_known():
    assert all(map(has_stop_words, ("en", "de", "fr", "zh")))
    assert not has_stop_words("ilo")
