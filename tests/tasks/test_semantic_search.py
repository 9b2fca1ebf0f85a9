"""Passages found by what they mean, on MiniLM's real weights."""

from __future__ import annotations

import importlib

import pytest

from llm_magics.models.reference import package_names
from llm_magics.tasks.ask.semantic import SemanticSearch
from llm_magics.tasks.ask.task import _PASSAGES
from llm_magics.text.passages import bm25, passages

pytestmark = pytest.mark.skipif(
    "minilm" not in package_names(), reason="the weights are not installed: the extra [minilm]"
)

ask_module = importlib.import_module("llm_magics.tasks.ask.task")
PASSAGES = [
    "The kitten slept on the sofa all afternoon.",
    "Parliament passed a law on taxes.",
    "The volcano erupted in May.",
]


def test_a_passage_is_found_by_its_meaning_and_its_vectors_are_kept(manager, monkeypatch):
    from llm_magics.tasks.ask import semantic as semantic_search

    search = SemanticSearch.of(manager, "en")
    scores = search.scores(manager, "Where was the young cat resting?", PASSAGES)
    assert max(range(3), key=scores.__getitem__) == 0
    read = []
    real = semantic_search.embed
    monkeypatch.setattr(
        semantic_search,
        "embed",
        lambda model, texts: read.append(list(texts)) or real(model, texts),
    )
    again = search.scores(manager, "What did politicians decide about money?", PASSAGES)
    assert max(range(3), key=again.__getitem__) == 1
    assert read == [["What did politicians decide about money?"]]
    assert SemanticSearch.of(manager, "en") is search


def test_other_languages_and_no_manager_are_searched_by_words_alone(manager):
    assert SemanticSearch.of(manager, "de") is None
    assert SemanticSearch.of(None, "en") is None


def test_of_a_long_text_the_passages_that_mean_it_are_read(manager, tiny, monkeypatch):
    question = "Where was the young cat resting?"
    before, after = (
        " ".join(
            f"Report number {i} lists costs of road repairs in district {i}."
            for i in range(first, last)
        )
        for first, last in ((0, 160), (160, 320))
    )
    text = f"{before} A kitten slept on a sofa. {after}"
    pieces = passages(text, "en")
    by_words = bm25(question, [piece.text for piece in pieces])
    place = next(i for i, piece in enumerate(pieces) if "kitten" in piece.text)
    assert by_words[place] == 0, "no word of the question stands there"
    assert place >= _PASSAGES, "and words alone would take those before it"

    read = []
    real = ask_module.answer_spans
    monkeypatch.setattr(
        ask_module,
        "answer_spans",
        lambda model, asked, **how: read.extend(asked) or real(model, asked, **how),
    )
    found = ask_module.ask(question, text, manager=manager, model=tiny("reader"))
    assert "found by BM25 and package:minilm" in " ".join(found.notes)
    assert len(read[0].pieces) == _PASSAGES
    assert any("kitten" in piece for _, piece in read[0].pieces)


def test_a_short_text_is_read_as_a_whole(manager, tiny):
    short = ask_module.ask(
        "Where was the young cat resting?",
        "The kitten slept on the sofa.",
        manager=manager,
        model=tiny("reader"),
    )
    assert short.notes == ()
