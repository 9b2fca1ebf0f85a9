"""Answers of chat models: what counts of them, however they are wrapped, and where the names
stand."""

from __future__ import annotations

import pytest

from llm_magics.tasks.understand.entities import placed
from llm_magics.tasks.understand.prompts import (
    json_values,
    locate,
    parse_entities,
    parse_labels,
    parse_phrases,
    parse_sentiment,
)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"sentiment": "positive"}', "positive"),
        ('Sure! Here it is:\n```json\n{"sentiment": "Negative"}\n```\nHope it helps', "negative"),
        ("The sentiment is **positive**.", "positive"),
        ("Neutral", "neutral"),
        ("It is not positive but negative.", "negative"),
        ("It isn't really negative; positive, I would say.", "positive"),
        ("It could be positive or negative.", None),
        ("", None),
        ('{"sentiment": "joyful"}', None),
        ('{"sentiment": {"label": "neutral", "score": 0.4}}', "neutral"),
        ("{" * 5000, None),
    ],
)
def test_the_mood_is_found_in_any_answer_that_says_one(answer, expected):
    assert parse_sentiment(answer) == expected


@pytest.mark.parametrize(
    ("answer", "several", "expected"),
    [
        ('{"labels": ["Sports"]}', False, ("sports",)),
        ('["food", "sports"]', False, ("food",)),
        ('["food", "sports", "food", "cars"]', True, ("food", "sports")),
        ('{"labels": []}', True, ()),
        ('{"labels": []}', False, None),
        ("I would choose: food.", False, ("food",)),
        ("seafood and sportsmen", False, None),
        ("Both sports and food fit.", True, ("sports", "food")),
        ('{"label": "world news"}', False, ("world news",)),
        ("none", True, None),
    ],
)
def test_labels_are_only_those_that_were_given(answer, several, expected):
    assert parse_labels(answer, ["sports", "food", "world news"], several) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            '[{"text": "Ada", "type": "PERSON"}, {"text": "Berlin", "type": "loc"}]',
            [("Ada", "PER"), ("Berlin", "LOC")],
        ),
        (
            'Here they are: {"entities": [{"name": "Ada", "category": "PER"}]} Done.',
            [("Ada", "PER")],
        ),
        ('{"PER": ["Ada", "Bob"], "LOC": []}', [("Ada", "PER"), ("Bob", "PER")]),
        ('[["Ada", "PER"], ["Acme", "organization"]]', [("Ada", "PER"), ("Acme", "ORG")]),
        ('[{"text": "Ada"}, {"type": "PER"}, 5, null, "x"]', [("Ada", "MISC")]),
        ('[{"text": "Ada", "type": "PER"}', [("Ada", "PER")]),  # the list was cut off
        ("There are no entities.", []),
        ("[]", []),
        ("[[[[[", []),
    ],
)
def test_entities_are_read_from_whatever_json_there_is(answer, expected):
    assert parse_entities(answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('["wind tunnel", "bridge", "bridge"]', ["wind tunnel", "bridge"]),
        ('{"phrases": ["a b"]}', ["a b"]),
        (
            "1. **wind tunnel**\n2) bridge\n- arch\n\nThat is all.",
            ["wind tunnel", "bridge", "arch"],
        ),
        ("wind tunnel", []),
    ],
)
def test_phrases_are_those_of_a_list(answer, expected):
    assert parse_phrases(answer) == expected


@pytest.mark.parametrize(
    ("text", "mention", "expected"),
    [
        ("Ada met Ada, not Adam.", "Ada", [(0, 3), (8, 11)]),
        ("New\n York is big", "New York", [(0, 9)]),
        ("berlin and BERLIN", "Berlin", [(0, 6), (11, 17)]),
        ("Berlin, berlin", "Berlin", [(0, 6)]),
        ("我在北京市工作。", "北京", [(2, 4)]),
        ("cats", "cat", []),
        ("a", " ", []),
        ("C++ (fast)", "C++", [(0, 3)]),
        ("Zoë's", "Zoë", [(0, 3)]),
    ],
)
def test_mentions_are_located_as_whole_words(text, mention, expected):
    assert locate(text, mention) == expected
    assert all(
        text[start:end].split()[0].casefold() == mention.split()[0].casefold()
        for start, end in expected
    )


def test_longer_names_win_and_what_is_not_in_the_text_is_counted():
    text = "New York Times wrote about New York."
    found, missing = placed(
        text, [("New York", "LOC"), ("New York Times", "ORG"), ("Chicago", "LOC")]
    )
    assert [(one.text, one.kind, one.start) for one in found] == [
        ("New York Times", "ORG", 0),
        ("New York", "LOC", 27),
    ]
    assert missing == 1


def test_json_is_found_within_prose_and_broken_json_is_skipped():
    assert list(json_values('{broken} then {"a": [1, {"b": 2}]} and [3]')) == [
        {"a": [1, {"b": 2}]},
        [3],
    ]
