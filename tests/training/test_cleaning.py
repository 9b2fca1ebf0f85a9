"""What cleaning does to rows, and that its report says so."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magics.display.html import render
from llm_magics.errors import RecipeError
from llm_magics.training.data.cleaning import Report, clean
from llm_magics.training.data.rows import Rows
from llm_magics.training.recipe.recipe import Cleaning

PAIR = ("source", "target")
OFF = {"normalize": "none", "whitespace": False, "deduplicate": False, "remove_overlap": False}


def rows(values, name="x.jsonl") -> Rows:
    return Rows(list(values), [f"{name}:{n}" for n in range(1, len(values) + 1)], [])


def cleaned(train, validation=(), test=(), roles=PAIR, codes=None, **options):
    parts = {"train": rows(train), "validation": rows(validation), "test": rows(test)}
    return clean(parts, roles, Cleaning(**options), codes or {})


def test_unicode_is_composed_and_white_space_collapsed_in_every_part():
    raw, composed = ("  cafe\u0301\u00a0 ﬁn\n", "a"), ("café ﬁn", "a")
    parts, _ = cleaned([raw], [raw], [raw], remove_overlap=False)
    assert [part.values for part in parts.values()] == [[composed]] * 3
    assert cleaned([raw], normalize="nfkc")[0]["train"].values == [("café fin", "a")]
    assert cleaned([raw], **OFF)[0]["train"].values == [raw]


def test_lines_of_a_language_models_text_stay_lines():
    assert cleaned([("a\n\nb",)], roles=("text",))[0]["train"].values == [("a\n\nb",)]
    assert cleaned([("a\n\nb", "1")], roles=("text", "label"))[0]["train"].values == [("a b", "1")]


def test_of_equal_training_rows_the_first_stays():
    same = [("a", "b"), ("a", "c"), ("a ", "b"), ("A", "b")]
    parts, report = cleaned(same, same, remove_overlap=False)
    assert parts["validation"].values == [("a", "b"), ("a", "c"), ("a", "b"), ("A", "b")]
    assert parts["train"].values == [("a", "b"), ("a", "c"), ("A", "b")]
    assert parts["train"].places == ["x.jsonl:1", "x.jsonl:2", "x.jsonl:4"]
    assert report.examples["duplicates"] == ["x.jsonl:3: a | b"]
    assert cleaned(same, deduplicate=False)[0]["train"].values == [
        ("a", "b"),
        ("a", "c"),
        ("a", "b"),
        ("A", "b"),
    ]


def test_training_rows_that_share_a_side_with_a_held_out_pair_leave():
    train = [("One  two", "x"), ("y", "Straße"), ("z", "one two"), ("w", "v")]
    parts, report = cleaned(train, [("ONE TWO", "q")], [("r", "STRASSE")])
    assert parts["train"].values == [
        ("z", "one two"),
        ("w", "v"),
    ]  # a source is no overlap with a target
    assert report.parts["train"] == {
        "duplicates": 0,
        "overlap with validation": 1,
        "overlap with test": 1,
        "kept": 2,
    }
    assert parts["validation"].values == [("ONE TWO", "q")]
    assert len(cleaned(train, train, remove_overlap=False)[0]["train"].values) == 4


def test_overlap_of_labelled_rows_is_in_their_text_and_of_questions_in_question_and_context_together():
    parts, _ = cleaned([("a", "1"), ("b", "1")], [("A", "2")], roles=("text", "label"))
    assert parts["train"].values == [("b", "1")]
    parts, _ = cleaned(
        [(["a", "b"], ["X", "Y"]), (["a"], ["X"])],
        [(["A", "b"], ["Z", "Z"])],
        roles=("tokens", "tags"),
    )
    assert parts["train"].values == [(["a"], ["X"])]
    questions = [
        ("context one", "Who?", [("one", 8)]),
        ("context two", "Who?", []),
        ("context one", "Why?", []),
    ]
    parts, _ = cleaned(questions, [questions[0]], roles=("context", "question", "answers"))
    assert parts["train"].values == questions[1:]


def test_a_context_keeps_its_characters_so_that_answers_stay_where_they_are():
    row = ("a\u0308  b c", " Wo\u0308? ", [("b", 4)])
    parts, _ = cleaned([row, row], roles=("context", "question", "answers"))
    assert parts["train"].values == [("a\u0308  b c", "Wö?", [("b", 4)])]


def test_filters_leave_training_rows_out_under_their_first_reason_and_only_count_elsewhere():
    some = [("ab", "abc"), ("a", "abc"), ("a" * 20, "b" * 20), ("ab", "abcdefg"), ("abc", "abcdef")]
    parts, report = cleaned(
        some, some, min_characters=2, max_characters=10, max_ratio=2.0, remove_overlap=False
    )
    assert parts["train"].values == [some[0], some[4]]
    assert parts["validation"].values == some
    wanted = {"too short": 1, "too long": 1, "length ratio": 1, "duplicates": 0}
    assert report.parts["train"] == {**wanted, "kept": 2}
    assert report.parts["validation"] == {**wanted, "kept": 5}


def test_labels_have_no_length():
    parts, _ = cleaned([("a long text", "1")], roles=("text", "label"), min_characters=5)
    assert parts["train"].values == [("a long text", "1")]


def test_a_row_without_text_leaves_every_part():
    parts, report = cleaned([("a", "b"), (" ", "c")], [("d", "\u00a0")])
    assert parts["train"].values == [("a", "b")]
    assert parts["validation"].values == []
    assert report.parts["train"]["empty"] == report.parts["validation"]["empty"] == 1


def test_rows_in_another_language_leave_where_that_is_certain():
    good = (
        "She has been living in Berlin for three years.",
        "Sie wohnt seit drei Jahren in Berlin.",
    )
    train = [
        good,
        (good[1], good[1]),
        (good[0], good[0]),
        ("No.", "No."),
        ("Elle habite à Berlin depuis trois ans.", good[1]),
        ("Wikipedia 2012", "Wikipedia 2012, Berlin"),
    ]
    held_out = [(good[1], "Das ist etwas ganz anderes.")]
    codes = {"source": "en-GB", "target": "de"}
    parts, report = cleaned(train, held_out, codes=codes, languages=True)
    assert parts["train"].values == [good, train[3], train[5]]
    assert report.parts["train"]["language"] == 3
    assert report.parts["validation"] == {"language": 1, "duplicates": 0, "kept": 1}


def test_the_filter_by_language_says_what_it_needs():
    with pytest.raises(RecipeError, match="data.source_language"):
        cleaned([("a", "b")], languages=True)
    with pytest.raises(RecipeError, match="'xx' cannot be recognised"):
        cleaned([("a", "b")], codes={"source": "xx"}, languages=True)


def test_the_report_survives_json_and_shows_counts_and_examples():
    bad = "<b>bold</b> " + "x" * 200
    parts = {
        "train": Rows(
            [("a", "b"), (bad, "b"), (bad, "b")], ["f:1", "f:2", "f:4"], ["f:3: not a JSON object"]
        ),
        "test": rows([("c", "d")]),
    }
    _, report = clean(parts, PAIR, Cleaning(), {})
    again = Report.from_dict(json.loads(json.dumps(report.to_dict())))
    assert again == report
    assert str(report) == "2 training rows, 1 test; left out: 1 duplicates, 1 bad rows in train"
    assert report.read == {"train": 3, "test": 1}
    assert report.skipped == {"train": 1, "test": 0}
    assert report.examples["bad rows"] == ["f:3: not a JSON object"]
    example = report.examples["duplicates"][0]
    assert example.startswith("f:4: <b>bold</b> xxx")
    assert len(example) < 80
    lines = [line.split() for line in report.plain().splitlines()]
    assert ["duplicates", "1", "0"] in lines
    assert ["kept", "2", "1"] in lines
    html = render(report.node())
    assert "&lt;b&gt;bold" in html
    assert "<b>" not in html
    assert str(Report()) == "no rows were read"


def test_a_report_holds_three_examples_of_a_reason():
    _, report = cleaned([("a", "b")] * 9)
    assert len(report.examples["duplicates"]) == 3
    assert report.parts["train"] == {"duplicates": 8, "kept": 1}


TEXT = st.text(st.sampled_from("aA e\u0301é\n\u00a0"), min_size=1, max_size=4).filter(str.strip)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=8), st.lists(st.tuples(TEXT, TEXT), max_size=4))
def test_nothing_is_left_to_clean_in_what_was_cleaned_and_every_row_is_accounted_for(train, test):
    parts, report = cleaned(train, test=test)
    assert sum(report.parts["train"].values()) == len(train)
    assert len(parts["train"].values) == len(parts["train"].places) == report.parts["train"]["kept"]
    again, second = clean(parts, PAIR, Cleaning(), {})
    assert again == parts
    assert sum(second.parts["train"].values()) == second.parts["train"]["kept"]
    assert len(set(parts["train"].values)) == len(parts["train"].values)
    for side in (0, 1):
        folded = {
            part: {row[side].casefold() for row in parts[part].values} for part in ("train", "test")
        }
        assert not folded["train"] & folded["test"]


def test_parts_without_rows_are_cleaned_too():
    parts, report = cleaned([])
    assert parts["train"] == Rows([], [], [])
    assert report.parts["train"] == {"duplicates": 0, "kept": 0}
