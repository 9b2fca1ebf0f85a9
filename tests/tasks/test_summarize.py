"""Summaries keep their limit and say whether a model wrote them or the text itself."""

import re

import pytest

from llm_magics.display.html import render
from llm_magics.errors import EmptyInput, InputError, TooLong, UnknownLanguage, WrongTask
from llm_magics.models.generate.generate import Generation
from llm_magics.rows.rows import RowError
from llm_magics.tasks.results import Summary
from llm_magics.tasks.summarize.task import summarize, summarize_each
from llm_magics.text.extractive import count_words

NEWS = {
    "en": "The city council approved a new tram line between the harbour and the university on "
    "Monday. "
    "The weather was mild. The tram line will cost 120 million euros and open in four years, the "
    "council said. "
    "Students at the university welcomed the tram, which will replace two crowded bus routes. A "
    "dog barked.",
    "de": "Der Stadtrat hat am Montag eine neue Straßenbahn zwischen Hafen und Universität "
    "beschlossen. Es war mild. "
    "Die Straßenbahn kostet 120 Millionen Euro und soll in vier Jahren fahren, sagte der Stadtrat. "
    "Die Studenten der Universität freuen sich, weil die Straßenbahn zwei volle Buslinien "
    "ersetzt. Ein Hund bellte.",
    "fr": "Le conseil municipal a approuvé lundi une nouvelle ligne de tramway entre le port et "
    "l'université. "
    "Il faisait doux. La ligne de tramway coûtera 120 millions d'euros, selon le conseil "
    "municipal. "
    "Les étudiants de l'université saluent ce tramway, qui remplacera deux lignes de bus. Un "
    "chien aboya.",
    "zh": "市议会周一批准了连接港口和大学的新电车线路。天气很好。新电车线路将耗资一亿二千万欧元，四年后开通，市议会说。"
    "大学的学生欢迎新电车线路，它将取代两条拥挤的公交线路。有狗叫。",
}


@pytest.mark.parametrize("language", NEWS)
def test_the_embedded_summariser_picks_sentences_of_the_text_in_four_languages(language):
    limit = 60 if language == "zh" else 36
    result = summarize(NEWS[language], max_words=limit)
    assert result.language == language
    assert result.extractive
    assert result.sentences
    assert all(sentence in NEWS[language] for sentence in result.sentences)
    assert result.words <= limit
    assert result.positions == tuple(sorted(result.positions))
    assert not {1, 4} & set(result.positions)
    assert result.text == ("" if language == "zh" else " ").join(result.sentences)


def test_it_says_that_it_is_extractive():
    result = summarize(NEWS["en"], max_words=40)
    assert "extractive: sentences of the text itself" in render(result.node())
    assert "extractive" in result.plain()
    assert result.provenance.model == "embedded:extractive"
    assert str(result) == result.text


def test_bullets_are_one_line_a_sentence():
    result = summarize(NEWS["en"], max_words=60, style="bullets")
    assert result.text == "\n".join(f"- {sentence}" for sentence in result.sentences)
    assert render(result.node()).count("<li") == len(result.sentences)


def test_a_limit_shorter_than_any_sentence_cuts_the_best_one():
    result = summarize(NEWS["en"], max_words=2)
    assert result.words == 2
    assert result.text.endswith(" …")
    assert "cut" in result.notes[-1]


@pytest.mark.parametrize("limit", [1, 3, 17, 30, 100])
def test_the_limit_is_never_exceeded(limit):
    assert count_words(summarize(NEWS["en"], max_words=limit).text) <= limit


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_words": 0}, InputError),
        ({"max_words": 10**9}, InputError),
        ({"max_words": 2.5}, InputError),
        ({"max_words": True}, InputError),
        ({"style": "poem"}, InputError),
        ({"language": "Germn"}, UnknownLanguage),
    ],
)
def test_impossible_wishes_are_refused(options, error):
    with pytest.raises(error):
        summarize(NEWS["en"], **options)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", EmptyInput),
        ("\n", EmptyInput),
        ("a " * 5_000_000, TooLong),
        ("12345", InputError),
        (b"bytes", InputError),
    ],
)
def test_bad_text_is_refused(text, error):
    with pytest.raises(error):
        summarize(text)


def test_markup_in_the_text_is_shown_as_text():
    page = render(
        summarize("<script>alert('x')</script> is written here for a test of the page.").node()
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("family", ["bart", "pegasus", "t5", "m2m_100"])
def test_a_model_writes_a_summary_of_a_text_longer_than_its_window(family, tiny, manager):
    seen = []
    result = summarize(
        NEWS["en"] * 4,
        manager=manager,
        model=tiny(family),
        max_words=20,
        language="en",
        on_progress=lambda progress: seen.append((progress.done, progress.total)),
    )
    assert not result.extractive
    assert result.words <= 20
    assert result.provenance.tokens > 0
    assert "written by the model" in render(result.node())
    if family in ("bart", "pegasus"):
        assert max(total for _, total in seen) > 1  # 128 tokens at once: part by part
    assert manager.check() == []


def test_a_translator_or_an_encoder_cannot_summarise(tiny, manager):
    for family in ("marian", "house", "bert"):
        with pytest.raises(WrongTask):
            summarize(NEWS["en"], manager=manager, model=tiny(family))


def test_stopping_is_said(tiny, manager):
    result = summarize(
        NEWS["en"], manager=manager, model=tiny("t5"), language="en", stop=lambda: True
    )
    assert result.interrupted
    assert "interrupted" in render(result.node())


def test_rows_are_summarised_each_and_broken_ones_said():
    seen = []
    rows = [NEWS["en"], "", NEWS["de"]]
    results = summarize_each(rows, max_words=30, on_row=lambda i, row: seen.append((i, row)))
    assert [type(row) for row in results] == [Summary, RowError, Summary]
    assert seen == list(enumerate(results))
    assert results[2].language == "de"


def test_the_length_of_a_chinese_summary_is_told_in_characters():
    result = summarize("今天下雨了。我们留在家里看书。猫睡在沙发上。", max_words=10)
    assert f"{result.words} of {result.source_words} characters" in result.plain()


def _telling(model, prompts, **options):
    """What a model would do that writes the sentence with most capitals of what it is given: a
    stand-in for its words only."""

    def best(prompt):
        return max(
            re.split(r"(?<=[.!?])\s+", prompt),
            key=lambda sentence: sum(letter.isupper() for letter in sentence),
        )

    return [Generation(best(prompt), (), 1, 1) for prompt in prompts]


def test_the_end_of_a_long_document_reaches_the_summary(tiny, manager, monkeypatch):
    monkeypatch.setattr("llm_magics.tasks.summarize.writer.run", _telling)
    filler = "The morning was quiet and the road to the valley was empty again. " * 40
    text = f"{filler}{filler}Then the DAM BROKE above the village."
    result = summarize(text, manager=manager, model=tiny("bart"), language="en", max_words=20)
    assert result.text == "Then the DAM BROKE above the village."
    assert result.parts > 10
    assert f"read in {result.parts} parts and summarised from their summaries" in result.notes


def test_a_model_that_shortens_nothing_still_sees_the_whole_document(tiny, manager, monkeypatch):
    read = []

    def echo(model, prompts, **options):
        read.append(prompts)
        return [Generation(prompt, (), 1, 1) for prompt in prompts]

    monkeypatch.setattr("llm_magics.tasks.summarize.writer.run", echo)
    monkeypatch.setattr("llm_magics.tasks.summarize.writer.shorten", lambda text, most: text)
    news = [
        f"On day {i} the council of town number {i} met and talked about its bridge."
        for i in range(60)
    ]
    result = summarize(
        " ".join(news), manager=manager, model=tiny("bart"), language="en", max_words=100
    )
    assert any("did not get shorter" in note for note in result.notes)
    last = read[-1][0]
    assert any(f"day {i} " in last for i in range(30, 60))  # sentences of the second half, too
    assert len(read[-1]) == 1
