"""Rollout against the explicit product, flow against networkx and against every cut there is."""

from __future__ import annotations

import itertools

import pytest
import torch

from llm_magics.attention.measures import blocks, flow, rollout
from llm_magics.attention.measures.flow import MAX_TOKENS
from llm_magics.errors import AttentionError


def mixed(maps):
    """Ā = (mean over heads + I) / 2 of every layer, (L, T, T)."""
    return (maps.mean(1) + torch.eye(maps.shape[-1])) / 2


def test_rollout_is_the_product_of_all_layers(store_of, random_maps, monkeypatch):
    maps = random_maps(4, 3, 7)
    product = torch.linalg.multi_dot(list(mixed(maps).flip(0)))
    store = store_of(maps)
    torch.testing.assert_close(rollout(store).double(), product, atol=1e-6, rtol=1e-5)
    monkeypatch.setattr(blocks, "_ENTRIES", 14)  # two rows at a time
    torch.testing.assert_close(
        rollout(store, rows=[5, 1]).double(), product[[5, 1]], atol=1e-6, rtol=1e-5
    )


def test_rollout_of_a_toy_model_by_hand(store_of):
    # Two layers, two tokens. Ā_1 = [[1, 0], [.5, .5]], Ā_2 = [[.5, .5], [0, 1]]; Ā_2 Ā_1 = [[.75,
    # .25], [.5, .5]].
    maps = torch.tensor([[[[1.0, 0], [1, 0]]], [[[0, 1.0], [0, 1]]]])
    assert rollout(store_of(maps)).tolist() == [[0.75, 0.25], [0.5, 0.5]]


def test_rollout_of_attention_to_oneself_is_the_identity_and_one_layer_is_half_of_it(
    store_of, random_maps
):
    assert torch.equal(rollout(store_of(torch.eye(5).expand(3, 2, 5, 5))), torch.eye(5))
    maps = random_maps(3, 2, 5)
    torch.testing.assert_close(
        rollout(store_of(maps), layers=1).double(), mixed(maps)[0], atol=1e-6, rtol=1e-5
    )


def test_rollout_keeps_rows_stochastic_and_the_future_hidden(store_of, random_maps):
    rolled = rollout(store_of(random_maps(5, 2, 9, causal=True)))
    torch.testing.assert_close(rolled.sum(-1), torch.ones(9))
    assert rolled.triu(1).eq(0).all()


def test_flow_of_one_layer_is_its_capacities(store_of, random_maps):
    maps = random_maps(1, 3, 6)
    for row in range(6):
        torch.testing.assert_close(
            flow(store_of(maps), row).double(), mixed(maps)[0, row], atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("causal", [False, True])
def test_flow_is_the_maximum_flow_of_networkx(causal, store_of, random_maps):
    networkx = pytest.importorskip("networkx")
    maps = random_maps(3, 2, 6, causal)
    capacities, graph = mixed(maps), networkx.DiGraph()
    for layer, i, j in itertools.product(range(3), range(6), range(6)):
        graph.add_edge((layer + 1, i), (layer, j), capacity=float(capacities[layer, i, j]))
    for row in (2, 5):
        expected = [networkx.maximum_flow_value(graph, (3, row), (0, token)) for token in range(6)]
        torch.testing.assert_close(
            flow(store_of(maps), row), torch.tensor(expected), atol=1e-5, rtol=1e-5
        )


def test_flow_is_the_smallest_cut(store_of, random_maps):
    maps = random_maps(2, 1, 3, seed=4)
    capacities = mixed(maps)
    edges = [
        ((layer + 1, i), (layer, j), float(capacities[layer, i, j]))
        for layer, i, j in itertools.product(range(2), range(3), range(3))
    ]
    middle = [(1, i) for i in range(3)] + [(2, i) for i in (0, 1)] + [(0, i) for i in (1, 2)]

    def cut(inside):
        return sum(
            capacity for start, end, capacity in edges if start in inside and end not in inside
        )

    smallest = min(
        cut({(2, 2), *extra})
        for count in range(len(middle) + 1)
        for extra in itertools.combinations(middle, count)
    )
    assert flow(store_of(maps), 2)[0].item() == pytest.approx(smallest, abs=1e-5)


def test_a_text_too_long_for_flow_and_two_texts_are_refused_in_one_line(store_of):
    with pytest.raises(AttentionError, match="each of 65 tokens.*use rollout"):
        flow(store_of(torch.eye(MAX_TOKENS + 1)[None, None]), 0)
    with pytest.raises(AttentionError, match="cross-attention joins two"):
        rollout(store_of(torch.eye(3)[None, None], kind="cross"), "cross")
