"""Attention flow: how much attention can pass from a position at the top to each input token, by
every way at once.

The layers are a network: from position i above layer l to position j below it an edge of capacity
(Ā_l)_ij, with Ā as in rollout. The flow of input token j is the maximum flow from position i at the
top to j at the bottom. Source: Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers",
section 3, arXiv 2005.00928.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from llm_magics.attention.measures.rollout import panel_of_one_text, with_residual
from llm_magics.errors import AttentionError

if TYPE_CHECKING:
    from llm_magics.attention.store import AttentionStore

__all__ = ["MAX_TOKENS", "flow", "maximum_flow"]

MAX_TOKENS = 64
_LEAST = 1e-7
"""What float32 weights leave of a full edge; less than this is no way."""


def flow(
    store: AttentionStore, row: int, kind: str = "self", *, layers: int | None = None
) -> Tensor:
    """Attention flow of position `row` over the input tokens: (T,) float32, each between 0 and 1;
    they do not sum to 1.

    `layers`: after so many layers; None: after the last. One maximum flow a token, each searched in
    a network of T·(layers + 1) nodes: seconds at 32 tokens, a minute and more at 64. Raises
    AttentionError for more than that, and for cross-attention.
    """
    panel = panel_of_one_text(store, kind)
    size = len(panel.columns)
    if size > MAX_TOKENS:
        raise AttentionError(
            f"attention flow searches a maximum flow for each of {size} tokens, which takes too "
            f"long; give {MAX_TOKENS} tokens or fewer, or use rollout, which takes any text"
        )
    maps = [with_residual(layer, 0, size).double().numpy() for layer in panel.layers[:layers]]
    network = _network(maps)
    source = len(maps) * size + row
    return torch.tensor(
        [maximum_flow(network, source, token) for token in range(size)], dtype=torch.float32
    )


def maximum_flow(network: np.ndarray, source: int, sink: int) -> float:
    """The maximum flow through a network of capacities (N, N), from row to column.

    Augments along shortest paths, of those the widest, until there is none (Edmonds & Karp 1972).
    """
    residual, total = network.copy(), 0.0
    while (path := _widest_shortest_path(residual, source, sink)) is not None:
        ahead, behind = path[1:], path[:-1]
        amount = residual[behind, ahead].min()
        residual[behind, ahead] -= amount
        residual[ahead, behind] += amount
        total += float(amount)
    return total


def _network(maps: list[np.ndarray]) -> np.ndarray:
    """Node l·T + i is position i above l layers; edges go down."""
    size = maps[0].shape[0]
    network = np.zeros((size * (len(maps) + 1),) * 2)
    for below, capacities in enumerate(maps):
        network[(below + 1) * size : (below + 2) * size, below * size : (below + 1) * size] = (
            capacities
        )
    return network


def _widest_shortest_path(residual: np.ndarray, source: int, sink: int) -> np.ndarray | None:
    """The nodes of the path, source first; None where nothing can pass."""
    before = np.full(len(residual), -1)
    width = np.zeros(len(residual))
    width[source], before[source] = np.inf, source
    front = np.array([source])
    while len(front) and before[sink] < 0:
        passing = np.minimum(width[front, None], residual[front])  # (front, N)
        best = passing.argmax(0)
        most = passing[best, np.arange(len(residual))]
        new = (most > _LEAST) & (before < 0)
        before[new], width[new] = front[best[new]], most[new]
        front = np.flatnonzero(new)
    if before[sink] < 0:
        return None
    path = [sink]
    while path[-1] != source:
        path.append(before[path[-1]])
    return np.array(path[::-1])
