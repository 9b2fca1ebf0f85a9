"""Passages found by what they mean, on MiniLM's real weights."""

from __future__ import annotations

import pytest

from llm_magics.models.reference import package_names
from llm_magics.tasks.ask import ask
from llm_magics.tasks.semantic_search import SemanticSearch

pytestmark = pytest.mark.skipif("minilm" not in package_names(), reason="the weights are not installed: the extra [minilm]")

PASSAGES = ["The kitten slept on the sofa all afternoon.", "Parliament passed a law on taxes.", "The volcano erupted in May."]


def test_a_passage_is_found_by_its_meaning_and_its_vectors_are_kept(manager, monkeypatch):
    from llm_magics.tasks import semantic_search

    search = SemanticSearch.of(manager, "en")
    scores = search.scores(manager, "Where was the young cat resting?", PASSAGES)
    assert max(range(3), key=scores.__getitem__) == 0
    read = []
    real = semantic_search.embed
    monkeypatch.setattr(semantic_search, "embed", lambda model, texts: read.append(list(texts)) or real(model, texts))
    again = search.scores(manager, "What did politicians decide about money?", PASSAGES)
    assert max(range(3), key=again.__getitem__) == 1
    assert read == [["What did politicians decide about money?"]]
    assert SemanticSearch.of(manager, "en") is search


def test_other_languages_and_no_manager_are_searched_by_words_alone(manager):
    assert SemanticSearch.of(manager, "de") is None
    assert SemanticSearch.of(None, "en") is None


def test_a_long_text_is_asked_by_meaning(manager, tiny):
    filler = " ".join(f"Report number {i} lists the costs of road repairs in district {i}." for i in range(100))
    text = f"{filler} The kitten slept on the sofa. {filler}"
    found = ask("Where was the young cat resting?", text, manager=manager, model=tiny("reader"))
    assert "found by BM25 and package:minilm" in " ".join(found.notes)
    assert any("kitten" in text[max(0, one.start - 900):one.end + 900] for one in found[0].evidence)
    short = ask("Where was the young cat resting?", "The kitten slept on the sofa.", manager=manager, model=tiny("reader"))
    assert short.notes == ()
