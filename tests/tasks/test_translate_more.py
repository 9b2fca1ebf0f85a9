"""Alternatives, back-translation, references and comparisons of translations and summaries."""

from __future__ import annotations

import pytest
import sacrebleu

from llm_magics.display.html import render
from llm_magics.errors import InputError, WrongTask
from llm_magics.tasks.compare import compare_models
from llm_magics.tasks.summarize.task import summarize
from llm_magics.tasks.translate.back import BackTranslation
from llm_magics.tasks.translate.batch import translate_each
from llm_magics.tasks.translate.task import translate

TEXT = "The cat sat on the mat. Where is the station?"
LIMIT = {"source": "en", "target": "de", "max_new_tokens": 8}
NEWS = "The cat sat on the mat. " * 3 + "Where is the station? I do not know."


def test_without_a_hub_the_embedded_model_of_the_other_direction_translates_back(
    manager, monkeypatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = translate(
        "Je t'attends devant la gare.",
        manager=manager,
        source="fr",
        target="en",
        back_translate=True,
    )
    assert (result.provenance.model, result.back_translation.provenance.model) == (
        "embedded:fr-en",
        "embedded:en-fr",
    )
    assert result.back_translation.score > 20


@pytest.mark.parametrize("family", ["marian", "house", "llama"])
def test_alternatives_are_other_texts_best_first(family, tiny, manager):
    result = translate(TEXT, manager=manager, model=tiny(family), alternatives=3, **LIMIT)
    beams = translate(TEXT, manager=manager, model=tiny(family), num_beams=4, **LIMIT)
    assert result.text == beams.text  # the best of the same search
    assert any(pair.alternatives for pair in result.sentences)
    for pair in result.sentences:
        assert len(pair.alternatives) <= 3
        assert len({pair.target, *pair.alternatives}) == 1 + len(pair.alternatives)
    page = render(result.node())
    assert page.count("<details") == sum(bool(pair.alternatives) for pair in result.sentences)
    (row,) = translate_each([TEXT], manager=manager, model=tiny(family), alternatives=3, **LIMIT)
    assert [pair.alternatives for pair in row.sentences] == [
        pair.alternatives for pair in result.sentences
    ]
    assert row.record()["alternatives"] == [list(pair.alternatives) for pair in result.sentences]


def test_alternatives_are_those_of_transformers(tiny, manager):
    import torch
    from transformers import MarianMTModel, MarianTokenizer

    model, tokenizer = (
        MarianMTModel.from_pretrained(tiny("marian")),
        MarianTokenizer.from_pretrained(tiny("marian")),
    )
    result = translate(
        "The cat sat.", manager=manager, model=tiny("marian"), alternatives=2, **LIMIT
    )
    with torch.no_grad():
        ids = model.generate(
            **tokenizer("The cat sat.", return_tensors="pt"),
            num_beams=3,
            num_return_sequences=3,
            max_new_tokens=8,
        )
    texts = [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
    expected = [text for text in dict.fromkeys(texts[1:]) if text and text != texts[0]]
    assert [result.sentences[0].target, *result.sentences[0].alternatives] == [texts[0], *expected]


def test_summaries_have_alternatives_too(tiny, manager):
    result = summarize(
        NEWS, manager=manager, model=tiny("bart"), language="en", max_words=10, alternatives=3
    )
    assert result.alternatives
    assert result.text not in result.alternatives
    assert "<details" in render(result.node())
    picked = summarize(NEWS, language="en", max_words=10, alternatives=3)
    assert picked.alternatives == ()
    assert any("no alternatives" in note for note in picked.notes)
    with pytest.raises(InputError, match="from 0 to 20"):
        summarize(NEWS, alternatives=21)


def test_a_translation_is_translated_back_and_compared(tiny, manager):
    result = translate(
        TEXT, manager=manager, model=tiny("house"), back_translate=tiny("m2m_100"), **LIMIT
    )
    back = result.back_translation
    assert back.sources == tuple(pair.source for pair in result.sentences)
    expected = translate(
        result.sentences[0].target,
        manager=manager,
        model=tiny("m2m_100"),
        source="de",
        target="en",
        align=False,
    )
    assert back.sentences[0] == expected.text
    assert back.chrf == pytest.approx(
        [
            sacrebleu.corpus_chrf([came], [[source]]).score
            for came, source in zip(back.sentences, back.sources, strict=True)
        ]
    )
    assert back.score == pytest.approx(
        sacrebleu.corpus_chrf(list(back.sentences), [list(back.sources)]).score
    )
    assert back.flagged  # a random model brings nothing back
    assert "back-translated by" in result.plain()
    assert "came back as" in render(result.node())


@pytest.mark.parametrize("back", ["embedded:nothing", "embedded:fr-en"])
def test_a_translation_is_there_though_it_cannot_be_translated_back(tiny, manager, back):
    result = translate(
        TEXT,
        manager=manager,
        model=tiny("house"),
        back_translate=back,
        reference="Die Katze.",
        **LIMIT,
    )
    assert result.text == translate(TEXT, manager=manager, model=tiny("house"), **LIMIT).text
    assert result.back_translation is None
    assert result.scores
    assert any(note.startswith("it was not translated back: ") for note in result.notes)


def test_flagged_are_the_sentences_that_differ_most():
    chrf = (90.0, 10.0, 49.0, 51.0, 30.0, 20.0, -1.0)
    back = BackTranslation(
        sources=tuple("abcdefg"), sentences=tuple("abcdefg"), chrf=chrf, score=50.0, provenance=None
    )
    assert back.flagged == (1, 5, 4)


def test_a_reference_gives_the_scores_of_the_library(tiny, manager):
    reference = "Die Katze saß auf der Matte. Wo ist der Bahnhof?"
    result = translate(TEXT, manager=manager, model=tiny("house"), reference=reference, **LIMIT)
    written, expected = (
        [pair.target for pair in result.sentences],
        ["Die Katze saß auf der Matte.", "Wo ist der Bahnhof?"],
    )
    assert result.scores == {
        "bleu": pytest.approx(sacrebleu.corpus_bleu(written, [expected]).score),
        "chrf": pytest.approx(sacrebleu.corpus_chrf(written, [expected]).score),
    }
    assert "BLEU" in result.plain()
    whole = translate(
        TEXT, manager=manager, model=tiny("house"), reference="Die Katze saß.", **LIMIT
    )
    assert whole.scores["chrf"] == pytest.approx(
        sacrebleu.corpus_chrf([" ".join(written)], [["Die Katze saß."]]).score
    )
    with pytest.raises(InputError, match="a reference is a text"):
        translate(TEXT, manager=manager, model=tiny("house"), reference=" ", **LIMIT)


def test_a_summary_is_scored_by_rouge():
    result = summarize(NEWS, language="en", max_words=8, reference="Where is the station?")
    same = summarize(NEWS, language="en", max_words=8, reference=" ".join(result.sentences))
    assert same.scores == {"rouge1": 100, "rouge2": 100, "rougeL": 100, "chrf": 100}
    assert result.scores["rouge1"] < 100
    assert "ROUGE-L" in render(result.node())


def test_models_are_compared_side_by_side(tiny, manager):
    models = [tiny("house"), tiny("marian")]
    found = compare_models("translate", TEXT, models, manager=manager, **LIMIT)
    alone = [translate(TEXT, manager=manager, model=model, **LIMIT) for model in models]
    assert [result.text for result in found.results] == [result.text for result in alone]
    one, other = ([pair.target for pair in result.sentences] for result in alone)
    expected = (
        sacrebleu.corpus_chrf(one, [other]).score + sacrebleu.corpus_chrf(other, [one]).score
    ) / 2
    assert found.agreement[0][1] == found.agreement[1][0] == pytest.approx(expected)
    assert found.agreement[0][0] == pytest.approx(100)
    assert all(result.provenance.seconds > 0 for result in found.results)
    page = render(found.node())
    assert one[0] in page
    assert other[0] in page
    assert all(model in found.plain() for model in found.models)


def test_a_model_that_fails_leaves_the_others_their_results(tiny, manager):
    found = compare_models(
        "summarize",
        NEWS,
        ["embedded:extractive", tiny("house"), tiny("bart")],
        manager=manager,
        language="en",
        max_words=10,
    )
    assert len(found.results) == 2
    assert "cannot summarise" in found.failures[tiny("house")]
    with pytest.raises(WrongTask):
        compare_models("summarize", NEWS, [tiny("house"), tiny("marian")], manager=manager)
    with pytest.raises(InputError, match="2 to 8 different models"):
        compare_models("translate", TEXT, [tiny("house")], manager=manager)
    with pytest.raises(InputError, match="cannot be compared"):
        compare_models("sing", TEXT, models=["a", "b"], manager=manager)
