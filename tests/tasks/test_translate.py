"""Texts are translated by every family of models, with their layout, their words linked, and their
limits told."""

import pytest
import torch

from llm_magics.display.html import render
from llm_magics.errors import (
    EmptyInput,
    InputError,
    ModelNotFound,
    TooLong,
    UnknownLanguage,
    WrongTask,
)
from llm_magics.tasks.progress import TranslationProgress
from llm_magics.tasks.translate.task import translate
from llm_magics.text.segments import segment

TEXT = (
    "# The cat\n\nThe cat sat on the mat. Where is the station?\n\n- I do not know.\n- I do not "
    "know. 😀\n"
)
LIMIT = {"source": "en", "target": "de", "max_new_tokens": 12}
FAMILIES = ["marian", "m2m_100", "nllb", "t5", "bart", "pegasus", "llama", "house"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_translates_and_keeps_the_layout(family, tiny, manager):
    result = translate(TEXT, manager=manager, model=tiny(family), **LIMIT)
    title, cat, station, know, again = (pair.target for pair in result.sentences)
    assert result.text == f"# {title}\n\n{cat} {station}\n\n- {know}\n- {again} 😀\n"
    assert [pair.source for pair in result.sentences][1:3] == [
        "The cat sat on the mat.",
        "Where is the station?",
    ]
    assert know == again
    assert (result.source_language, result.target_language, result.interrupted) == (
        "en",
        "de",
        False,
    )
    assert result.provenance.tokens > 0
    assert result.provenance.why == "as asked"
    assert manager.check() == []


def test_marian_writes_what_transformers_itself_writes(tiny, manager):
    from transformers import MarianMTModel, MarianTokenizer

    model, tokenizer = (
        MarianMTModel.from_pretrained(tiny("marian")),
        MarianTokenizer.from_pretrained(tiny("marian")),
    )
    result = translate(TEXT, manager=manager, model=tiny("marian"), **LIMIT)
    for pair in result.sentences:
        with torch.no_grad():
            ids = model.generate(
                **tokenizer(pair.source, return_tensors="pt"), num_beams=1, max_new_tokens=12
            )
        assert pair.target == tokenizer.decode(ids[0], skip_special_tokens=True).strip()


@pytest.mark.parametrize("family", ["marian", "t5", "bart", "pegasus", "house"])
def test_words_are_linked_by_cross_attention(family, tiny, manager):
    result = translate("The cat sat on the mat.", manager=manager, model=tiny(family), **LIMIT)
    (pair,) = result.sentences
    assert pair.aligned
    assert "".join(pair.source_words) == pair.source
    assert "".join(pair.target_words) == pair.target
    sums = [sum(row) for row in pair.alignment]
    assert all(abs(total - 1) < 1e-4 or total == 0 for total in sums)
    assert any(sums)


def test_links_can_be_left_out(tiny, manager):
    result = translate("The cat sat.", manager=manager, model=tiny("house"), align=False, **LIMIT)
    assert not result.sentences[0].aligned


def test_a_model_of_one_pair_needs_no_languages(tiny, manager):
    result = translate("The cat sat.", manager=manager, model=tiny("house"))
    assert (result.source_language, result.target_language) == ("en", "de")


def test_a_model_of_one_pair_refuses_other_languages_and_says_its_own(tiny, manager):
    with pytest.raises(UnknownLanguage, match="translates en to de, not to French"):
        translate("The cat sat.", manager=manager, model=tiny("marian"), target="French")
    with pytest.raises(UnknownLanguage, match="translates en to de, not from French"):
        translate("Le chat.", manager=manager, model=tiny("house"), source="fr", target="de")


def test_a_model_of_many_languages_needs_the_target(tiny, manager):
    with pytest.raises(InputError, match="--to de"):
        translate("The cat sat on the mat.", manager=manager, model=tiny("m2m_100"))


def test_the_language_is_detected_and_said(tiny, manager):
    result = translate(
        "The cat sat on the mat all day.",
        manager=manager,
        model=tiny("t5"),
        target="de",
        max_new_tokens=4,
    )
    assert result.source_language == "en"
    assert result.notes[0].startswith("English was detected")


def test_a_text_that_is_in_the_target_language_already_is_refused(manager):
    with pytest.raises(InputError, match="seems to be German already"):
        translate("Der Hund schläft heute im Garten.", manager=manager, target="de")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", EmptyInput),
        (" \n\t", EmptyInput),
        ("\ufeff", EmptyInput),
        ("a" * 10_000_000, TooLong),
        (None, InputError),
        (7, InputError),
    ],
)
def test_bad_input_is_refused_before_a_model_is_loaded(text, error):
    with pytest.raises(error):
        translate(text, manager=None, target="de")


@pytest.mark.parametrize(
    "text",
    [
        "A\x00b\x1b[31m \ud800 c.",
        "<script>alert(1)</script>",
        "مرحبا \u202eabc",
        "👨‍👩‍👧 e\u0301\u0301 \u200b x",
        "{curly} %s $HOME 'rock 'n roll\"",
    ],
)
def test_odd_text_goes_through_and_is_shown_as_text(text, tiny, manager):
    result = translate(text, manager=manager, model=tiny("house"), **LIMIT)
    page = render(result.node())
    assert "<script>alert" not in page
    page.encode("utf-8")
    result.text.encode("utf-8")
    assert not any(mark in page for mark in "\x00\x1b")
    assert manager.check() == []


def test_text_without_words_comes_back_as_it_is(tiny, manager):
    result = translate("😀 --- 😀", manager=manager, model=tiny("house"), **LIMIT)
    assert result.text == "😀 --- 😀"
    assert result.sentences == ()
    assert "no word" in result.notes[-1]


def test_a_sentence_longer_than_the_model_reads_is_cut_not_refused(tiny, manager):
    text = "The cat sat on the mat, " * 40 + "and slept."
    result = translate(text, manager=manager, model=tiny("marian"), **LIMIT)
    assert len(result.sentences) > 1
    assert " ".join(pair.source for pair in result.sentences) == text


def test_progress_grows_and_ends_with_the_result(tiny, manager):
    seen = []

    def watch(progress):
        seen.append((progress.done, progress.total, progress.text, render(progress.node())))

    result = translate(TEXT, manager=manager, model=tiny("marian"), on_progress=watch, **LIMIT)
    assert seen[-1][:2] == (5, 5)
    assert seen[-1][2] == result.text
    assert [done for done, *_ in seen] == sorted(done for done, *_ in seen)


def test_sentences_that_touched_are_parted_while_they_are_written_as_in_the_end():
    document = segment("今天天气很好。我饿了。", "zh")
    progress = TranslationProgress(
        document, ["It is fine.", "I am hungry."], [True, True], "zh", "en", "a model"
    )
    assert progress.text == "It is fine. I am hungry."


def test_stopping_keeps_what_there_is_and_the_model(tiny, manager):
    calls = []

    def stop():
        calls.append(1)
        return len(calls) > 6

    result = translate(TEXT, manager=manager, model=tiny("marian"), stop=stop, **LIMIT)
    assert result.interrupted
    assert "interrupted" in render(result.node())
    again = translate("The cat sat.", manager=manager, model=tiny("marian"), **LIMIT)
    assert not again.interrupted
    assert manager.check() == []


def test_a_model_that_cannot_translate_says_so(tiny, manager):
    with pytest.raises(WrongTask, match="does not write"):
        translate("The cat sat.", manager=manager, model=tiny("bert"), **LIMIT)
    with pytest.raises(ModelNotFound, match="embedded:nothing"):
        translate("The cat sat.", manager=manager, model="embedded:nothing", **LIMIT)


def test_a_failed_capture_leaves_the_translation(tiny, manager, monkeypatch):
    import llm_magics.attention

    def broken(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(llm_magics.attention, "cross_attention", broken)
    result = translate("The cat sat.", manager=manager, model=tiny("house"), **LIMIT)
    assert result.text
    assert "no word links for this model (RuntimeError)" in result.notes


def test_the_result_shows_languages_model_and_both_sides(tiny, manager):
    result = translate(
        "The cat sat. I do not know.", manager=manager, model=tiny("marian"), **LIMIT
    )
    page = render(result.node())
    for part in ("English → German", "as asked", "tokens/s"):
        assert part in page
    assert str(result) == result.text
    assert repr(result).startswith("Translation(en → de, 2 sentences, ")
    data, about = result._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html"}
    assert about["llm_magics"]["model"] == tiny("marian")


def test_a_long_text_is_translated_from_its_beginning_and_breaks_off_at_one_place(tiny, manager):
    """Sentences of similar length share batches, but only within a window of the text."""
    text = "\n\n".join(f"The {'small ' * (i % 5)}cat number {i} sleeps." for i in range(700))
    seen = []

    def note(progress):
        seen.append((progress.finished[0], sum(progress.finished[512:])))

    stopped = translate(
        text,
        manager=manager,
        model=tiny("marian"),
        on_progress=note,
        align=False,
        stop=lambda: bool(seen and seen[-1][0]),
        **LIMIT,
    )
    assert stopped.interrupted
    assert all(first or not late for first, late in seen)
    assert stopped.sentences[0].target
    assert not stopped.sentences[-1].target
    assert stopped.text.count("\n\n") < 699
