"""Attention rollout: how much of each input token is in each position after all layers, by
attention alone.

    Ā_l = (A_l + I) / 2,   rollout = Ā_L · Ā_L−1 · … · Ā_1

A_l (T, T) is the mean map of layer l's heads, I the residual connection. Source: Abnar & Zuidema
2020, "Quantifying Attention Flow in Transformers", section 3, arXiv 2005.00928.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_magics.attention.measures.blocks import row_blocks
from llm_magics.errors import AttentionError

if TYPE_CHECKING:
    from llm_magics.attention.store import AttentionStore, Layer, Panel

__all__ = ["panel_of_one_text", "rollout", "with_residual"]


def rollout(
    store: AttentionStore,
    kind: str = "self",
    rows: Sequence[int] | None = None,
    *,
    layers: int | None = None,
) -> Tensor:
    """Rollout of these positions (None: all) over the input tokens: (N, T) float32, rows sum to 1.

    `layers`: after so many layers; None: after the last. Costs N·T² products a layer and holds two
    (N, T) matrices: of a long text ask for the rows that matter. Raises AttentionError for
    cross-attention, which joins two texts.
    """
    panel = panel_of_one_text(store, kind)
    size = len(panel.columns)
    wanted = torch.arange(size) if rows is None else torch.tensor(list(rows))
    rolled = torch.nn.functional.one_hot(wanted, size).float()  # (N, T)
    for layer in reversed(panel.layers[:layers]):
        rolled = sum(
            rolled[:, start:stop] @ with_residual(layer, start, stop)
            for start, stop in row_blocks(size, size)
        )
    return rolled


def with_residual(layer: Layer, start: int, stop: int) -> Tensor:
    """Rows start … stop of Ā = (A + I) / 2, each summing to 1 (also where a head's sinks take
    some): (N, T)."""
    mean = (
        sum(layer.rows(head, start, stop).cpu() for head in range(layer.heads)) / layer.heads
    )  # (N, T)
    mean[torch.arange(stop - start), torch.arange(start, stop)] += 1.0
    return mean / mean.sum(-1, keepdim=True)


def panel_of_one_text(store: AttentionStore, kind: str) -> Panel:
    """The panel, whose rows and columns must be the same text."""
    if kind == "cross":
        raise AttentionError(
            "rollout and flow follow one text through the layers, and cross-attention joins two; "
            "ask for encoder or decoder"
        )
    return store.panel(kind)
