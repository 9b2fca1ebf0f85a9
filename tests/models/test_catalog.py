"""Languages and recommendations."""

from __future__ import annotations

import re

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
)
from llm_magics.models.catalog_entries import CLASSES, TASKS, catalog, entries, pair_entry
from llm_magics.models.reference import parse_reference

LINK = re.compile(r"https://[a-z0-9.-]+\.[a-z]{2,}/[\w./~-]+")
MAIN_LANGUAGES = ("en", "de", "fr", "es", "zh")
FACTS = {"parameters_m", "megabytes", "licence", "languages", "paper", "code", "chat"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("de", "de"),
        ("German", "de"),
        (" GERMAN ", "de"),
        ("deu_Latn", "de"),
        ("deu", "de"),
        ("pt-BR", "pt"),
        ("zh-Hans", "zh"),
        ("jap", "ja"),
        ("no", "no"),
        ("Norwegian Bokmål", "nb"),
        ("yue", "yue"),
    ],
)
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
        if nllb_code(code) and code not in (
            "no",
            "nb",
        ):  # Norwegian is written in Bokmål unless said otherwise
            assert find_language(nllb_code(code)) == code


def test_the_catalogue_agrees_with_the_codes_of_transformers():
    from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES as M2M
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as NLLB

    (m2m,) = (entry for entry in entries("translate") if entry.repository == "facebook/m2m100_418M")
    assert list(m2m.languages) == M2M["m2m100"]
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


# What the file must hold of every model


@pytest.mark.parametrize("name", catalog()["models"])
def test_what_is_known_of_a_model_is_complete_and_of_the_right_kind(name):
    facts = catalog()["models"][name]
    assert set(facts) | {"chat"} == FACTS, "a fact is missing, or one that nobody reads is there"
    reference = parse_reference(name)
    assert str(reference) == name
    assert reference.kind in ("hub", "package")
    assert type(facts["parameters_m"]) is int
    assert type(facts["megabytes"]) is int
    assert re.search(r"[A-Z]", facts["licence"])
    assert type(facts.get("chat", False)) is bool
    for link in (facts["paper"], facts["code"]):
        assert LINK.fullmatch(link), link
    known = facts["languages"].split()
    assert known
    assert known == sorted(set(known))
    assert known == ["nllb"] or set(known) <= set(languages())


@pytest.mark.parametrize("name", catalog()["models"])
def test_the_size_of_a_model_fits_its_number_of_parameters(name):
    """Weights have 2 or 4 bytes a parameter; what is tied may be in the files more than once."""
    facts = catalog()["models"][name]
    assert 1.9 <= facts["megabytes"] / facts["parameters_m"] <= 5.5


@pytest.mark.parametrize("task", TASKS)
def test_a_task_names_each_model_once_and_every_machine_has_one(task):
    rows = catalog()[task]
    assert all(set(row) == {"repository", "classes"} for row in rows)
    names = [row["repository"] for row in rows]
    assert len(names) == len(set(names))
    assert set(names) <= set(catalog()["models"])
    found = entries(task)
    assert all(entry.classes and set(entry.classes) <= set(CLASSES) for entry in found)
    assert set(CLASSES) == {machine for entry in found for machine in entry.classes}


def test_every_model_is_recommended_for_some_task_and_nothing_else_is_in_the_file():
    used = {entry.repository for task in TASKS for entry in entries(task)}
    assert used == set(catalog()["models"])
    assert set(catalog()) == {"languages", "aliases", "opus_mt", "models", *TASKS}


@pytest.mark.parametrize("task", TASKS)
def test_what_is_for_small_machines_fits_them(task):
    for entry in entries(task):
        if "small-gpu" in entry.classes:
            assert 2 * entry.parameters < 0.8 * 8e9, (
                f"{entry.repository}: bfloat16 weights leave no room in 8 GB"
            )
        if "cpu" in entry.classes:
            assert 4 * entry.parameters < 4e9, (
                f"{entry.repository}: float32 weights of 4 GB are no first choice for a CPU"
            )
        if entry.is_large:
            assert entry.parameters > 2e9, f"{entry.repository}: would do for a smaller GPU"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("language", MAIN_LANGUAGES)
def test_the_main_languages_have_a_model_for_every_task(task, language):
    other = "de" if language != "de" else "fr"
    assert recommend(task, language, other), f"{task} in {language}"
    if task == "translate":
        assert recommend(task, other, language)


def test_the_models_of_pairs_are_complete_too():
    opus = catalog()["opus_mt"]
    for side in ("from_english", "to_english"):
        codes = opus[side].split()
        assert codes == sorted(set(codes))
        assert set(codes) <= set(languages()) - {"en"}
    entry = pair_entry("en", "fr")
    assert (entry.repository, entry.languages) == ("Helsinki-NLP/opus-mt-en-fr", ("en", "fr"))
    assert entry.classes == ("cpu", "small-gpu")
    assert LINK.fullmatch(entry.paper)
    assert LINK.fullmatch(entry.code)
    assert pair_entry("br", "eo") is None


def test_a_model_of_a_package_that_is_not_installed_is_not_recommended(monkeypatch):
    names = [str(choice.reference) for choice in recommend("similarity", "en")]
    monkeypatch.setattr("llm_magics.models.catalog.package_names", lambda: [])
    without = [str(choice.reference) for choice in recommend("similarity", "en")]
    assert [name for name in names if name != "package:minilm"] == without
    assert without[0] == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_language_nobody_knows_has_no_model_and_neither_has_an_unknown_task():
    assert recommend("entities", "br") == []
    assert recommend("dance") == []
