"""Understanding: every aspect by every kind of model, by none, and what is shown of it."""

from __future__ import annotations

import pytest

from llm_magics.display.html import render
from llm_magics.errors import EmptyInput, HubUnreachable, InputError, ModelNotFound, WrongTask
from llm_magics.models.reference import package_names
from llm_magics.rows.rows import RowError
from llm_magics.tasks.understand.task import plan_understanding, understand, understand_each

TEXT = (
    "The film was wonderful. Angela Merkel saw it in Berlin.\nThe service in Berlin was terrible."
)
needs_minilm = pytest.mark.skipif(
    "minilm" not in package_names(), reason="the weights are not installed: the extra [minilm]"
)


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_without_any_model_it_does_what_needs_none(manager):
    found = understand(TEXT, manager=manager, show=["language", "sentiment", "phrases"])
    assert found.language.code == "en"
    assert [(one.text, one.label) for one in found.sentences] == [
        ("The film was wonderful.", "positive"),
        ("Angela Merkel saw it in Berlin.", "neutral"),
        ("The service in Berlin was terrible.", "negative"),
    ]
    assert found.sentences[0].words == (("wonderful", 1.0),)
    assert "Berlin" in [one.text for one in found.phrases]
    assert all(
        TEXT[start:end] == "Berlin"
        for one in found.phrases
        if one.text == "Berlin"
        for start, end in one.places
    )
    assert {aspect: one.model for aspect, one in found.by.items()} == {
        "language": "py3langid",
        "sentiment": "textblob",
        "phrases": "llm_magics",
    }
    assert "a lexicon was" not in found.plain()
    assert any("HF_HUB_OFFLINE" in note for note in found.notes)  # why no model judged the mood


def test_a_language_without_a_lexicon_is_said_and_not_guessed(manager):
    found = understand("Das Essen war wunderbar, aber der Kellner war langsam.", manager=manager)
    assert found.language.code == "de"
    assert found.sentiment is None
    (note,) = [note for note in found.notes if note.startswith("sentiment")]
    assert note.startswith(
        "sentiment: the lexicon knows English only, and no model for German is on this machine; "
        "--show sentiment takes lxyuan/distilbert-base-multilingual-cased-sentiments-student "
        "(540 MB)"
    )
    assert "run:NAME" in note
    assert [one.text for one in found.phrases]


def test_the_row_of_chinese_key_phrases_says_who_told_the_words(manager):
    pytest.importorskip("rjieba", reason="pip install 'llm-magics-notebook[chinese]'")
    found = understand(
        "补肾活血汤好。补肾活血汤不贵。", manager=manager, language="zh", show="phrases"
    )
    assert "words by rjieba" in found.by["phrases"].why
    assert "rjieba" not in understand(TEXT, manager=manager, show="phrases").by["phrases"].why


def test_what_is_asked_for_and_cannot_be_done_is_an_error_that_says_why(manager):
    with pytest.raises(HubUnreachable, match="entities: the model hub is switched off"):
        understand(TEXT, manager=manager, show="entities")

    with pytest.raises(ModelNotFound, match="there is no list of stop words for Iloko"):
        understand(TEXT, manager=manager, show="phrases", language="ilo")


@pytest.mark.parametrize("name", ["sentiment", "house_classifier"])
def test_a_classifier_judges_the_text_and_each_sentence(manager, tiny, name):
    found = understand(TEXT, manager=manager, model=tiny(name))
    assert list(found.by) == ["language", "sentiment"]
    assert found.by["sentiment"].model == tiny(name)
    for one in (found.sentiment, *found.sentences):
        assert TEXT[one.start : one.end] == one.text
        assert sum(probability for _, probability in one.probabilities) == pytest.approx(
            1, abs=1e-5
        )
        known = dict(one.probabilities)
        assert one.polarity == pytest.approx(known["positive"] - known["negative"], abs=1e-5)
        assert one.label == max(known, key=known.get)


@pytest.mark.parametrize("name", ["tagger", "house_tagger"])
def test_a_tagger_finds_entities_at_their_places(manager, tiny, name):
    found = understand(TEXT, manager=manager, model=tiny(name), show="entities")
    assert found.entities
    assert all(TEXT[one.start : one.end] == one.text for one in found.entities)
    assert {one.kind for one in found.entities} <= {"PER", "LOC"}
    frame = found.to_pandas()
    assert list(frame.text) == [one.text for one in found.entities]
    assert set(frame.model) == {tiny(name)}


def test_labels_of_ones_own_by_inference(manager, tiny):
    one = understand(TEXT, manager=manager, model=tiny("nli"), labels="film,sports, food ")
    assert {label.label for label in one.labels} == {"film", "sports", "food"}
    assert sum(label.probability for label in one.labels) == pytest.approx(1, abs=1e-5)
    assert [label.chosen for label in one.labels] == [True, False, False]
    each = understand(
        TEXT, manager=manager, model=tiny("nli"), labels=["film", "sports"], multi_label=True
    )
    assert all(label.chosen == (label.probability > 0.5) for label in each.labels)


def test_a_classifier_of_topics_gives_its_own_classes(manager, tiny):
    found = understand(TEXT, manager=manager, model=tiny("topics"))
    assert {label.label for label in found.labels} == {"World", "Sports"}
    assert found.sentiment is None
    with pytest.raises(WrongTask, match="knows the classes World, Sports and not food"):
        understand(TEXT, manager=manager, model=tiny("topics"), labels="world,food")


@needs_minilm
def test_minilm_is_taken_for_likeness_and_for_labels(manager):
    text = "A cat sat on the mat.\nA kitten rested on a rug.\nThe parliament passed a new law."
    found = understand(text, manager=manager, labels="animals,politics")
    assert found.by["similarity"].model == found.by["labels"].model == "package:minilm"
    assert found.similarity.nearest(1)[0][:2] == (0, 1)
    assert [found.similarity.matrix[i][i] for i in range(3)] == pytest.approx([1, 1, 1], abs=1e-5)
    assert found.labels[0].label == "animals"
    assert (
        understand(
            "The parliament passed a new law.",
            manager=manager,
            show="labels",
            labels="animals,politics",
        )
        .labels[0]
        .label
        == "politics"
    )
    assert list(found.similarity.to_pandas().index) == text.splitlines()


def test_likeness_of_sentences_where_there_is_one_line(manager, tiny):
    found = understand(
        TEXT.replace("\n", " "), manager=manager, model=tiny("encoder"), show="similarity"
    )
    assert len(found.similarity.lines) == 3
    alone = understand("One line.", manager=manager, model=tiny("encoder"), show="similarity")
    assert alone.similarity is None
    assert "one line" in render(alone.node())


def test_a_chat_model_with_random_weights_gives_notes_and_no_nonsense(manager, tiny):
    found = understand(
        "Ada lives in Berlin.", manager=manager, model=tiny("llama"), labels="film,food"
    )
    assert list(found.by) == ["language", "sentiment", "labels", "entities", "phrases"]
    assert all(found.source_text[one.start : one.end] == one.text for one in found.entities)
    assert found.by["sentiment"].tokens > 0


def test_a_model_that_can_do_nothing_of_it_is_refused(manager, tiny):
    with pytest.raises(WrongTask, match=r"cannot do sentiment; it does entities"):
        understand(TEXT, manager=manager, model=tiny("tagger"), show="sentiment")
    with pytest.raises(WrongTask, match="cannot do any of it"):
        understand(TEXT, manager=manager, model=tiny("marian"))


def test_a_model_does_what_it_can_and_the_rest_is_done_as_without_it(manager, tiny):
    found = understand(
        TEXT, manager=manager, model=tiny("tagger"), show="entities,sentiment,phrases"
    )
    assert {aspect: one.model for aspect, one in found.by.items()} == {
        "sentiment": "textblob",
        "entities": tiny("tagger"),
        "phrases": "llm_magics",
    }


def test_defaults_are_taken_for_their_aspect(manager, tiny):
    found = understand(TEXT, manager=manager, defaults={"entities": tiny("tagger")})
    assert found.by["entities"].model == tiny("tagger")
    assert found.by["entities"].why == "your default"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"show": "mood"}, "there is no 'mood' to show; there is language, sentiment"),
        ({"show": "labels"}, "which labels"),
        ({"labels": "a,,b"}, "a label is empty"),
        ({"labels": "a,A"}, "'a' is given twice"),
        ({"labels": "a", "show": "entities"}, "add labels to it"),
        ({"count": 0}, "count must be a whole number"),
        ({"labels": [f"l{i}" for i in range(101)]}, "at most 100"),
        ({"language": "klingon"}, "there is no language"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(manager, options, message):
    with pytest.raises(InputError, match=message):
        understand(TEXT, manager=manager, **options)


@pytest.mark.parametrize("text", ["12345 — 67", "😀😀", "�\u0000\ud800x"])
def test_texts_without_words_are_understood_as_far_as_they_go(manager, text):
    found = understand(text, manager=manager)
    assert render(found.node())
    assert found.plain()


def test_rows_go_through_together_and_a_bad_one_does_not_stop_the_others(manager, tiny):
    rows = ["Berlin is big.", "", 5, "The film was terrible!", "Das ist ein Satz."]
    seen = []
    found = understand_each(
        rows,
        manager=manager,
        show="sentiment,entities",
        defaults={"entities": tiny("tagger")},
        on_row=lambda i, row: seen.append(i),
    )
    assert [type(one).__name__ for one in found] == [
        "Understanding",
        "RowError",
        "RowError",
        "Understanding",
        "Understanding",
    ]
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert isinstance(found[1], RowError)
    assert found[3].sentiment.label == "negative"
    assert found[4].sentiment is None
    assert any(
        note.startswith("sentiment: the lexicon knows English only, not German; name a")
        for note in found[4].notes
    )
    alone = understand(
        rows[3], manager=manager, show="entities", defaults={"entities": tiny("tagger")}
    )
    assert [(one.start, one.end, one.kind) for one in found[3].entities] == [
        (one.start, one.end, one.kind) for one in alone.entities
    ]


def test_a_stop_keeps_what_is_done(manager):
    calls = iter([False, True, True, True, True, True])
    found = understand(
        TEXT, manager=manager, show="language,sentiment,phrases", stop=lambda: next(calls)
    )
    assert found.interrupted
    assert list(found.by) == ["language"]
    with pytest.raises(EmptyInput):
        understand("  ", manager=manager)


def test_the_plan_says_for_each_aspect_what_would_do_it(manager, tiny):
    plans = plan_understanding(TEXT, manager=manager, defaults={"entities": tiny("tagger")})
    assert plans["sentiment"].model == "textblob"
    assert plans["entities"].model == tiny("tagger")
    assert plans["phrases"].download_bytes == 0
    assert plan_understanding(TEXT, manager=manager, model=tiny("tagger"))[
        "what it can do"
    ].model == tiny("tagger")


def test_markup_of_the_text_and_of_labels_is_shown_as_text(manager, tiny):
    text = (
        "<script>alert(1)</script> was wonderful & <b>Berlin</b> was terrible.\n<img src=x> is "
        "<i>awful</i>."
    )
    found = understand(
        text,
        manager=manager,
        defaults={"entities": tiny("tagger"), "similarity": tiny("encoder"), "labels": tiny("nli")},
        labels=["<u>x</u>", "y"],
    )
    shown = render(found.node())
    assert set(found.by) == {"language", "sentiment", "labels", "entities", "phrases", "similarity"}
    for tag in ("<script", "<b>", "<img", "<i>", "<u>"):
        assert tag not in shown
    assert "&lt;script&gt;" in shown
    assert "&lt;u&gt;x&lt;/u&gt;" in shown


def test_a_long_text_is_shown_by_its_beginning_and_kept_whole(manager, tiny):
    text = "The film was wonderful and Angela Merkel saw it. " * 200
    found = understand(
        text, manager=manager, show="entities", defaults={"entities": tiny("tagger")}
    )
    assert found.entities[-1].end > 8_000
    shown = render(found.node())
    assert "more stand behind the first 6,000 characters" in shown
    longer = understand(
        text * 2, manager=manager, show="entities", defaults={"entities": tiny("tagger")}
    )
    assert len(render(longer.node())) == pytest.approx(len(shown), rel=0.01)
