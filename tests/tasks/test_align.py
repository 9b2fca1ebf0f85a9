"""Attention between tokens becomes links between words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magics.text.align import align_words, find_tokens, split_words, word_spans


def test_words_carry_the_white_space_after_them():
    assert split_words("  The cat\nsat. ") == ("  The ", "cat\n", "sat. ")
    assert split_words("我有2 cats。") == ("我", "有", "2 ", "cats。")
    assert split_words("") == ()


@given(st.text(max_size=40))
def test_words_are_the_whole_text(text):
    spans = word_spans(text)
    assert "".join(text[a:b] for a, b in spans) == (text if text.strip() else "")


def test_tokens_are_found_one_after_the_other():
    assert find_tokens(["▁The", "▁cat", "s", "▁", "sat", "</s>"], "The cats sat") == [
        (0, 3),
        (4, 7),
        (7, 8),
        (0, 0),
        (9, 12),
        (0, 0),
    ]
    assert find_tokens(["▁translate", "▁a", "▁cat"], "a cat") == [(0, 0), (0, 1), (2, 5)]
    assert find_tokens(["Ġsat", "un@@", "##able"], "sat unable") == [(0, 3), (4, 6), (6, 10)]


def test_alignment_sums_over_source_and_averages_over_target_tokens():
    weights = [
        [0.1, 0.2, 0.3, 0.4],
        [0.5, 0.1, 0.0, 0.4],
        [0.0, 0.0, 0.6, 0.4],
        [0.9, 0.0, 0.0, 0.1],
    ]
    source, target = "ab cd", "xy z"
    source_tokens = [(0, 1), (1, 2), (3, 5), (0, 0)]  # a, b, cd, end mark
    target_tokens = [(0, 1), (1, 2), (3, 4), (0, 0)]  # x, y, z, end mark
    words_s, words_t, links = align_words(weights, source, target, source_tokens, target_tokens)
    assert words_s == ("ab ", "cd")
    assert words_t == ("xy ", "z")
    assert links[0] == pytest.approx(
        (0.9 / 1.2, 0.3 / 1.2)
    )  # x and y: 0.3 + 0.6 on ab, 0.3 + 0.0 on cd
    assert links[1] == pytest.approx((0.0, 1.0))


def test_nothing_is_linked_when_all_attention_is_on_special_tokens():
    assert align_words([[1.0]], "ab", "x", [(0, 0)], [(0, 1)]) == ((), (), ())


def test_a_space_that_belongs_to_a_token_does_not_hide_the_word():
    _, _, links = align_words([[0.2, 0.8]], "ab cd", "x", [(0, 2), (2, 5)], [(0, 1)])
    assert links[0] == pytest.approx((0.2, 0.8))
