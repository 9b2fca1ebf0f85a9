"""Additive attention: the score that came before the dot product."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["AdditiveAttention"]


class AdditiveAttention(nn.Module):
    """e_s = vᵀ tanh(W q + U k_s),  a = softmax(e),  context = Σ_s a_s k_s

    with the query q (Q,), keys k_s (N,), W (A, Q), U (A, N), v (A,). Source: Bahdanau, Cho & Bengio
    2015, appendix A.1.2. Q → ``query_size``, N → ``key_size``, A → ``attention_size``.

    Set ``observer`` to a callable to be given the weights (B, S) of every call.
    """

    def __init__(self, query_size: int, key_size: int, attention_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, attention_size, bias=False)
        self.key = nn.Linear(key_size, attention_size, bias=False)
        self.score = nn.Linear(attention_size, 1, bias=False)
        self.observer: Callable[[Tensor], None] | None = None

    def forward(
        self,
        query: Tensor,
        keys: Tensor,
        padding_mask: Tensor | None = None,
        projected: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """query (B, Q), keys (B, S, N), padding_mask (B, S), True = padding → context (B, N),
        weights (B, S).

        projected: U k_s of every key, (B, S, A) = `self.key(keys)`, where many queries ask the same
        keys.
        """
        projected = self.key(keys) if projected is None else projected
        scores = self.score(torch.tanh(self.query(query)[:, None] + projected))[..., 0]  # (B, S)
        if padding_mask is not None:
            scores = scores.masked_fill(padding_mask, -math.inf)
        weights = scores.softmax(-1)  # (B, S)
        if self.observer is not None:
            self.observer(weights)
        return (weights[:, None] @ keys)[:, 0], weights
