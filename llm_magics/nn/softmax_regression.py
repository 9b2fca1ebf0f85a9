"""Softmax regression: the smallest model with a probability for every class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["SoftmaxRegression", "log_probabilities"]


def log_probabilities(scores: Tensor) -> Tensor:
    """Scores s (…, C) → log P (…, C), log P_c = s_c - logsumexp_j s_j; exp of a row sums to 1. At
    least in float32."""
    if scores.dtype in (torch.bfloat16, torch.float16):
        scores = scores.float()
    return scores - scores.logsumexp(-1, keepdim=True)


class SoftmaxRegression(nn.Module):
    r"""P(y = c | X, α) = exp(α_cᵀX) / Σ_j exp(α_jᵀX), with X (N,) features, α (C, N), c one of C
    classes.

    Computed in log space, log P = α_cᵀX - logsumexp_j α_jᵀX, so that large scores neither overflow
    nor vanish. The formula has no bias: append a feature that is always 1 to have one. α starts at
    zero, where every class is equally probable; the loss is convex, so the start does not matter. N
    → ``n_features``, C → ``n_classes``.
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(n_classes, n_features))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, N) → log-probabilities (B, C); exp of a row sums to 1."""
        return log_probabilities(x @ self.alpha.T)  # (B, C)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean of -log P(y | x) over the batch, in nats; y (B,) class numbers."""
        return -self(x).gather(-1, y[:, None]).mean()
