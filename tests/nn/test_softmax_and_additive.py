"""Softmax regression and additive attention against closed forms, torch's own and finite
differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from llm_magics.nn.additive_attention import AdditiveAttention
from llm_magics.nn.softmax_regression import SoftmaxRegression


def test_probabilities_are_the_formula_and_sum_to_one():
    torch.manual_seed(0)
    model = SoftmaxRegression(4, 3).double()
    nn.init.normal_(model.alpha)
    x = torch.randn(5, 4).double()
    exponentials = torch.exp(torch.stack([x @ model.alpha[c] for c in range(3)], 1))
    torch.testing.assert_close(model(x).exp(), exponentials / exponentials.sum(1, keepdim=True))


def test_loss_and_gradient_equal_torchs_cross_entropy_and_finite_differences():
    torch.manual_seed(1)
    model = SoftmaxRegression(4, 3).double()
    nn.init.normal_(model.alpha)
    x, y = torch.randn(6, 4).double(), torch.tensor([0, 1, 2, 2, 1, 0])
    loss = model.loss(x, y)
    expected = nn.functional.cross_entropy(x @ model.alpha.T, y)
    torch.testing.assert_close(loss, expected)
    (grad,) = torch.autograd.grad(loss, model.alpha)
    with torch.no_grad():
        for c, n in ((0, 0), (2, 3)):
            model.alpha[c, n] += 1e-6
            above = model.loss(x, y)
            model.alpha[c, n] -= 2e-6
            below = model.loss(x, y)
            model.alpha[c, n] += 1e-6
            assert grad[c, n].item() == pytest.approx((above - below).item() / 2e-6, rel=1e-5)


def test_scores_in_the_thousands_neither_overflow_nor_vanish():
    model = SoftmaxRegression(1, 2)
    with torch.no_grad():
        model.alpha.copy_(torch.tensor([[1000.0], [-1000.0]]))
    assert model(torch.tensor([[5.0]])).tolist() == [[0.0, -10_000.0]]


def test_separable_points_are_learned():
    torch.manual_seed(0)
    x = torch.tensor([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    y = torch.tensor([0, 0, 1, 1])
    model = SoftmaxRegression(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(200):
        optimizer.zero_grad()
        model.loss(x, y).backward()
        optimizer.step()
    assert model(x).argmax(-1).tolist() == y.tolist()
    assert model.loss(x, y).item() < 0.1 < math.log(2)


def test_additive_attention_is_its_formula_and_ignores_padding():
    torch.manual_seed(2)
    attention = AdditiveAttention(3, 5, 4).double()
    query, keys = torch.randn(2, 3).double(), torch.randn(2, 6, 5).double()
    padding = torch.zeros(2, 6, dtype=torch.bool)
    padding[1, 4:] = True
    context, weights = attention(query, keys, padding)
    for b, length in ((0, 6), (1, 4)):
        energies = torch.stack(
            [
                attention.score.weight[0]
                @ torch.tanh(attention.query.weight @ query[b] + attention.key.weight @ keys[b, s])
                for s in range(length)
            ]
        )
        expected = energies.exp() / energies.exp().sum()
        torch.testing.assert_close(weights[b, :length], expected)
        torch.testing.assert_close(context[b], (expected[:, None] * keys[b, :length]).sum(0))
    assert weights[1, 4:].eq(0).all()
