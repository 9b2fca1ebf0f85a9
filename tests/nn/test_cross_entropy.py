"""The cross-entropy without logits in memory against torch's with them, in float64: values and
gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from llm_magics.nn.cross_entropy import linear_cross_entropy

D, V = 5, 11


def case(rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(rows)
    hidden, weight, bias = (
        torch.randn(*shape, dtype=torch.float64).requires_grad_()
        for shape in ((rows, D), (V, D), (V,))
    )
    return hidden, weight, bias, torch.randint(0, V, (rows,))


@pytest.mark.parametrize("rows", [1, 7, 256, 257, 700])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_value_and_gradients_equal_torchs(rows, smoothing):
    hidden, weight, bias, targets = case(rows)
    targets[::3] = -100
    if rows == 1:
        targets[0] = 4
    loss = linear_cross_entropy(hidden, weight, bias, targets, label_smoothing=smoothing)
    expected = F.cross_entropy(
        F.linear(hidden, weight, bias), targets, reduction="sum", label_smoothing=smoothing
    )
    torch.testing.assert_close(
        loss.double(), expected, rtol=1e-6, atol=0
    )  # the sum is kept in float32
    mine = torch.autograd.grad(3 * loss, (hidden, weight, bias))
    for one, other in zip(
        mine, torch.autograd.grad(3 * expected, (hidden, weight, bias)), strict=True
    ):
        torch.testing.assert_close(one, other)
    assert not mine[0][targets == -100].any()
    with torch.no_grad():
        assert linear_cross_entropy(hidden, weight, bias, targets, label_smoothing=smoothing).equal(
            loss
        )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_gradients_are_finite_differences(smoothing):
    hidden, weight, bias, targets = case(6)
    targets[2] = 0  # to be left out below, as a padding id would be
    grads = torch.autograd.grad(
        linear_cross_entropy(
            hidden, weight, bias, targets, ignore_index=0, label_smoothing=smoothing
        ),
        (hidden, weight, bias),
    )

    def written_out() -> torch.Tensor:
        log_p = (hidden @ weight.T + bias).log_softmax(-1)[targets != 0]
        asked = targets[targets != 0]
        return -(
            (1 - smoothing) * log_p[range(len(asked)), asked] + smoothing * log_p.mean(-1)
        ).sum()

    for tensor, grad in zip((hidden, weight, bias), grads, strict=True):
        with torch.no_grad():
            flat = tensor.view(-1)
            for place in range(0, tensor.numel(), 4):
                flat[place] += 1e-6
                above = written_out()
                flat[place] -= 2e-6
                below = written_out()
                flat[place] += 1e-6
                difference = (above - below).item() / 2e-6
                assert grad.reshape(-1)[place].item() == pytest.approx(
                    difference, rel=1e-5, abs=1e-7
                )


def test_large_scores_neither_overflow_nor_vanish():
    hidden = torch.tensor([[1000.0]], requires_grad=True)
    weight, bias = torch.tensor([[1.0], [-1.0]]), torch.zeros(2)
    assert linear_cross_entropy(hidden, weight, bias, torch.tensor([0])).item() == 0.0
    assert linear_cross_entropy(hidden, weight, bias, torch.tensor([1])).item() == 2000.0


def test_rows_without_a_target_cost_nothing():
    hidden, weight, bias, targets = case(4)
    loss = linear_cross_entropy(hidden, weight, bias, targets.fill_(-100), label_smoothing=0.1)
    assert loss.item() == 0.0
    assert not any(grad.any() for grad in torch.autograd.grad(loss, (hidden, weight, bias)))


def test_under_autocast_the_loss_is_torchs_too():
    hidden, weight, bias, targets = (t.float() if t.is_floating_point() else t for t in case(9))
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cross_entropy(hidden, weight, bias, targets)
    logits = F.linear(hidden.bfloat16(), weight.bfloat16(), bias.bfloat16()).float()
    expected = F.cross_entropy(logits, targets, reduction="sum")
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-2)
