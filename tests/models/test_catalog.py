"""Languages and recommendations."""

from __future__ import annotations

import pytest

from llm_magics.errors import UnknownLanguage
from llm_magics.models.catalog import (
    catalogued,
    find_language,
    language_name,
    languages,
    native_language,
    nllb_code,
    recommend,
)  # fmt: skip
from llm_magics.models.reference import parse_reference


@pytest.mark.parametrize(
    ("text", "code"),
    [("de", "de"), ("German", "de"), (" GERMAN ", "de"), ("deu_Latn", "de"), ("deu", "de"), ("pt-BR", "pt"),
     ("zh-Hans", "zh"), ("jap", "ja"), ("no", "no"), ("Norwegian Bokmål", "nb"), ("yue", "yue")],
)  # fmt: skip
def test_a_language_may_be_a_code_or_a_name(text, code):
    assert find_language(text) == code


@pytest.mark.parametrize(("text", "hint"), [("Germann", "de"), ("Frensh", "fr"), ("Chinees", "zh")])
def test_a_mistyped_language_gets_a_suggestion(text, hint):
    with pytest.raises(UnknownLanguage, match=f"did you mean {hint} "):
        find_language(text)


@pytest.mark.parametrize("text", ["", "xx", "klingon", "\ud800", "d" * 1000])
def test_what_is_no_language_is_refused(text):
    with pytest.raises(UnknownLanguage):
        find_language(text)


def test_every_language_is_found_by_its_name_and_its_codes():
    for code, name in languages().items():
        assert find_language(code) == code
        assert find_language(name) == code
        if nllb_code(code) and code not in ("no", "nb"):  # Norwegian is written in Bokmål unless said otherwise
            assert find_language(nllb_code(code)) == code


def test_the_catalogue_agrees_with_the_codes_of_transformers():
    from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES as M2M
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as NLLB

    from llm_magics.models.catalog import _catalog

    assert _catalog()["m2m100"]["languages"].split() == M2M["m2m100"]
    assert {nllb_code(code) for code in languages() if nllb_code(code)} <= set(NLLB)
    assert set(M2M["m2m100"]) <= set(languages())


def test_each_family_has_its_own_code_for_a_language():
    assert native_language("de", ("en", "de")) == "de"
    assert native_language("de", ("eng_Latn", "deu_Latn")) == "deu_Latn"
    assert native_language("de", ("en_XX", "de_DE")) == "de_DE"
    assert native_language("zh", ("zho_Hant", "zho_Hans")) == "zho_Hans"
    assert native_language("de", ("fra", "deu")) == "deu"
    assert native_language("de", ("fra", "spa")) is None


def test_a_pair_has_its_own_model_first_and_many_language_models_after():
    names = [str(choice.reference) for choice in recommend("translate", "en", "de")]
    assert names[:2] == ["Helsinki-NLP/opus-mt-en-de", "facebook/m2m100_418M"]
    assert str(recommend("translate", "en", "ja")[0].reference) == "Helsinki-NLP/opus-mt-en-jap"
    assert str(recommend("translate", "de", "zh")[0].reference) == "facebook/m2m100_418M"
    assert recommend("translate", "en", "en") == []
    assert recommend("translate", "br", "eo") == []


def test_summaries_always_have_the_embedded_summariser_last():
    assert str(recommend("summarize", "en")[0].reference) == "facebook/bart-large-cnn"
    for code in ("en", "de", "fr", "zh"):
        assert str(recommend("summarize", code)[-1].reference) == "embedded:extractive"


def test_every_recommended_name_is_a_reference():
    for name in catalogued():
        assert parse_reference(name).kind == "hub"
    assert language_name("de") == "German"
    assert language_name("xx") == "xx"
