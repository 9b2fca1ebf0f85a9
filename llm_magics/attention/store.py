"""What a forward pass leaves behind: queries and keys, from which any head's map is computed when asked for.

Keeping Q and K costs O(L·d) a layer; all maps would cost O(H·L²).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from llm_magics.errors import AttentionError

__all__ = ["AttentionStore", "Layer", "Panel", "compand"]

KINDS = ("encoder", "decoder", "cross", "self")


@dataclass(frozen=True)
class Layer:
    """One attention layer's inputs for one text."""

    query: Tensor
    """(H, T, K)"""
    key: Tensor
    """(H or fewer with grouped queries, S, K)"""
    scaling: float
    """The factor on QKᵀ."""
    hidden: Tensor | None = None
    """(T, S) or (1, S) or (H, T, S): bool, True hides; None: nothing is hidden."""
    bias: Tensor | None = None
    """(H, T, S) or (1, T, S) added to the scores, or None."""

    def weights(self, head: int) -> Tensor:
        """softmax(QKᵀ·scaling + bias) of one head: (T, S) float32, rows sum to 1 (0 where everything is hidden)."""
        key = self.key[head * self.key.shape[0] // self.query.shape[0]].float()  # (S, K)
        scores = self.query[head].float() @ key.T * self.scaling  # (T, S)
        if self.bias is not None:
            scores = scores + self.bias[head if self.bias.shape[0] > 1 else 0].float()
        if self.hidden is not None:
            hidden = self.hidden[head if self.hidden.shape[0] > 1 else 0] if self.hidden.dim() == 3 else self.hidden
            scores = scores.masked_fill(hidden, -math.inf)
        return scores.softmax(-1).nan_to_num(0.0)


@dataclass
class Panel:
    """All layers of one kind of attention, with the tokens on both axes."""

    kind: str
    """"encoder", "decoder", "cross" (decoder to encoder) or "self" (a model with one stack)."""
    layers: list[Layer]
    rows: list[str]
    """The T query tokens."""
    columns: list[str]
    """The S key tokens."""

    @property
    def heads(self) -> int:
        return self.layers[0].query.shape[0]


@dataclass
class AttentionStore:
    """Every panel of one forward pass."""

    title: str
    panels: list[Panel] = field(default_factory=list)

    def panel(self, kind: str) -> Panel:
        """The panel of this kind; AttentionError names those there are."""
        for panel in self.panels:
            if panel.kind == kind:
                return panel
        raise AttentionError(f"no {kind!r} attention was captured; there is {', '.join(p.kind for p in self.panels)}")

    def weights(self, kind: str, layer: int, head: int) -> Tensor:
        """One head's map, (T, S) float32 on the CPU."""
        panel = self.panel(kind)
        if not (0 <= layer < len(panel.layers) and 0 <= head < panel.heads):
            raise AttentionError(f"{kind} attention has layers 0 to {len(panel.layers) - 1} and heads 0 to "
                                 f"{panel.heads - 1}; asked for layer {layer}, head {head}")
        return panel.layers[layer].weights(head).cpu()

    def row(self, kind: str, layer: int, head: int, row: int) -> list[float]:
        """The exact weights of one query token over the S keys."""
        return self.weights(kind, layer, head)[row].tolist()

    def companded(self, kind: str, layer: int, head: int) -> bytes:
        """One head's map as T·S bytes, row by row; see `compand`."""
        return compand(self.weights(kind, layer, head))

    def atlas(self, kind: str, size: int = 64) -> tuple[bytes, int, int]:
        """Every head as a small picture: bytes (layers · heads · height · width, companded), height, width.

        Larger maps are max-pooled, which keeps a thin diagonal visible where a mean would lose it.
        """
        panel = self.panel(kind)
        pictures = [_shrink(panel.layers[layer].weights(head), size)
                    for layer in range(len(panel.layers)) for head in range(panel.heads)]
        height, width = pictures[0].shape
        return b"".join(compand(picture.cpu()) for picture in pictures), height, width

    def mean(self, kind: str) -> Tensor:
        """The mean map over all layers and heads, (T, S)."""
        panel = self.panel(kind)
        maps = [layer.weights(head) for layer in panel.layers for head in range(panel.heads)]
        return torch.stack(maps).mean(0).cpu()


def compand(weights: Tensor) -> bytes:
    """⌊255·√w + ½⌋ of weights in [0, 1] as bytes; w ≈ (byte/255)², at most 0.004 off.

    Square-root companding keeps small weights visible: of a 512-token map linear bytes turn 81 % to zero, these 15 %.
    """
    return (weights.clamp(0, 1).sqrt() * 255 + 0.5).to(torch.uint8).numpy().tobytes()


def _shrink(weights: Tensor, size: int) -> Tensor:
    height, width = min(size, weights.shape[0]), min(size, weights.shape[1])
    return F.adaptive_max_pool2d(weights[None, None], (height, width))[0, 0]
