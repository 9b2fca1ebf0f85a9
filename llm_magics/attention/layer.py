"""One attention layer of one text: what it was given, and from it any part of any head's map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_magics.attention.masks import Outside
from llm_magics.attention.packed import Packed

__all__ = ["Layer", "MapLayer"]


@dataclass(frozen=True, eq=False)
class Layer:
    """An attention layer's inputs, from which its weights follow:

        A = softmax(c(Q Kᵀ · scaling) + bias),   c(x) = softcap · tanh(x / softcap), or x without a softcap

    Hidden keys have weight 0. With sinks, the logit of one more key that has no value takes part in
    the softmax, and rows sum to less than 1. Sources: Vaswani et al. 2017, section 3.2.1; Gemma
    Team 2024 (soft-capping); Agarwal et al. 2025 (gpt-oss, sinks).
    """  # noqa: E501  a table or a pattern

    query: Tensor | Packed
    """Q (H, T, K)"""
    key: Tensor | Packed
    """K (Hkv, S, K); Hkv < H with grouped queries: heads h·H/Hkv to (h+1)·H/Hkv - 1 share key head
    h."""
    scaling: float
    """The factor on QKᵀ."""
    hidden: Outside | Tensor | None = None
    """Which keys are hidden: `Outside`; or (T, S), (1, S) or (H, T, S) bool, True hides; None:
    nothing."""
    bias: Tensor | None = None
    """(H, T, S) or (1, T, S) added to the scores, or None."""
    softcap: float | None = None
    sinks: Tensor | None = None
    """(H,) logits of the keys without a value, or None."""
    value: Tensor | None = None
    """V (Hkv, S, Kv), captured with `values=True`."""
    project: Tensor | None = None
    """W_O by heads, (H, Kv, D): head h adds A_h V_h project[h] to the output. With `values=True`,
    where it was found."""

    @property
    def heads(self) -> int:
        """H, the number of query heads."""
        return self.query.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(T, S), the size of a head's map."""
        return self.query.shape[1], self.key.shape[1]

    def key_head(self, head: int) -> int:
        """The head of K and V that this query head uses."""
        return head * self.key.shape[0] // self.heads

    def alone(self, head: int) -> Layer:
        """A layer of this head alone, as head 0, its queries and keys in float32: for many blocks
        of its map."""

        def part(of_heads: Tensor | None) -> Tensor | None:
            return of_heads if of_heads is None or len(of_heads) == 1 else of_heads[head : head + 1]

        hidden = (
            part(self.hidden)
            if isinstance(self.hidden, Tensor) and self.hidden.dim() == 3
            else self.hidden
        )
        own = self.key_head(head)
        return Layer(
            self.query[head : head + 1].float(),
            self.key[own : own + 1].float(),
            self.scaling,
            hidden,
            part(self.bias),
            self.softcap,
            part(self.sinks),
        )

    def weights(self, head: int) -> Tensor:
        """A of one head: (T, S) float32; a row that sees nothing is 0."""
        return self.rows(head, 0, self.size[0])

    def rows(self, head: int, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` (excluded) of one head's map, (stop - start, S) float32; no more
        is ever in memory."""
        first, block = self.block(head, start, stop)
        if block.shape[1] == self.size[1]:
            return block
        return torch.nn.functional.pad(block, (first, self.size[1] - first - block.shape[1]))

    def block(self, head: int, start: int, stop: int) -> tuple[int, Tensor]:
        """As `rows`, without the keys that none of these rows sees: (first key, weights (stop -
        start, keys))."""
        first, last = (
            self.hidden.bounds(start, stop)
            if isinstance(self.hidden, Outside)
            else (0, self.size[1])
        )
        scores = self.scores(head, start, stop, first, last)  # (t, s)
        if self.sinks is not None:
            sink = self.sinks[head].float().expand(len(scores), 1)
            weights = torch.cat([scores, sink], -1).softmax(-1)[:, :-1]
        else:
            weights = scores.softmax(-1)
        return first, weights.nan_to_num_(0.0) if self.hidden is not None else weights

    def scores(self, head: int, start: int, stop: int, first: int, last: int) -> Tensor:
        """What the softmax is given for these queries and the keys `first` to `last` (excluded):
        (t, s) float32."""
        key = self.key[self.key_head(head), first:last].float()  # (s, K)
        scores = (self.query[head, start:stop].float() * self.scaling) @ key.T  # (t, s)
        if self.softcap is not None:
            scores = scores.div_(self.softcap).tanh_().mul_(self.softcap)
        if self.bias is not None:
            scores += self.bias[head if self.bias.shape[0] > 1 else 0, start:stop, first:last]
        if self.hidden is None:
            return scores
        if isinstance(self.hidden, Outside):
            return self.hidden.hide(scores, start, first)
        mask = (
            self.hidden[head if self.hidden.shape[0] > 1 else 0]
            if self.hidden.dim() == 3
            else self.hidden
        )
        return scores.masked_fill_(
            (mask[start:stop] if mask.shape[0] > 1 else mask)[:, first:last], -math.inf
        )


@dataclass(frozen=True, eq=False)
class MapLayer:
    """A layer of which only the weights are known: additive attention, and models that compute in
    their own way."""

    maps: Tensor
    """(H, T, S), kept in half precision where they come from a large model."""

    @property
    def heads(self) -> int:
        """H, the number of heads."""
        return self.maps.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(T, S), the size of a head's map."""
        return self.maps.shape[1], self.maps.shape[2]

    def weights(self, head: int) -> Tensor:
        """One head's map, (T, S) float32."""
        return self.maps[head].float()

    def alone(self, head: int) -> MapLayer:
        """A layer of this head alone, as head 0."""
        return MapLayer(self.maps[head : head + 1])

    def rows(self, head: int, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` (excluded) of one head's map, (stop - start, S) float32."""
        return self.maps[head, start:stop].float()

    def block(self, head: int, start: int, stop: int) -> tuple[int, Tensor]:
        """(0, rows): every key counts as seen."""
        return 0, self.rows(head, start, stop)
