"""Batches: every row once, within the budget, in an order that seed and epoch decide."""

from __future__ import annotations

import random

from llm_magics.training.data.batches import batch_of, bucketed

PAIRS = [([4] * (1 + n % 7) + [2], [5] * (1 + n % 5) + [2]) for n in range(300)]


def sizes(pair):
    return len(pair[0]), len(pair[1])


def made(tokens=60, seed=0, epoch=0):
    return list(bucketed(PAIRS, tokens, sizes, seed=seed, epoch=epoch))


def test_the_order_of_batches_is_a_function_of_seed_and_epoch():
    once, again, later, other = (
        [b.rows for b in made(seed=s, epoch=e)] for s, e in ((1, 2), (1, 2), (1, 3), (2, 2))
    )
    assert once == again
    assert once != later
    assert once != other


def test_every_row_comes_once_an_epoch_and_no_batch_exceeds_the_budget():
    batches = made()
    assert sorted(row for batch in batches for row in batch.rows) == list(range(300))
    for position, batch in enumerate(batches):
        assert batch.items == [PAIRS[row] for row in batch.rows]
        assert batch.widths == tuple(
            max(sizes(pair)[side] for pair in batch.items) for side in (0, 1)
        )
        assert batch.cells == len(batch.rows) * sum(batch.widths) <= 120
        assert (batch.position, batch.count) == (position, len(batches))


def test_padding_is_what_is_not_a_token_and_rows_of_one_length_have_none():
    batch = batch_of([0, 1], [([1, 2, 3], [1]), ([1], [1, 2])], sizes)
    assert batch.padding == 1 - 7 / 10
    assert batch_of([0, 1], [([1, 2], [1])] * 2, sizes).padding == 0
    rng = random.Random(0)
    sentences = [
        ([4] * n, [5] * max(1, n + rng.randint(-4, 4)))
        for n in (rng.randint(5, 30) for _ in range(2_000))
    ]
    batches = list(bucketed(sentences, 600, sizes, seed=0, epoch=0))
    shuffled = [
        batch_of(rows, [sentences[r] for r in rows], sizes)
        for rows in (range(i, i + 30) for i in range(0, 1_980, 30))
    ]
    share, unsorted = (
        1 - sum(b.real for b in made) / sum(b.cells for b in made) for made in (batches, shuffled)
    )
    assert share < 0.13
    assert unsorted > 0.4


def test_a_batch_holds_rows_of_several_lengths():
    batches = made(tokens=120)
    assert sum(len({len(target) for _, target in b.items}) for b in batches) / len(batches) > 1.5


def test_a_row_beyond_the_budget_is_a_batch_of_its_own():
    batches = list(bucketed([([1] * 50, [1] * 50), ([1], [1])], 10, sizes, seed=0, epoch=0))
    assert sorted(len(b.rows) for b in batches) == [1, 1]


def test_parts_hold_the_same_rows_within_the_limit():
    batch = max(made(tokens=400), key=lambda b: b.cells)
    parts = batch.parts(sizes, 100)
    assert [row for part in parts for row in part.rows] == batch.rows
    assert all(part.cells <= 100 for part in parts)
    assert len(batch.parts(sizes, 1)) == len(batch.rows)
