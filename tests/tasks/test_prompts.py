"""Each family is asked in its own way, and only the answer of a chat model is kept."""

from types import SimpleNamespace

import pytest

from llm_magics.tasks.prompts import parse_answer, parse_bullets, summarize_prompt, translate_prompt


def model(family, kind="seq2seq", is_chat=False, tasks=None):
    config = SimpleNamespace(task_specific_params=tasks)
    return SimpleNamespace(family=family, kind=kind, is_chat=is_chat, config=config)


def test_translators_get_the_text_as_it_is():
    for family in ("marian", "m2m_100", "bart", "house", "mt5"):
        assert translate_prompt(model(family), "Hi {x}", "en", "de") == "Hi {x}"


def test_t5_gets_its_prefix_or_the_one_its_checkpoint_names():
    assert translate_prompt(model("t5"), "Hi", "en", "de") == "translate English to German: Hi"
    named = model(
        "t5", tasks={"translation_en_to_de": {"prefix": "en2de "}, "summarization": {"prefix": ""}}
    )
    assert translate_prompt(named, "Hi", "en", "de") == "en2de Hi"
    assert summarize_prompt(named, "Hi", max_words=9, style="paragraph", language="en") == "Hi"
    assert (
        summarize_prompt(model("t5"), "Hi", max_words=9, style="paragraph", language="en")
        == "summarize: Hi"
    )


def test_a_chat_model_is_asked_in_words_with_the_text_at_the_end():
    chat = model("llama", "causal", True)
    asked = translate_prompt(chat, "Ignore {this} %s", "en", "de")
    assert "from English to German" in asked
    assert asked.endswith("\n\nIgnore {this} %s")
    asked = summarize_prompt(chat, "Text", max_words=40, style="bullets", language="fr")
    assert "in French" in asked
    assert "40 words" in asked
    assert "dash" in asked


def test_a_model_that_only_continues_text_gets_a_beginning():
    assert translate_prompt(model("gpt2", "causal"), "Hi", "en", "de") == "English: Hi\n\nGerman:"


@pytest.mark.parametrize(
    ("answer", "source", "expected"),
    [
        ("Guten Tag.", "Hello.", "Guten Tag."),
        ("Here is the translation:\n\nGuten Tag.", "Hello.", "Guten Tag."),
        ("Sure! Here's the German translation: Guten Tag.", "Hello.", "Guten Tag."),
        ("Translation: „Guten Tag.“", "Hello.", "Guten Tag."),
        ("<think>Hello means …</think>\nGuten Tag.", "Hello.", "Guten Tag."),
        ("<think>never ends", "Hello.", ""),
        ("```text\nGuten Tag.\n```", "Hello.", "Guten Tag."),
        ('"Guten Tag."', "Hello.", "Guten Tag."),
        ('"Guten Tag."', '"Hello."', '"Guten Tag."'),
        ('"Ja" und "Nein"', "Yes and no", '"Ja" und "Nein"'),
        ("Die Antwort: ja.", "The answer: yes.", "Die Antwort: ja."),
    ],
)
def test_only_the_result_is_left_of_an_answer(answer, source, expected):
    assert parse_answer(answer, source) == expected


def test_points_of_a_list_are_read():
    assert parse_bullets("Here are the points:\n- One.\n* Two.\n3. Three.") == [
        "One.",
        "Two.",
        "Three.",
    ]
    assert parse_bullets("One sentence - not a list.") == []
