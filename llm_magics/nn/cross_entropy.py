"""Cross-entropy of a large vocabulary without keeping its logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["linear_cross_entropy"]

_ROWS = 256
"""Rows whose logits are in memory at once: few enough for the processor's cache, enough for a full
matrix product."""


class _LinearCrossEntropy(torch.autograd.Function):
    """The gradient is found in the forward pass, block by block, so that no (N, V) tensor outlives
    its block."""

    @staticmethod
    def forward(
        ctx,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        ignore_index: int,
        smoothing: float,
        learning: bool,
    ) -> Tensor:
        kept = targets != ignore_index  # (N,)
        vocab_size, total = weight.shape[0], hidden.new_zeros((), dtype=torch.float32)
        d_hidden, d_weight, d_bias = (
            torch.empty_like(hidden),
            torch.zeros_like(weight),
            torch.zeros_like(bias),
        )
        for start in range(0, len(targets), _ROWS):
            block = slice(start, start + _ROWS)
            target, keep = (
                targets[block, None].masked_fill(~kept[block, None], 0),
                kept[block, None],
            )  # (R, 1)
            logits = torch.addmm(bias, hidden[block], weight.T)  # (R, V)
            at_target, mean = (
                logits.gather(1, target),
                logits.mean(1, keepdim=True) if smoothing else 0.0,
            )
            peak = logits.amax(1, keepdim=True)
            exponentials = logits.sub_(peak).exp_()
            normaliser = exponentials.sum(1, keepdim=True)
            losses = (
                normaliser.log() + peak - (1 - smoothing) * at_target - smoothing * mean
            )  # (R, 1)
            total += losses.masked_fill(~keep, 0.0).sum()
            if not learning:
                continue
            # d loss / d logits = softmax - (1 - ε)·onehot - ε/V, for the rows that count
            counted = keep.to(hidden.dtype)
            gradient = exponentials.mul_(counted / normaliser)
            if smoothing:
                gradient.sub_(counted * (smoothing / vocab_size))
            gradient.scatter_add_(1, target, counted * (smoothing - 1.0))
            torch.mm(gradient, weight, out=d_hidden[block])
            d_weight.addmm_(gradient.T, hidden[block])
            d_bias += gradient.sum(0)
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor):
        d_hidden, d_weight, d_bias = ctx.saved_tensors
        return d_hidden * gradient, d_weight * gradient, d_bias * gradient, None, None, None, None


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The sum over rows of -Σ_c q_c log softmax(hidden Wᵀ + b)_c, in nats; a scalar float32.

    hidden (N, D), weight (V, D), bias (V,), targets (N,) class numbers; q is (1 - ε) on the target
    and ε/V on every class, with ε = label_smoothing; rows whose target is ignore_index count
    nothing. Equal to ``F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum",
    …)`` in value and first gradient, without the (N, V) logits in memory. (torch 2.13's
    ``F.linear_cross_entropy`` chunks too, but not with label smoothing.)
    """
    if torch.is_autocast_enabled(
        hidden.device.type
    ):  # the products are to be in the low precision, the sums not
        return F.cross_entropy(
            F.linear(hidden, weight, bias).float(),
            targets,
            reduction="sum",
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        )
    return _LinearCrossEntropy.apply(
        hidden, weight, bias, targets, ignore_index, label_smoothing, torch.is_grad_enabled()
    )
