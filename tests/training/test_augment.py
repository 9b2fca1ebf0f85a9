"""Noise on tokens and back-translation."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magics.errors import DataError
from llm_magics.training.data.augment import back_translated, drop_tokens, swap_tokens

EOS = 2
IDS = st.lists(st.integers(3, 50), max_size=12)
SHARE = st.floats(0, 0.99)
SEED = st.integers(0, 99)


@given(IDS, SHARE, SEED)
def test_dropping_keeps_order_one_token_and_the_end_mark(ids, share, seed):
    left = drop_tokens([*ids, EOS], share, random.Random(seed))
    assert left[-1] == EOS
    assert left.count(EOS) == 1
    rest = iter(ids)
    assert all(token in rest for token in left[:-1])  # a subsequence
    assert len(left) >= min(2, len(ids) + 1)


@given(IDS, SHARE, SEED, st.integers(1, 4))
def test_swapping_moves_no_token_far_and_the_end_mark_not_at_all(ids, share, seed, window):
    numbered = [100 + n for n in range(len(ids))]
    moved = swap_tokens([*numbered, EOS], share, random.Random(seed), window)
    assert moved[-1] == EOS
    assert sorted(moved[:-1]) == numbered
    assert all(abs(place - (token - 100)) <= window for place, token in enumerate(moved[:-1]))


def test_shares_are_met_and_the_input_is_left_alone():
    ids = [*range(3, 20_003), EOS]
    before = list(ids)
    assert len(drop_tokens(ids, 0.3, random.Random(0))) == pytest.approx(0.7 * len(ids), rel=0.03)
    moved = swap_tokens(ids, 0.1, random.Random(0))
    assert sum(a != b for a, b in zip(ids, moved, strict=True)) == pytest.approx(
        0.1 * len(ids), rel=0.15
    )
    assert ids == before
    assert drop_tokens(ids, 0.0, random.Random(0)) == swap_tokens(ids, 0.0, random.Random(0)) == ids


def test_noise_is_a_function_of_the_generator():
    ids = [*range(3, 60), EOS]
    for noise in (drop_tokens, swap_tokens):
        assert noise(ids, 0.3, random.Random(1)) == noise(ids, 0.3, random.Random(1))
        assert noise(ids, 0.3, random.Random(1)) != noise(ids, 0.3, random.Random(2))


def test_every_token_is_as_likely_to_be_the_last_one_left():
    left = Counter(
        drop_tokens([5, 6, 7, EOS], 0.9999, random.Random(seed))[0] for seed in range(600)
    )
    assert all(140 < left[token] < 260 for token in (5, 6, 7))


def test_a_sequence_without_an_end_mark_or_any_token_is_kept():
    rng = random.Random(0)
    assert drop_tokens([], 0.5, rng) == swap_tokens([], 0.5, rng) == []
    assert drop_tokens([EOS], 0.5, rng) == swap_tokens([EOS], 0.5, rng) == [EOS]
    assert drop_tokens([7], 0.99, rng) == [7]


def test_back_translation_pairs_made_sources_with_real_targets():
    seen, progress = [], []

    def translate(texts):
        seen.append(len(texts))
        return [
            "" if "nothing" in text else text if "same" in text else f" EN {text} "
            for text in texts
        ]

    targets = [f"Satz {n}" for n in range(300)] + ["nothing", "same", "Satz 1"]
    pairs = back_translated(targets, translate, lambda *numbers: progress.append(numbers))
    assert pairs == [(f"EN Satz {n}", f"Satz {n}") for n in range(300)]
    assert seen == [256, 46]
    assert progress == [(256, 302, 0), (302, 302, 2)]
    with pytest.raises(DataError, match="gave 1 texts for 2"):
        back_translated(["a", "b"], lambda texts: texts[:1])
