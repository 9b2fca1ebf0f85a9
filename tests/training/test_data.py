"""From a recipe to its three parts: found, read, held out and cleaned."""

from __future__ import annotations

import gzip
import json

import pytest

from llm_magics.errors import DataError, RecipeError
from llm_magics.training.data.corpus import find_file, load_corpus
from llm_magics.training.data.number_words import LANGUAGES, number_words, spell
from llm_magics.training.recipe.recipe import recipe_from_dict

PAIR = {"source": "text", "target": "text"}


def rows(count, start=0):
    return [{"en": f"sentence {n}", "de": f"Satz {n}"} for n in range(start, start + count)]


def recipe(**tables):
    tables.setdefault("data", {"source": "notebook"})
    tables["data"].setdefault("fields", {"source": "en", "target": "de"})
    return recipe_from_dict({"task": "translate", **tables})


def test_a_file_is_found_in_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "x.jsonl").write_text("")
    monkeypatch.setenv("LLM_MAGICS_DATA", str(tmp_path))
    assert find_file("x.jsonl") == tmp_path / "x.jsonl"
    with pytest.raises(DataError, match=r"'y.jsonl' not found.*LLM_MAGICS_DATA"):
        find_file("y.jsonl")


def test_number_words_are_spelt_and_held_out_numbers_never_occur_in_training():
    assert spell(42, "de") == "zweiundvierzig"
    parts = number_words(LANGUAGES, 500, seed=3)
    digits = {part: {target for _, target in rows} for part, rows in parts.items()}
    assert sum(map(len, digits.values())) == 501
    assert not digits["train"] & (digits["test"] | digits["validation"])
    assert not digits["test"] & digits["validation"]
    with pytest.raises(RecipeError, match="'xx'"):
        spell(1, "xx")


def test_a_share_of_the_rows_is_held_out_the_same_every_time():
    fifth = recipe(data={"source": "notebook", "validation_share": 0.2})
    made = [load_corpus(fifth, PAIR, {"train": rows(50)}) for _ in (1, 2)]
    assert made[0].validation == made[1].validation
    assert (len(made[0].train), len(made[0].validation)) == (40, 10)
    assert not set(made[0].train) & set(made[0].validation)
    assert len(made[0].places) == 40
    other = load_corpus(
        recipe(data={"source": "notebook", "validation_share": 0.2, "seed": 1}),
        PAIR,
        {"train": rows(50)},
    )
    assert other.validation != made[0].validation


def test_rows_that_are_held_out_do_not_stay_in_training_and_the_report_says_how_many():
    corpus = load_corpus(
        recipe(), PAIR, {"train": rows(20), "validation": rows(3), "test": rows(2, start=5)}
    )
    assert len(corpus.train) == 15
    assert "5" in str(corpus.report)
    kept = load_corpus(
        recipe(cleaning={"remove_overlap": False}), PAIR, {"train": rows(20), "validation": rows(3)}
    )
    assert len(kept.train) == 20


def test_files_of_one_recipe_are_read_with_their_places(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_MAGICS_DATA", str(tmp_path))
    with gzip.open(tmp_path / "train.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows(9))
    corpus = load_corpus(recipe(data={"train": "train.jsonl.gz", "validation_share": 0.0}), PAIR)
    assert corpus.places[3] == "train.jsonl.gz:4"
    assert corpus.train[3] == ("sentence 3", "Satz 3")
    limited = load_corpus(
        recipe(data={"train": "train.jsonl.gz", "validation_share": 0.0, "rows": 4}), PAIR
    )
    assert len(limited.train) == 4


def test_more_training_files_join_the_first_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_MAGICS_DATA", str(tmp_path))
    files = {
        "train": rows(3),
        "val": rows(2, start=50),
        "more": rows(4, start=10),
        "last": rows(1, start=20),
    }
    for name, some in files.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    named = {"train": "train.jsonl", "validation": "val.jsonl"}
    corpus = load_corpus(recipe(data={**named, "also": ["more.jsonl", "last.jsonl"]}), PAIR)
    assert [source for source, _ in corpus.train] == [
        f"sentence {n}" for n in (0, 1, 2, 10, 11, 12, 13, 20)
    ]
    assert corpus.places[3:5] == ["more.jsonl:1", "more.jsonl:2"]
    assert len(corpus.validation) == 2
    overlapping = load_corpus(recipe(data={**named, "also": ["val.jsonl"]}), PAIR)
    assert len(overlapping.train) == 3, "what is held out is kept out of the added rows, too"
    with pytest.raises(DataError, match=r"'absent.jsonl' not found"):
        load_corpus(recipe(data={**named, "also": ["absent.jsonl"]}), PAIR)
    (tmp_path / "bad.jsonl").write_text('{"en": "a", "de": ""}\n')
    with pytest.raises(DataError, match=r"bad.jsonl:1: column 'de'"):
        load_corpus(recipe(data={**named, "also": ["bad.jsonl"]}), PAIR)
    with pytest.raises(RecipeError, match="data.also names more training files"):
        recipe(data={"source": "notebook", "also": ["more.jsonl"]})


def test_the_end_of_a_text_is_held_out_and_its_line_ends_stay(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("one\n\ntwo  three\n" * 10)
    made = recipe_from_dict(
        {"task": "language-model", "data": {"train": str(path), "validation_share": 0.1}}
    )
    corpus = load_corpus(made, {"text": "text"})
    assert corpus.train[0][0] + corpus.validation[0][0] == path.read_text()
    assert len(corpus.validation[0][0]) == 16


def test_columns_called_by_their_languages_are_found_and_an_error_is_the_first_one(tmp_path):
    spoken = recipe_from_dict(
        {
            "task": "translate",
            "data": {"source": "notebook", "source_language": "en", "target_language": "de"},
        }
    )
    assert load_corpus(spoken, PAIR, {"train": rows(9)}).train[0][0].startswith("sentence")
    with pytest.raises(DataError, match="'source'"):
        load_corpus(spoken, PAIR, {"train": [{"fr": "x", "it": "y"}]})


def test_back_translations_are_added_to_training_only():
    corpus = load_corpus(
        recipe(),
        PAIR,
        {"train": rows(20), "validation": rows(2, start=30)},
        translate_back=lambda texts: [text.replace("Satz", "phrase") for text in texts],
    )
    assert ("phrase 7", "Satz 7") in corpus.train
    assert ("sentence 7", "Satz 7") in corpus.train
    assert len(corpus.train) == 40 == len(corpus.places)
    assert len(corpus.validation) == 2


def test_a_run_whose_data_came_from_a_notebook_asks_for_them():
    with pytest.raises(DataError, match="give it again"):
        load_corpus(recipe(), PAIR, {})


def test_a_role_that_the_task_does_not_have_is_refused():
    with pytest.raises(DataError, match="the role 'text'; translate has source, target"):
        load_corpus(
            recipe(data={"source": "notebook", "fields": {"text": "en"}}), PAIR, {"train": rows(3)}
        )
