"""bertviz's views on captured maps: the numbers, the escaping, what it costs, and scripts without a
network."""

from __future__ import annotations

import json

import pytest
import torch

from llm_magics.attention import bertviz_bridge
from llm_magics.attention.bertviz_bridge import bertviz_cost, bertviz_parts
from llm_magics.attention.store import AttentionStore, Layer, Panel
from llm_magics.errors import AttentionError

ROWS, COLUMNS = ["a", "</script><script>alert(1)", "ü"], ["x", "y", "<!--", "z"]


def layer(heads: int, rows: int, columns: int, key_heads: int | None = None, hidden=None) -> Layer:
    return Layer(
        torch.randn(heads, rows, 8), torch.randn(key_heads or heads, columns, 8), 0.7, hidden
    )


@pytest.fixture
def store() -> AttentionStore:
    torch.manual_seed(0)
    future = torch.ones(3, 3, dtype=torch.bool).triu(1)
    return AttentionStore(
        "two stacks",
        [
            Panel("encoder", [layer(4, 4, 4, 2) for _ in range(3)], COLUMNS, COLUMNS),
            Panel("decoder", [layer(2, 3, 3, hidden=future)], ROWS, ROWS),
            Panel("cross", [layer(2, 3, 4)], ROWS, COLUMNS),
        ],
    )


def parameters(parts) -> dict:
    return json.loads(json.dumps(parts.data))["parameters"]


@pytest.mark.parametrize("view", ["head", "model"])
@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_the_views_get_the_captured_weights(store, view, kind):
    data = parameters(bertviz_parts(store, view, kind=kind))["attention"][0]
    panel = store.panel(kind)
    assert data["left_text"] == panel.rows
    assert data["right_text"] == panel.columns
    heads, layers = range(panel.heads), range(len(panel.layers))
    expected = torch.stack(
        [torch.stack([store.weights(kind, i, head) for head in heads]) for i in layers]
    )
    torch.testing.assert_close(torch.tensor(data["attn"]), expected, atol=5.1e-5, rtol=0)


@pytest.mark.parametrize(
    ("kind", "bidirectional"), [("encoder", True), ("decoder", False), ("cross", True)]
)
def test_the_neuron_view_computes_the_models_own_weights(store, kind, bidirectional):
    given = parameters(bertviz_parts(store, "neuron", kind=kind, layer=0, head=1))
    assert given["bidirectional"] is bidirectional
    assert (given["layer"], given["head"]) == (0, 1)
    data = given["attention"]["all"]
    for head in range(store.panel(kind).heads):
        query, key = torch.tensor(data["queries"][0][head]), torch.tensor(data["keys"][0][head])
        scores = query.double() @ key.double().T / query.shape[-1] ** 0.5  # as neuron_view.js does
        if not bidirectional:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
        torch.testing.assert_close(
            scores.softmax(-1).float(), store.weights(kind, 0, head), atol=2e-3, rtol=0
        )


def test_stacks_of_unequal_depth_are_not_mixed(store):
    page = bertviz_parts(store, "head")
    assert [one["name"] for one in parameters(page)["attention"]] == ["Encoder"]
    assert "decoder, cross attention left out" in page.notice


def test_stacks_of_equal_depth_are_chosen_from_a_list(store):
    page = bertviz_parts(AttentionStore("one", store.panels[1:]), "model")
    assert [one["name"] for one in parameters(page)["attention"]] == ["Decoder", "Cross"]
    assert page.data["controls"] == [("Attention", "filter", ["Decoder", "Cross"])]


def test_the_cost_counts_every_weight(store):
    weights, size = bertviz_cost(store)
    assert weights == 3 * 4 * 16 + 2 * 9 + 2 * 12
    assert size > weights


def test_another_view_is_refused_with_the_three_there_are(store):
    with pytest.raises(AttentionError, match="no 'tree' view; there are head, model, neuron"):
        bertviz_parts(store, "tree")


def test_with_the_scripts_installed_nothing_comes_from_the_network(store):
    pytest.importorskip("mpld3")
    pytest.importorskip("nbclassic")
    page = bertviz_parts(store, "head", kind="cross")
    assert page.remote == []
    assert "CDN" not in page.notice


def test_without_them_the_page_says_that_it_needs_a_network(store, monkeypatch):
    monkeypatch.setattr(
        bertviz_bridge, "_PROVIDERS", {"d3": (("no-such-package", "d3.js"),), "jquery": ()}
    )
    page = bertviz_parts(store, "head", kind="cross")
    assert len(page.remote) == 2
    assert "without a network the view stays empty" in page.notice
    assert "pip install 'llm-magics-notebook[bertviz]'" in page.notice
