"""Scaled dot-product attention and multi-head attention, from the formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["AttentionCall", "KeyValue", "MultiHeadAttention", "causal_mask", "scaled_dot_product"]

KeyValue = tuple[Tensor, Tensor]
"""Keys (B, H, S, K) and values (B, H, S, K) that were computed before."""


@dataclass(frozen=True)
class AttentionCall:
    """What one attention layer was about to compute: enough to give its weights later."""

    query: Tensor
    """(B, H, T, K)"""
    key: Tensor
    """(B, H, S, K)"""
    value: Tensor
    """(B, H, S, Kv)"""
    hidden: Tensor | None
    """The mask, broadcastable to (B, H, T, S): bool, True hides; or float, added. None: nothing is
    hidden."""
    causal: bool
    """True: position t sees the positions up to and including t (the last query sees the last
    key)."""
    scaling: float
    """The factor on QKᵀ, 1/√d_k."""


def causal_mask(size: int, device: torch.device | str | None = None) -> Tensor:
    """The mask that hides the future: (T, T) bool, True above the diagonal (True hides)."""
    return torch.ones(size, size, dtype=torch.bool, device=device).triu(1)


def scaled_dot_product(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """softmax(QKᵀ/√d_k)·V, written out; the readable twin of ``torch``'s fused kernel.

    query (…, T, K), key (…, S, K), value (…, S, Kv); mask broadcastable to (…, T, S), True hides
    (or float, added). Returns the output (…, T, Kv) and the weights (…, T, S). A row that hides
    everything gets zero weights. Source: Vaswani et al. 2017, "Attention Is All You Need", section
    3.2.1.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (…, T, S)
    if mask is not None:
        scores = scores.masked_fill(mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(-1).nan_to_num(0.0)  # (…, T, S)
    return weights @ value, weights


class MultiHeadAttention(nn.Module):
    r"""Attention by several heads at once.

    MultiHead(X, M) = Concat(head_1, …, head_h) Wᴼ,  head_i = softmax(Q_i K_iᵀ / √d_k) V_i
    Q_i = X W_iᑫ (T, d_k),  K_i = M W_iᴷ (S, d_k),  V_i = M W_iⱽ (S, d_v),  M = X for self-attention.

    Paper → here: h → ``n_head``, d_model → ``d_model``, d_k → ``d_k``, d_v → ``d_v``, Wᴼ →
    ``output``. Source: Vaswani et al. 2017, section 3.2.2. Departure from the paper: the
    projections carry a bias, as in every widely used implementation, and all heads' projections are
    one matrix.

    Set ``observer`` to a callable to be given an `AttentionCall` before every computation.
    """  # noqa: E501  a table or a pattern

    def __init__(
        self,
        d_model: int,
        n_head: int,
        d_k: int | None = None,
        d_v: int | None = None,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if d_k is None and d_model % n_head:
            raise ValueError(
                f"d_model={d_model} is not divisible by n_head={n_head}; choose another n_head "
                "or give d_k"
            )
        self.d_model, self.n_head, self.dropout = d_model, n_head, dropout
        self.d_k = d_k if d_k is not None else d_model // n_head
        self.d_v = d_v if d_v is not None else self.d_k
        self.query = nn.Linear(d_model, n_head * self.d_k)
        self.key = nn.Linear(d_model, n_head * self.d_k)
        self.value = nn.Linear(d_model, n_head * self.d_v)
        self.output = nn.Linear(n_head * self.d_v, d_model)
        self.observer: Callable[[AttentionCall], None] | None = None

    def project(self, memory: Tensor) -> KeyValue:
        """Keys (B, H, S, d_k) and values (B, H, S, d_v) of `memory` (B, S, D)."""
        return self._heads(self.key(memory)), self._heads(self.value(memory))

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        memory: Tensor | None = None,
        *,
        causal: bool = False,
        past: KeyValue | None = None,
    ) -> Tensor:
        """Attend from `x` (B, T, D) to `memory` (B, S, D), or to `x` itself; returns (B, T, D).

        mask: broadcastable to (B, H, T, S), True hides (or float, added to the scores).
        causal: hide the future as well; cheaper than a mask that says the same.
        past: keys and values to use in place of those of `memory` (see `project`).
        """
        query = self._heads(self.query(x))  # (B, H, T, d_k)
        key, value = past if past is not None else self.project(x if memory is None else memory)
        if self.observer is not None:
            self.observer(AttentionCall(query, key, value, mask, causal, 1 / math.sqrt(self.d_k)))
        heads = _attend(
            query, key, value, mask, causal, self.dropout if self.training else 0.0
        )  # (B, H, T, d_v)
        return self.output(heads.transpose(1, 2).flatten(2))  # (B, T, D)

    def _heads(self, projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (self.n_head, -1)).transpose(1, 2)  # (B, H, T, K)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, dropout: float
) -> Tensor:
    """The fused form of `scaled_dot_product`: (B, H, T, d_v)."""
    if causal and query.shape[-2] != key.shape[-2]:
        # The kernel aligns a causal mask at the top left; with cached keys the last query must see
        # the last key.
        hidden = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device)
        hidden = hidden.triu(key.shape[-2] - query.shape[-2] + 1)  # (T, S)
        mask, causal = (hidden if mask is None else _both(mask, hidden)), False
    elif causal and mask is not None:
        mask, causal = _both(mask, causal_mask(query.shape[-2], query.device)), False
    if mask is not None and mask.dtype == torch.bool:
        mask = ~mask  # the kernel's True means "may attend"
    return F.scaled_dot_product_attention(query, key, value, mask, dropout, causal)


def _both(mask: Tensor, hidden: Tensor) -> Tensor:
    return mask | hidden if mask.dtype == torch.bool else mask.masked_fill(hidden, -math.inf)
