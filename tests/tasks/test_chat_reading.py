"""What chat models say of texts, put together: long texts in parts, answers that say nothing,
places in the whole text.

Tiny models write no sense, so the answers are given here; `test_understand` runs the same path with
a real model.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from llm_magics.tasks import chat_reading
from llm_magics.tasks.chat_reading import ReadText
from llm_magics.tasks.understand.entities import asked_entities
from llm_magics.tasks.understand.labels import asked_labels
from llm_magics.tasks.understand.sentiment import asked_sentiment

GOOD, BAD = "Ada loves Vienna. " * 30, "Bob hates Boston. " * 30
LONG = ReadText(GOOD + BAD, "en")
MODEL = SimpleNamespace(kind="causal", is_chat=True)


@pytest.fixture
def answering(monkeypatch):
    """answering(answer): a model that reads at most 900 characters at once and answers each prompt
    with answer(prompt)."""
    prompts = []

    def set_up(answer):
        def run(model, asked, **options):
            prompts.extend(asked)
            return [SimpleNamespace(text=answer(prompt), n_new_tokens=3) for prompt in asked]

        monkeypatch.setattr(chat_reading, "run", run)
        monkeypatch.setattr(chat_reading, "excess", lambda model, asked: max(map(len, asked)) / 900)
        return prompts

    return set_up


def test_entities_of_every_part_stand_at_their_places_in_the_whole_text(answering):
    prompts = answering(
        lambda prompt: (
            '[{"text": "Ada", "type": "PER"}, {"text": "Boston", "type": "LOC"}, '
            '{"text": "Napoleon", "type": "PER"}]'
        )
    )
    found, missing, tokens = asked_entities(MODEL, [LONG])
    assert len(prompts) > 1
    assert all(len(prompt) <= 900 for prompt in prompts)
    assert [one.text for one in found[0]] == ["Ada"] * 30 + ["Boston"] * 30
    assert all(LONG.text[one.start : one.end] == one.text for one in found[0])
    assert missing >= len(prompts)  # Napoleon is in none of them
    assert tokens == 3 * len(prompts)


def test_the_mood_is_the_mean_of_the_parts_and_none_where_no_part_says_one(answering):
    answering(
        lambda prompt: (
            "positive" if "Ada" in prompt.partition("Text:")[2] else '{"sentiment": "negative"}'
        )
    )
    found, _ = asked_sentiment(MODEL, [LONG, ReadText("Ada smiles.", "en")])
    assert -1 < found[0][0].polarity < 1
    assert found[1][0].label == "positive"
    answering(lambda prompt: "I would rather not say.")
    assert asked_sentiment(MODEL, [LONG])[0] == [None]


def test_the_label_of_most_parts_is_chosen_and_only_labels_that_were_given(answering):
    answering(lambda prompt: '{"labels": ["love", "cars"]}' if "Ada" in prompt else '["hate"]')
    one = asked_labels(MODEL, [LONG], ["hate", "love", "war"], False)[0][0]
    assert sum(label.chosen for label in one) == 1
    several = asked_labels(MODEL, [LONG], ["hate", "love", "war"], True)[0][0]
    assert {label.label for label in several if label.chosen} == {"hate", "love"}
    answering(lambda prompt: "peace")
    assert asked_labels(MODEL, [LONG], ["hate", "love"], False)[0] == [None]
