"""Large maps made small by maxima, a few rows at a time.

A maximum keeps a thin diagonal visible where a mean would lose it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from llm_magics.attention.layer import Layer, MapLayer

__all__ = ["compand", "level_for", "pooled"]

_BLOCK = 1 << 18
"""Weights computed in one go: 1 MB, which stay in a processor's cache."""


def pooled(
    layer: Layer | MapLayer,
    head: int,
    height: int,
    width: int,
    rows: tuple[int, int] | None = None,
    columns: tuple[int, int] | None = None,
) -> Tensor:
    """The largest weight of every `height` × `width` cell of a head's map, or of a part (start,
    stop) of it: float32.

    Cells at the right and at the bottom may be smaller. Memory beyond the result: the head's
    queries and keys, and 1 MB or one row of cells.
    """
    (top, bottom), (left, right) = rows or (0, layer.size[0]), columns or (0, layer.size[1])
    step = height * max(1, _BLOCK // (height * layer.size[1]))
    result = torch.zeros(-(-(bottom - top) // height), -(-(right - left) // width))
    one = layer.alone(head)
    for start in range(top, bottom, step):
        first, block = one.block(0, start, min(start + step, bottom))
        cells = _maxima(block, height, 0)  # (t / height, s)
        low, high = max(first, left), min(first + block.shape[1], right)
        if low >= high:
            continue
        cells = cells[:, low - first : high - first]
        cell, before = divmod(low - left, width)
        cells = _maxima(torch.nn.functional.pad(cells, (before, 0)) if before else cells, width, 1)
        at = (start - top) // height
        result[at : at + cells.shape[0], cell : cell + cells.shape[1]] = cells
    return result


def _maxima(x: Tensor, size: int, dim: int) -> Tensor:
    """The maximum of every `size` neighbours along one of the two dimensions; the last group may be
    smaller."""
    whole = x.shape[dim] // size
    parts = (
        [x.narrow(dim, 0, whole * size).unflatten(dim, (whole, size)).amax(dim + 1)]
        if whole
        else []
    )
    if rest := x.shape[dim] - whole * size:
        parts.append(x.narrow(dim, whole * size, rest).amax(dim, keepdim=True))
    return torch.cat(parts, dim) if len(parts) > 1 else parts[0]


def level_for(size: tuple[int, int], most: int) -> int:
    """The smallest level l at which a map of this size, pooled by 2^l, has at most `most` cells a
    side."""
    level = 0
    while max(size) > most << level:
        level += 1
    return level


def compand(weights: Tensor) -> bytes:
    """⌊255·√w + ½⌋ of weights in [0, 1] as bytes; w ≈ (byte/255)², at most 0.004 off.

    Square-root companding keeps small weights visible: of a 512-token map linear bytes turn 81 % to
    zero, these 15 %.
    """
    return (weights.clamp(0, 1).sqrt() * 255 + 0.5).to(torch.uint8).cpu().numpy().tobytes()
