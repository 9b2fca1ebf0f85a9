"""Passages and sentences for a question: BM25 against its formula, offsets against the text."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magics.text.passages import answer_sentences, bm25, passages, sentence_passages

TEXT = (
    "The Danube rises in the Black Forest. It is 2,850 kilometres long. Vienna and Budapest lie "
    "on its banks. "
    "The Rhine rises in the Alps and flows north. Johann Strauss wrote a waltz about the Danube "
    "in 1866."
)


def test_bm25_is_its_formula():
    documents = ["aaa bbb aaa", "bbb ccc", "ddd ddd ddd ddd"]
    # one term, "aaa": in 1 of 3 documents, twice in the first; lengths 3, 2, 4, mean 3
    rarity = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    expected = rarity * 2 * 2.2 / (2 + 1.2 * (1 - 0.75 + 0.75 * 3 / 3))
    assert math.isclose(bm25("aaa", documents)[0], expected)
    assert bm25("aaa", documents)[1:] == [0.0, 0.0]
    rarity = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    assert math.isclose(bm25("bbb", documents)[1], rarity * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3)))


def test_the_answer_has_what_the_question_asks_for():
    sentences = [one.text for one in sentence_passages(TEXT, "en")]

    def best(question):
        return sentences[answer_sentences(question, sentences)[0][1]]

    assert best("Where does the Danube rise?") == sentences[0]
    assert best("When did Strauss write the waltz?") == sentences[4]
    assert best("How many kilometres long is it?") == sentences[1]
    assert best("Which river flows north?") == sentences[3]


def test_a_question_that_shares_no_word_finds_nothing():
    assert answer_sentences("Xylophone?", ["A cat.", "A dog."]) == []


def test_a_sentence_that_only_repeats_words_of_the_question_is_no_answer():
    sentences = ["Warranty.", "The warranty lasts for two years."]
    assert [i for _, i in answer_sentences("How long is the warranty?", sentences)] == [1]


def test_chinese_is_compared_by_pairs_of_characters():
    sentences = ["多瑙河发源于黑森林。", "莱茵河发源于阿尔卑斯山。", "维也纳位于河岸。"]
    assert answer_sentences("莱茵河发源于哪里？", sentences)[0][1] == 1


PARTS = [
    "One fish swims.",
    "Two birds fly over the lake.",
    "It rains.\n\n",
    "- a point here",
    "短い文。",
]


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=40), st.integers(3, 60))
def test_passages_stand_in_the_text_and_cover_every_sentence(parts, words):
    text = " ".join(parts)
    found = passages(text, "en", words)
    assert all(text[one.start : one.end] == one.text for one in found)
    for sentence in sentence_passages(text, "en"):
        assert any(one.start <= sentence.start and sentence.end <= one.end for one in found)
    assert [one.start for one in found] == sorted(one.start for one in found)


def test_neighbouring_passages_share_a_sentence():
    text = " ".join(f"Sentence number {i} says something new." for i in range(30))
    found = passages(text, "en", 30)
    assert len(found) > 3
    assert all(after.start < before.end for before, after in pairwise(found))


def test_ranks_by_words_and_by_meaning_are_fused_and_words_count_twice():
    from llm_magics.text.passages import fused

    total = fused([3.0, 9.0, 1.0], [0.2, 0.9, 0.5])
    assert total == pytest.approx([2 / 62 + 1 / 63, 2 / 61 + 1 / 61, 2 / 63 + 1 / 62])
    assert fused([], []) == []
