"""Norms against the attention output that a model really computes."""

from __future__ import annotations

import pytest
import torch

from llm_magics.attention import explore
from llm_magics.attention.layer import Layer
from llm_magics.attention.measures import measure, norm_lens, value_norms
from llm_magics.errors import AttentionError

TEXT = "the cat sat on the mat"
FAMILIES = [
    ("bert", "AutoModel", "encoder", "attention.output.dense"),
    ("gpt2", "AutoModelForCausalLM", "causal", "c_proj"),
    ("llama", "AutoModelForCausalLM", "causal", "o_proj"),
]


def attention_outputs(model, ending):
    """What each attention layer's output projection gave, (T, D), and its bias."""
    outputs, handles = [], []
    for name, part in model.module.named_modules():
        if name.endswith(ending) and "mlp" not in name:
            handles.append(
                part.register_forward_hook(
                    lambda part, _, output: outputs.append((output[0], part.bias))
                )
            )
    store = explore(model, TEXT, values=True)
    for handle in handles:
        handle.remove()
    return store, outputs


@pytest.mark.parametrize(("family", "auto", "kind", "ending"), FAMILIES)
def test_the_weighted_vectors_add_up_to_the_attention_output_and_their_norms_are_the_measure(
    family, auto, kind, ending, tiny
):
    store, outputs = attention_outputs(tiny(family, auto, kind), ending)
    layers = store.panel("self").layers
    assert len(layers) == len(outputs) == 2
    for layer, (output, bias) in zip(layers, outputs, strict=True):
        values = layer.value.repeat_interleave(layer.heads // layer.value.shape[0], 0)  # (H, S, Kv)
        transformed = torch.einsum("hsk,hkd->hsd", values, layer.project)  # f(x_j) of each head
        alpha = torch.stack([layer.weights(head) for head in range(layer.heads)])
        together = torch.einsum("hts,hsd->td", alpha, transformed)
        torch.testing.assert_close(
            together + (0 if bias is None else bias), output, atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(
            value_norms(layer), transformed.norm(dim=-1), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize(("family", "auto", "kind", "ending"), FAMILIES)
def test_a_map_by_norm_is_the_weight_times_the_norm_and_rows_sum_to_one(
    family, auto, kind, ending, tiny
):
    store = explore(tiny(family, auto, kind), TEXT, values=True)
    lens = norm_lens(store)
    for number, layer in enumerate(store.panel("self").layers):
        norms = value_norms(layer)
        for head in range(layer.heads):
            product = layer.weights(head) * norms[head]
            expected = product / product.sum(-1, keepdim=True)
            torch.testing.assert_close(
                lens.weights("self", number, head), expected, atol=1e-6, rtol=1e-4
            )
            torch.testing.assert_close(
                lens.panels[0].layers[number].rows(head, 2, 4), expected[2:4], atol=1e-6, rtol=1e-4
            )
    assert lens.atlas("self", 4)[1:] == store.atlas("self", 4)[1:]
    assert not torch.equal(
        measure(lens, "self", "first-token"), measure(store, "self", "first-token")
    )


def test_a_bias_stays_in_a_map_by_norm_and_a_sink_without_a_value_leaves_it(store_of):
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 5, 4, generator=draw) for _ in range(3))
    bias = torch.randn(2, 5, 5, generator=draw)
    layer = Layer(
        query,
        key,
        0.5,
        bias=bias,
        sinks=torch.tensor([0.3, -1.0]),
        value=value,
        project=torch.randn(2, 4, 6, generator=draw),
    )
    store = store_of(torch.zeros(1, 2, 5, 5))
    store.panels[0].layers = [layer]
    lens = norm_lens(store)
    for head in range(2):
        product = (query[head] @ key[head].T / 2 + bias[head]).exp() * (
            value[head] @ layer.project[head]
        ).norm(dim=-1)
        torch.testing.assert_close(
            lens.weights("self", 0, head),
            product / product.sum(-1, keepdim=True),
            atol=1e-6,
            rtol=1e-4,
        )


def test_norms_of_our_own_models_follow_the_output_projection(own):
    model = own()
    layer = explore(model, "hello", values=True).panel("self").layers[1]
    weight = model.module.stack.layers[1].self_attention.output.weight  # (D, H·Kv)
    weight = weight.detach()
    expected = [
        [float((layer.value[h, j] @ weight[:, h * 8 : (h + 1) * 8].T).norm()) for j in range(6)]
        for h in range(4)
    ]
    torch.testing.assert_close(value_norms(layer), torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_a_store_without_values_says_how_to_get_them(tiny, store_of):
    with pytest.raises(AttentionError, match="explore the text with values=True"):
        norm_lens(explore(tiny("bert", "AutoModel", "encoder"), TEXT))
    with pytest.raises(AttentionError, match="weights only"):
        norm_lens(store_of(torch.eye(3)[None, None]))
