"""Attention against torch's own layers with copied weights, in float64: values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from llm_magics.nn import MultiHeadAttention, causal_mask, scaled_dot_product

B, T, S, D, H = 3, 5, 7, 16, 4


def twin(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    """torch's layer with the same weights."""
    theirs = nn.MultiheadAttention(ours.d_model, ours.n_head, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(
            torch.cat([ours.query.weight, ours.key.weight, ours.value.weight])
        )
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)
    return theirs


@pytest.fixture
def layer() -> MultiHeadAttention:
    torch.manual_seed(0)
    return MultiHeadAttention(D, H).double()


def test_values_and_gradients_equal_torchs_layer(layer):
    theirs = twin(layer)
    x, memory = torch.randn(B, T, D).double().requires_grad_(), torch.randn(B, S, D).double()
    padding = torch.zeros(B, S, dtype=torch.bool)
    padding[1, 4:] = True
    ours_out = layer(x, padding[:, None, None], memory)
    (ours_grad,) = torch.autograd.grad(ours_out.square().sum(), x)
    theirs_out, _ = theirs(x, memory, memory, key_padding_mask=padding)
    (theirs_grad,) = torch.autograd.grad(theirs_out.square().sum(), x)
    torch.testing.assert_close(ours_out, theirs_out)
    torch.testing.assert_close(ours_grad, theirs_grad)


def test_causal_equals_torch_with_a_causal_mask(layer):
    x = torch.randn(B, T, D).double()
    expected, _ = twin(layer)(x, x, x, attn_mask=causal_mask(T))
    torch.testing.assert_close(layer(x, causal=True), expected)
    torch.testing.assert_close(layer(x, causal_mask(T)), expected)


def test_future_tokens_have_no_influence(layer):
    x = torch.randn(1, T, D).double()
    changed = x.clone()
    changed[:, 3:] += 1
    torch.testing.assert_close(layer(x, causal=True)[:, :3], layer(changed, causal=True)[:, :3])
    assert not torch.allclose(layer(x, causal=True)[:, 3:], layer(changed, causal=True)[:, 3:])


def test_cached_keys_give_the_last_rows_of_the_whole(layer):
    x = torch.randn(B, T, D).double()
    whole = layer(x, causal=True)
    part = layer(x[:, 3:], causal=True, past=layer.project(x))
    torch.testing.assert_close(part, whole[:, 3:])


def test_the_written_out_formula_equals_the_fused_kernel():
    torch.manual_seed(1)
    q, k, v = torch.randn(2, 4, T, 8), torch.randn(2, 4, S, 8), torch.randn(2, 4, S, 8)
    hidden = torch.rand(T, S) < 0.3
    hidden[:, 0] = False
    out, weights = scaled_dot_product(q, k, v, hidden)
    expected = nn.functional.scaled_dot_product_attention(q, k, v, ~hidden)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, T))
    assert weights[..., hidden].eq(0).all()


def test_scores_are_divided_by_the_root_of_the_head_width():
    """A closed form: one query, two keys; softmax of q·k/√d_k."""
    q, k = torch.tensor([[2.0, 0, 0, 0]]), torch.tensor([[3.0, 0, 0, 0], [0, 0, 0, 0]])
    _, weights = scaled_dot_product(q, k, k)
    expected = torch.tensor([[torch.e**3, 1.0]])  # 2·3/√4 = 3
    torch.testing.assert_close(weights, expected / expected.sum())


def test_head_widths_of_keys_and_values_may_differ():
    layer = MultiHeadAttention(D, 3, d_k=5, d_v=6).double()
    assert layer(torch.randn(2, T, D).double()).shape == (2, T, D)
    assert layer.query.weight.shape == (15, D)
    assert layer.output.weight.shape == (D, 18)


def test_a_width_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="d_model=10 is not divisible by n_head=4"):
        MultiHeadAttention(10, 4)


def test_the_observer_sees_what_is_computed(layer):
    calls = []
    layer.observer = calls.append
    x = torch.randn(B, T, D).double()
    out = layer(x, causal=True)
    (call,) = calls
    value = layer.project(x)[1]
    assert call.scaling == pytest.approx((D / H) ** -0.5)
    heads, _ = scaled_dot_product(call.query, call.key, value, causal_mask(T))
    torch.testing.assert_close(layer.output(heads.transpose(1, 2).flatten(2)), out)
