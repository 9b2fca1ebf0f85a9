"""Masks in two numbers a row, against the masks they stand for."""

from __future__ import annotations

import pytest
import torch

from llm_magics.attention.layer import Layer
from llm_magics.attention.masks import Memo, Outside, compact, dense, split

CAUSAL = torch.ones(9, 9, dtype=torch.bool).tril()
RUNS = {
    "causal": CAUSAL,
    "sliding window": CAUSAL & ~CAUSAL.tril(-4),
    "a prefix": CAUSAL | (torch.arange(9) < 4),
    "padded on the right": CAUSAL & (torch.arange(9) < 6),
    "padded on the left": CAUSAL & (torch.arange(9) >= 2),
    "a step with cached keys": torch.ones(1, 9, dtype=torch.bool),
    "two texts": torch.block_diag(CAUSAL[:4, :4], CAUSAL[:5, :5]),
}
HOLES = CAUSAL & (torch.arange(9) != 3)


@pytest.mark.parametrize("name", RUNS)
def test_a_mask_of_one_run_a_row_becomes_two_numbers_a_row_and_back(name):
    visible = RUNS[name]
    small = compact(visible)
    assert small is None or isinstance(small, Outside)
    assert torch.equal(dense(small, *visible.shape, device=visible.device), ~visible)


def test_a_mask_with_holes_stays_what_it_is():
    assert torch.equal(compact(HOLES), ~HOLES)
    assert torch.equal(compact(HOLES[None].expand(1, -1, -1)), ~HOLES)


@pytest.mark.parametrize("visible", [*RUNS.values(), HOLES], ids=[*RUNS, "holes"])
def test_rows_are_softmax_over_what_is_seen_and_zero_elsewhere(visible):
    torch.manual_seed(0)
    query, key = torch.randn(2, len(visible), 4), torch.randn(2, 9, 4)
    layer = Layer(query, key, 0.5, compact(visible))
    scores = (query @ key.transpose(1, 2)) * 0.5
    expected = scores.masked_fill(~visible, -torch.inf).softmax(-1).nan_to_num(0.0)
    for head in range(2):
        torch.testing.assert_close(layer.weights(head), expected[head])
        torch.testing.assert_close(
            layer.rows(head, len(visible) // 2, len(visible)), expected[head, len(visible) // 2 :]
        )


def test_a_float_mask_is_split_into_what_hides_and_what_is_added():
    bias = torch.randn(9, 9)
    hidden, added = split(torch.where(CAUSAL, bias, torch.finfo(torch.float32).min)[None])
    assert torch.equal(dense(hidden, 9, 9, bias.device), ~CAUSAL)
    assert torch.equal(added[0][CAUSAL], bias[CAUSAL])
    hidden, added = split(torch.zeros(1, 9, 9).masked_fill(~CAUSAL, -torch.inf))
    assert isinstance(hidden, Outside)
    assert added is None


def test_a_mask_is_worked_on_once_until_it_changes():
    calls, memo, mask = [], Memo(), torch.zeros(3, 3)

    def make(tensor):
        calls.append(tensor)
        return len(calls)

    assert (memo.once(make, mask), memo.once(make, mask[:]), memo.once(make, mask[:2])) == (1, 1, 2)
    mask.add_(1.0)
    assert memo.once(make, mask) == 3
