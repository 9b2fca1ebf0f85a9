"""Made-up words, written again and again: what a row tells and what it does not."""

from __future__ import annotations

from llm_magics.training.data.corpus import load_corpus
from llm_magics.training.data.repeated_sequences import ALPHABET, repeated_sequences
from llm_magics.training.recipe.recipe import load_recipe
from llm_magics.training.run.build import model_class


def test_in_a_row_each_letter_is_followed_by_one_other_but_for_the_ends_of_words():
    for (row,) in repeated_sequences(200, seed=1)["train"]:
        assert set(row) <= set(ALPHABET)
        following = {
            letter: {row[i + 1] for i in range(len(row) - 1) if row[i] == letter}
            for letter in set(row)
        }
        starts = {
            row[0],
            *(letter for after in following.values() if len(after) > 1 for letter in after),
        }
        assert len(starts) <= 5  # one a word at most
        assert 12 * 3 <= len(row) <= 12 * 6


def test_the_letters_of_one_row_say_nothing_about_those_of_another():
    rows = repeated_sequences(400, seed=2)
    first = [row[:3] for (row,) in rows["train"]]
    assert len(set(first)) > 390
    assert len({letter for start in first for letter in start}) == len(ALPHABET)
    assert not {row for (row,) in rows["train"]} & {
        row for part in ("validation", "test") for (row,) in rows[part]
    }


def test_the_seed_decides_and_a_twentieth_is_held_out():
    assert (
        repeated_sequences(40, seed=3)
        == repeated_sequences(40, seed=3)
        != repeated_sequences(40, seed=4)
    )
    assert {part: len(rows) for part, rows in repeated_sequences(40, seed=3).items()} == {
        "train": 40,
        "validation": 2,
        "test": 2,
    }


def test_the_recipe_reads_as_many_rows_as_it_says():
    recipe = load_recipe("induction").with_settings({"data.rows": 30})
    corpus = load_corpus(recipe, {"text": "text"})
    assert len(corpus.train) == 30
    assert corpus.places[7] == "repeated sequence 7"


def test_a_recipe_says_whether_the_output_layer_has_the_matrix_of_the_embedding():
    recipe = load_recipe("induction")
    assert model_class(recipe, 40)[1]["shared_embeddings"] is False
    assert (
        "shared_embeddings"
        not in model_class(recipe.with_settings({"tokenizer.shared": True}), 40)[1]
    )
    recurrent = recipe.with_settings({"model.architecture": "lstm"})
    assert model_class(recurrent, 40)[1]["shared_embeddings"] is False
