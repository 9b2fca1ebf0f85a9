"""Asking: spans, picked sentences and written answers, each with its place in the text."""

from __future__ import annotations

import pytest

from llm_magics.display.html import render
from llm_magics.errors import EmptyInput, InputError, UnknownLanguage, WrongTask
from llm_magics.rows.rows import RowError
from llm_magics.tasks.ask.result import Answers
from llm_magics.tasks.ask.task import ask, ask_each
from llm_magics.tasks.prompts import NOT_IN_TEXT, parse_cited

TEXT = (
    "The Danube rises in the Black Forest. It is 2,850 kilometres long. Vienna lies on its "
    "banks.\n\n"
    "The Rhine rises in the Alps. Johann Strauss wrote a waltz about the Danube in 1866."
)


@pytest.fixture
def reader(tiny):
    return tiny("reader")


def test_without_a_model_the_sentence_that_answers_is_picked():
    found = ask(["Where does the Danube rise?", "When was the waltz written?"], TEXT)
    assert [answer.text for answer in found] == [
        "The Danube rises in the Black Forest.",
        "Johann Strauss wrote a waltz about the Danube in 1866.",
    ]
    assert all(TEXT[one.start : one.end] == one.text for answer in found for one in answer.evidence)
    assert found.extractive
    assert found.provenance.model == "embedded:extractive"


def test_a_question_that_shares_no_word_with_the_text_has_no_answer():
    found = ask("Xylophone?", TEXT)
    assert found[0].text == ""
    assert "(not in the text)" in found.plain()


def test_a_model_with_a_head_for_answers_gives_spans_with_probabilities(manager, reader):
    found = ask(
        ["Where does the Danube rise?", "How long is it?"],
        TEXT,
        manager=manager,
        model=reader,
        count=4,
    )
    assert isinstance(found, Answers)
    assert found.extractive
    for answer in found:
        assert 2 <= len(answer.evidence) <= 4
        probabilities = [one.probability for one in answer.evidence]
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1
        assert all(TEXT[one.start : one.end] == one.text for one in answer.evidence)
        assert answer.text in {"", answer.evidence[0].text}


def test_a_long_text_is_searched_by_passage_and_places_still_fit(manager, reader):
    long = " ".join(f"Filler sentence number {i} about nothing." for i in range(600)) + " " + TEXT
    found = ask("Where does the Danube rise?", long, manager=manager, model=reader)
    assert all(long[one.start : one.end] == one.text for one in found[0].evidence)
    picked = ask("Where does the Danube rise?", long)
    assert picked[0].text == "The Danube rises in the Black Forest."


@pytest.mark.parametrize("family", ["llama", "t5", "bart"])
def test_models_that_write_answer_every_question_in_order(manager, tiny, family):
    found = ask(
        ["Where?", "When was the waltz written?"], TEXT, manager=manager, model=tiny(family)
    )
    assert [answer.question for answer in found] == ["Where?", "When was the waltz written?"]
    assert not found.extractive
    assert found.provenance.tokens > 0
    assert all(TEXT[one.start : one.end] == one.text for answer in found for one in answer.evidence)


def test_a_text_beyond_the_models_window_is_cut_to_what_the_question_is_about(manager, tiny):
    long = " ".join(f"Filler sentence number {i} about nothing." for i in range(300)) + " " + TEXT
    found = ask("Where does the Danube rise?", long, manager=manager, model=tiny("llama"))
    assert len(found) == 1


def test_a_translator_answers_no_questions(manager, tiny):
    with pytest.raises(WrongTask, match="translates en to de and answers no questions"):
        ask("Where?", TEXT, manager=manager, model=tiny("marian"))


@pytest.mark.parametrize(
    ("answer", "text", "cited"),
    [
        ("Paris [2].", "Paris.", (2,)),
        ("In the Alps [1, 3] and beyond [1]", "In the Alps and beyond", (1, 3)),
        ("Nothing cited", "Nothing cited", ()),
        ("巴黎【2】", "巴黎", (2,)),
        ("The array a[i] stays", "The array a[i] stays", ()),
    ],
)
def test_citations_are_taken_off_an_answer(answer, text, cited):
    assert parse_cited(answer) == (text, cited)


def test_a_model_that_says_so_leaves_the_answer_empty():
    from llm_magics.tasks.ask.task import _written
    from llm_magics.text.passages import sentence_passages

    read = sentence_passages(TEXT, "en")
    assert _written("Who?", f"It is {NOT_IN_TEXT}.", read).text == ""
    cited = _written("Where?", "In the Alps [4].", read)
    assert (cited.text, [one.text for one in cited.evidence]) == (
        "In the Alps.",
        ["The Rhine rises in the Alps."],
    )
    uncited = _written("Where?", "Vienna lies on its banks", read)
    assert [one.text for one in uncited.evidence] == ["Vienna lies on its banks."]
    assert _written("Where?", "Somewhere else entirely", read).evidence == ()
    assert _written("Where?", "Beyond the list [77]", read).text == "Beyond the list"


def test_the_html_marks_the_answer_in_the_text_and_escapes_both():
    shown = render(
        ask("Who is <b>bold</b>?", "The <b>bold</b> one is Ann. Nobody else came.").node()
    )
    assert "<mark" in shown
    assert "&lt;b&gt;bold&lt;/b&gt;" in shown
    assert "<b>bold</b>" not in shown


def test_rows_are_answered_one_by_one_and_a_bad_one_does_not_stop_the_rest():
    rows = [
        "Where does the Rhine rise?",
        7,
        {"question": "How long is it?", "context": "It is 3 m long. It is red."},
        "  ",
    ]
    seen = []
    found = ask_each(rows, context=TEXT, on_row=lambda i, row: seen.append(i))
    assert found[0].text == "The Rhine rises in the Alps."
    assert isinstance(found[1], RowError)
    assert "int" in found[1].reason
    assert found[2].text == "It is 3 m long."
    assert isinstance(found[3], RowError)
    assert seen == [0, 1, 2, 3]
    assert "which text" in ask_each(["Where?"])[0].reason
    assert "needs question" in ask_each([{"context": "x"}])[0].reason


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(EmptyInput):
        ask([], TEXT)
    with pytest.raises(EmptyInput):
        ask("Where?", "   ")
    with pytest.raises(InputError, match="count must be a whole number from 1 to 50"):
        ask("Where?", TEXT, count=0)
    with pytest.raises(UnknownLanguage):
        ask("Where?", TEXT, language="klingonese")
