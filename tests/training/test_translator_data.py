"""Data of the translators: weights, rows that the project makes, and no sentence of a test."""

from __future__ import annotations

import json
import random

import pytest

from llm_magics.errors import DataError, RecipeError
from llm_magics.training.data.answers import expanded, first
from llm_magics.training.data.corpus import load_corpus
from llm_magics.training.data.leaks import is_sentence, key_of, texts_of_test
from llm_magics.training.data.made_rows import KINDS, made_rows
from llm_magics.training.data.mix import drawn, weights_of
from llm_magics.training.recipe.recipe import load_recipe, parse_recipe, shipped_recipes

TEXT = {"source": "text", "target": "text"}


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_a_pattern_stands_for_every_choice():
    assert expanded("[I am|I'm] tired[ today|].") == [
        "I am tired today.",
        "I am tired.",
        "I'm tired today.",
        "I'm tired.",
    ]
    assert first("[I am|I'm] tired[ today|].") == "I am tired today."


def test_the_name_before_the_line_tells_the_weight():
    weights = weights_of(["a/train.jsonl:1", "b/train.jsonl:7", "phrases:2"], {"b/train.jsonl": 3})
    assert weights == [1.0, 3.0, 1.0]


def test_whole_weights_repeat_and_shares_are_drawn():
    rows = drawn([2.0, 0.0] + [0.25] * 4_000, random.Random(1))
    assert rows[:2] == [0, 0]
    assert 1 not in rows
    assert 800 < len(rows) - 2 < 1_200


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pair", ["en-de", "de-en", "en-fr", "fr-en", "en-zh", "zh-en"])
def test_made_rows_are_whole_and_the_same_for_a_seed(kind, pair):
    source, target = pair.split("-")
    train = [(f"This is number {n}.", f"Das ist Nummer {n}.") for n in range(60)]
    rows = made_rows(kind, source, target, train, seed=3)
    assert rows
    assert rows == made_rows(kind, source, target, train, seed=3)
    assert all(text.strip() and "{" not in text for row in rows for text in row)


def test_numbers_of_a_template_are_in_both_languages():
    for source, target in made_rows("templates", "en", "de", [], seed=0):
        digits = ["".join(sorted(c for c in text if c.isdigit())) for text in (source, target)]
        assert digits[0] == digits[1], (source, target)


def test_an_unknown_kind_of_made_rows_is_named():
    with pytest.raises(RecipeError, match="'proverbs'; known: phrases"):
        made_rows("proverbs", "en", "de", [], 0)


def test_three_words_are_a_sentence_and_two_are_the_language():
    assert is_sentence("The cat sleeps.")
    assert not is_sentence("Good night!")
    assert is_sentence("猫在沙发上睡觉。")
    assert not is_sentence("你好！")
    assert key_of("THE CAT, sleeps!") == key_of("the cat sleeps")


def test_a_test_file_of_another_form_is_named(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.jsonl"):
        list(texts_of_test(path, ["en"]))


def corpus_of(tmp_path, **data):
    train = written(
        tmp_path / "train.jsonl",
        [
            {"en": "the cat sleeps", "de": "die Katze schläft"},
            {"en": "Where is the dog?", "de": "Wo ist der Hund?"},
            {"en": "I see you.", "de": "Ich sehe dich."},
            {"en": "Hello.", "de": "Hallo."},
        ],
    )
    test = written(
        tmp_path / "held.jsonl",
        [
            {"kind": "sentence", "en": ["The cat sleeps."], "de": ["Die Katze [schläft|ruht]."]},
            {"kind": "phrase", "en": ["I see you."], "de": ["Ich sehe dich."]},
            {"kind": "sentence", "en": ["Hello."], "de": ["Hallo."]},
        ],
    )
    recipe = parse_recipe("[data]\ntrain = 'train.jsonl'\nvalidation_share = 0.0").with_settings(
        {
            "data.train": train,
            "data.fields": {"source": "en", "target": "de"},
            "data.source_language": "en",
            "data.target_language": "de",
            "data.held_out": (test,),
            **{f"data.{name}": value for name, value in data.items()},
        }
    )
    return load_corpus(recipe, TEXT)


def test_no_sentence_of_a_test_is_learnt_and_the_report_counts_it(tmp_path):
    corpus = corpus_of(tmp_path)
    assert [row[0] for row in corpus.train] == ["Where is the dog?", "I see you.", "Hello."]
    assert corpus.report.parts["train"]["sentence of a test"] == 1


def test_made_rows_join_the_training_rows_with_places_of_their_own(tmp_path):
    corpus = corpus_of(tmp_path, made=("phrases",), weights={"phrases": 3.0})
    assert ("Good night.", "Gute Nacht.") in corpus.train
    assert len(corpus.places) == len(corpus.train)
    weights = weights_of(corpus.places, {"phrases": 3.0})
    assert {row[0]: weight for row, weight in zip(corpus.train, weights, strict=True)}["Hi!"] == 3.0


@pytest.mark.parametrize("name", [name for name in shipped_recipes() if name.startswith("mix-")])
def test_every_weight_of_a_mix_is_of_data_that_the_recipe_reads(name):
    data = load_recipe(name).data
    assert set(data.weights) == {data.train, *data.also, *data.made}


def test_nothing_that_ships_learns_from_the_gpl_sets():
    for name in shipped_recipes():
        data = load_recipe(name).data
        assert not any("gpl" in file or "ding" in file for file in (data.train, *data.also)), name


def test_a_mix_is_for_translators_only():
    with pytest.raises(RecipeError, match="data.made"):
        parse_recipe("task = 'classify'\n[data]\ntrain = 'a.jsonl'\nmade = ['phrases']")
    with pytest.raises(RecipeError, match="expected a table of numbers"):
        parse_recipe("[data]\ntrain = 'a.jsonl'\nweights = { a = 'often' }")
