"""Terms that a translation must keep: found in the source, looked for in the translation, brought
back where they are lost."""

from __future__ import annotations

import pytest

from llm_magics.display.html import render
from llm_magics.display.parallel import SentencePair
from llm_magics.errors import InputError
from llm_magics.tasks.translate.batch import translate_each
from llm_magics.tasks.translate.task import translate
from llm_magics.text.terms import Term, keep_terms, terms_of

EN_DE = {"model": "embedded:en-de", "source": "en", "target": "de", "align": False}


def nothing(sources):
    return ["" for _ in sources]


def test_terms_are_whole_words_and_the_longest_comes_first():
    terms = terms_of("cat, GNU Emacs,GNU", {"dog": "Rüde"})
    assert [str(term) for term in terms] == ["GNU Emacs", "GNU", "cat", "dog = Rüde"]
    assert Term("cat", "cat").missing("The cat and the cat.", "Die cat, concat.") == 1
    assert Term("cat", "cat").missing("Concatenation is no cats.", "") == 0
    assert (
        Term("Cat", "Kater").missing("A CAT here.", "Ein Kater hier.") == 0
    )  # a glossary's source in any case
    assert Term("cat", "cat").missing("A CAT here.", "") == 0  # what is kept, as it is written
    assert (
        Term("GitHub", "GitHub").missing("GitHub!", "我们使用GitHub的。") == 0
    )  # words are not spaced there
    assert Term("C++", "C++").missing("I use C++.", "Ich nutze C++.") == 0


@pytest.mark.parametrize(
    "wrong",
    [{"glossary": {"cat": " "}}, {"keep": ["a", 3]}, {"keep": [f"word{i}" for i in range(1001)]}],
)
def test_terms_that_are_none_are_refused(wrong):
    with pytest.raises(InputError):
        terms_of(**wrong)


def test_a_term_the_model_writes_itself_is_left_alone():
    pairs = [SentencePair("Tom has a cat.", "Tom hat eine Katze.")]
    found, (use,) = keep_terms(pairs, terms_of("Tom"), nothing, None)
    assert (found, use.how, use.sentence) == (pairs, "translated", 0)


def test_an_alternative_that_has_the_term_is_taken():
    pairs = [
        SentencePair(
            "I use Emacs.", "Ich benutze es.", alternatives=("Ich nutze es.", "Ich nutze Emacs.")
        )
    ]
    (pair,), (use,) = keep_terms(pairs, terms_of("Emacs"), nothing, None)
    assert (pair.target, use.how) == ("Ich nutze Emacs.", "alternative")
    assert pair.alternatives == ("Ich benutze es.", "Ich nutze es.")


def test_a_placeholder_that_comes_through_is_replaced_by_the_term():
    asked = []

    def write(sources):
        asked.extend(sources)
        return [source.replace("runs on", "läuft auf").replace("XQ1", "X Q") for source in sources]

    pairs = [SentencePair("Emacs runs on Linux.", "Es läuft.")]
    (pair,), uses = keep_terms(pairs, terms_of("Emacs", {"Linux": "GNU/Linux"}), write, None)
    assert pair.target == "Emacs läuft auf GNU/Linux."
    assert {use.how for use in uses} == {"placeholder"}
    assert asked == [
        "XQ0 runs on XQ1.",
        "Tom runs on Nova.",
    ]  # the first did not come through whole


def test_a_placeholder_never_stands_for_a_word_of_the_text_itself():
    pairs = [SentencePair("Tom uses Emacs.", "Er benutzt es.")]
    written = []

    def write(sources):
        written.extend(sources)
        return [source.replace("XQ0", "") for source in sources]

    keep_terms(pairs, terms_of("Emacs"), write, None)
    assert "Tom uses Tom." not in written


def test_the_word_that_looked_at_a_term_is_replaced_as_a_last_resort():
    pairs = [SentencePair("I like Emacs, too.", "Ich mag Elche, auch.")]

    def link(pair):
        eye = tuple(tuple(float(i == j) for i in range(4)) for j in range(4))
        words = ("I ", "like ", "Emacs, ", "too."), ("Ich ", "mag ", "Elche, ", "auch.")
        return SentencePair(pair.source, pair.target, *words, eye)

    (pair,), (use,) = keep_terms(pairs, terms_of("Emacs"), nothing, link)
    assert (pair.target, use.how) == ("Ich mag Emacs, auch.", "replaced")


def test_a_sentence_is_not_lost_for_a_term_that_every_word_looked_at():
    pairs = [SentencePair("I like Emacs, too.", "Ich mag Elche, auch.")]

    def link(pair):
        words = ("I ", "like ", "Emacs, ", "too."), ("Ich ", "mag ", "Elche, ", "auch.")
        return SentencePair(pair.source, pair.target, *words, ((0.2, 0.2, 0.4, 0.2),) * 4)

    found, (use,) = keep_terms(pairs, terms_of("Emacs"), nothing, link)
    assert (found, use.kept) == (pairs, False)


def test_a_term_that_cannot_be_kept_is_said():
    pairs = [SentencePair("I like Emacs.", "Ich mag Elche.")]
    found, (use,) = keep_terms(pairs, terms_of("Emacs"), nothing, None)
    assert (found, use.kept) == (pairs, False)


def test_terms_are_kept_by_a_real_translator_and_the_result_says_how(manager):
    text = (
        "I bought a Thinkpad in Berlin yesterday.\n\nWe use GNU Emacs every day. The weather is "
        "nice."
    )
    result = translate(
        text, manager=manager, keep="GNU Emacs", glossary={"thinkpad": "ThinkPad"}, **EN_DE
    )
    assert "GNU Emacs" in result.text
    assert "ThinkPad" in result.text
    assert result.lost_terms == ()
    assert [(str(use.term), use.sentence) for use in result.terms] == [
        ("thinkpad = ThinkPad", 0),
        ("GNU Emacs", 1),
    ]
    assert "2 of 2 terms kept" in result.plain()
    (row,) = translate_each(
        [text],
        manager=manager,
        keep=["GNU Emacs"],
        glossary={"thinkpad": "ThinkPad"},
        model="embedded:en-de",
        source="en",
        target="de",
    )
    assert row.text == result.text
    assert row.terms == result.terms


def test_what_could_not_be_kept_is_shown(tiny, manager):
    result = translate(
        "The cat sat.",
        manager=manager,
        model=tiny("llama"),
        source="en",
        target="de",
        max_new_tokens=4,
        keep=["cat"],
    )
    assert result.lost_terms == ("cat",)
    assert "not kept: cat (sentence 1)" in result.plain()
    assert "not kept: cat (sentence 1)" in render(result.node())
