"""Rows of one article are all learnt from, or all held out."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from llm_magics.errors import DataError, RecipeError
from llm_magics.training.data.corpus import check_columns, load_corpus
from llm_magics.training.recipe.recipe import recipe_from_dict

KINDS = {"text": "text", "label": "label"}
SIZES = {"a": 40, "b": 10, "c": 30, "d": 15, "e": 5}


def rows():
    return [
        {"text": f"{article} says {n}", "label": n % 2, "article": article}
        for article, size in SIZES.items()
        for n in range(size)
    ]


def recipe(**data):
    return recipe_from_dict(
        {"task": "classify", "data": {"source": "notebook", "group": "article", **data}}
    )


def articles(part):
    return Counter(text.split()[0] for text, _ in part)


def test_no_group_is_in_two_parts_and_every_row_is_in_one():
    corpus = load_corpus(
        recipe(test_groups=["b", "e"], validation_share=0.3), KINDS, {"train": rows()}
    )
    parts = [articles(corpus[part]) for part in ("train", "validation", "test")]
    assert sum(parts, Counter()) == SIZES
    assert parts[2] == {"b": 10, "e": 5}
    assert all(not parts[i].keys() & parts[j].keys() for i, j in ((0, 1), (0, 2), (1, 2)))
    assert parts[1].total() >= 0.3 * 85
    assert len(corpus.places) == parts[0].total()


def test_the_same_groups_are_held_out_every_time_and_others_with_another_seed():
    drawn = [
        articles(load_corpus(recipe(seed=seed), KINDS, {"train": rows()}).validation).keys()
        for seed in (0, 0, 1, 2, 3)
    ]
    assert drawn[0] == drawn[1]
    assert any(other != drawn[0] for other in drawn[2:])


def test_validation_rows_that_are_named_are_taken_and_no_group_is_drawn():
    held = [{"text": "z says 1", "label": 0}]
    corpus = load_corpus(recipe(), KINDS, {"train": rows(), "validation": held})
    assert corpus.validation == [("z says 1", "0")]
    assert len(corpus.train) == 100


def test_a_file_needs_the_column_in_its_training_rows_only(tmp_path):
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    (tmp_path / "test.jsonl").write_text(json.dumps({"text": "a test", "label": 1}) + "\n")
    made = recipe(
        source="files", train=str(tmp_path / "train.jsonl"), test=str(tmp_path / "test.jsonl")
    )
    check_columns(made, KINDS)
    corpus = load_corpus(made, KINDS)
    assert corpus.test == [("a test", "1")]
    assert all(place.startswith("train.jsonl:") for place in corpus.places)
    with pytest.raises(DataError, match="no column 'chapter' for group"):
        load_corpus(made.with_settings({"data.group": "chapter"}), KINDS)


def test_pairs_in_columns_named_by_their_languages_may_have_groups_too():
    pairs = [{"en": f"word {n}", "de": f"Wort {n}", "book": "ab"[n % 2]} for n in range(10)]
    data = {
        "source": "notebook",
        "source_language": "en",
        "target_language": "de",
        "group": "book",
        "test_groups": ["a"],
    }
    made = recipe_from_dict({"task": "translate", "data": {**data, "validation_share": 0.0}})
    corpus = load_corpus(made, {"source": "text", "target": "text"}, {"train": pairs})
    assert corpus.test == [(f"word {n}", f"Wort {n}") for n in range(0, 10, 2)]
    assert corpus.train == [(f"word {n}", f"Wort {n}") for n in range(1, 10, 2)]


def test_a_group_that_is_not_there_and_too_few_groups_are_refused(tmp_path):
    with pytest.raises(
        DataError,
        match=r"names 'x', which no training row has in its column 'article'; there is 'a', 'b'",
    ):
        load_corpus(recipe(test_groups=["x"]), KINDS, {"train": rows()})
    with pytest.raises(DataError, match="has 1 values beside data.test_groups"):
        load_corpus(recipe(test_groups=["b", "c", "d", "e"]), KINDS, {"train": rows()})
    (tmp_path / "text.txt").write_text("no columns")
    with pytest.raises(DataError, match="a text file has none"):
        load_corpus(
            recipe_from_dict(
                {
                    "task": "language-model",
                    "data": {"train": str(tmp_path / "text.txt"), "group": "x"},
                }
            ),
            {"text": "text"},
        )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"source": "number-words", "group": "x"}, "names a column"),
        (
            {"source": "files", "train": "a.jsonl", "test_groups": ["a"]},
            "say which one in data.group",
        ),
        (
            {
                "source": "files",
                "train": "a.jsonl",
                "group": "x",
                "test": "b.jsonl",
                "test_groups": ["a"],
            },
            "give one of them",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(data, said):
    with pytest.raises(RecipeError, match=said):
        recipe_from_dict({"task": "translate", "data": data})
