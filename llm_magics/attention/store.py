"""What a forward pass leaves behind: queries and keys, from which any part of any head's map is
computed when asked for.

Keeping Q and K costs O(L·d) a layer; all maps would cost O(H·L²).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from llm_magics.attention.layer import Layer, MapLayer
from llm_magics.attention.pooling import compand, level_for, pooled
from llm_magics.errors import AttentionError

__all__ = ["AttentionStore", "Neuron", "Panel", "TILE", "compand"]

KINDS = ("encoder", "decoder", "cross", "self")
TILE = 256
"""Cells a side of a tile."""


@dataclass
class Panel:
    """All layers of one kind of attention, with the tokens on both axes."""

    kind: str
    """"encoder", "decoder", "cross" (decoder to encoder) or "self" (a model with one stack)."""
    layers: list[Layer | MapLayer]
    rows: list[str]
    """The T query tokens, as people read them."""
    columns: list[str]
    """The S key tokens."""
    raw_rows: list[str] = field(default_factory=list)
    """The T query tokens as the tokenizer's vocabulary spells them."""
    raw_columns: list[str] = field(default_factory=list)
    row_segments: list[int] | None = None
    """For a pair of texts, 0 or 1 a query token: which text it belongs to."""
    column_segments: list[int] | None = None
    row_ids: list[int] = field(default_factory=list)
    """The T query tokens as numbers of the vocabulary."""
    column_ids: list[int] = field(default_factory=list)

    @property
    def heads(self) -> int:
        """The number of heads of each layer."""
        return self.layers[0].heads


@dataclass(frozen=True)
class Neuron:
    """How one weight comes about: score = q · k · scaling (+ bias, capped), weight = its share in
    the softmax of its row."""

    query: list[float]
    """q (K,)"""
    key: list[float]
    """k (K,)"""
    product: list[float]
    """q ∗ k (K,)"""
    dot: float
    """Σ q ∗ k"""
    score: float
    """What the softmax is given; −∞ where the key is hidden."""
    weight: float

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


@dataclass
class AttentionStore:
    """Every panel of one forward pass."""

    title: str
    panels: list[Panel] = field(default_factory=list)
    prompt_length: int | None = None
    """Of a generated text: the row, of the decoder or of the one stack, from which on the model
    wrote."""

    def panel(self, kind: str) -> Panel:
        """The panel of this kind; AttentionError names those there are."""
        for panel in self.panels:
            if panel.kind == kind:
                return panel
        raise AttentionError(
            f"no {kind!r} attention was captured; there is {', '.join(p.kind for p in self.panels)}"
        )

    def layer(self, kind: str, layer: int, head: int = 0) -> Layer | MapLayer:
        """One layer; AttentionError says which layers and heads there are."""
        panel = self.panel(kind)
        if not (0 <= layer < len(panel.layers) and 0 <= head < panel.heads):
            raise AttentionError(
                f"{kind} attention has layers 0 to {len(panel.layers) - 1} and heads 0 to "
                f"{panel.heads - 1}; asked for layer {layer}, head {head}"
            )
        return panel.layers[layer]

    def weights(self, kind: str, layer: int, head: int) -> Tensor:
        """One head's map, (T, S) float32 on the CPU."""
        return self.layer(kind, layer, head).weights(head).cpu()

    def row(self, kind: str, layer: int, head: int, row: int) -> list[float]:
        """The exact weights of one query token over the S keys."""
        found = self.layer(kind, layer, head)
        _check_cell(found, row, 0)
        return found.rows(head, row, row + 1)[0].tolist()

    def neuron(self, kind: str, layer: int, head: int, row: int, column: int) -> Neuron:
        """How the weight of one query and one key comes about. AttentionError where only the maps
        are known."""
        found = self.layer(kind, layer, head)
        _check_cell(found, row, column)
        if isinstance(found, MapLayer):
            raise AttentionError(
                "this model shows its weights only, not the queries and keys they come from"
            )
        query = found.query[head, row].float()  # (K,)
        key = found.key[found.key_head(head), column].float()  # (K,)
        score = found.scores(head, row, row + 1, column, column + 1).item()
        return Neuron(
            query.tolist(),
            key.tolist(),
            (query * key).tolist(),
            float(query @ key),
            score,
            found.rows(head, row, row + 1)[0, column].item(),
        )

    def companded(self, kind: str, layer: int, head: int) -> bytes:
        """One head's map as T·S bytes, row by row; see `compand`."""
        return compand(self.weights(kind, layer, head))

    def tile(self, kind: str, layer: int, head: int, level: int, row: int, column: int) -> bytes:
        """Tile (row, column) of the map whose 2^level × 2^level cells are pooled by their maximum;
        level 0 is exact.

        256 × 256 bytes, fewer at the edges, companded. AttentionError for a tile beyond the map.
        """
        found, cell = self.layer(kind, layer, head), 1 << level
        edges = [
            (number * TILE * cell, min((number + 1) * TILE * cell, length))
            for number, length in zip((row, column), found.size, strict=True)
        ]
        if any(start < 0 or start >= stop for start, stop in edges):
            raise AttentionError(
                f"a map of {found.size[0]:,} × {found.size[1]:,} weights has no tile ({row}, "
                f"{column}) at level {level}"
            )
        return compand(pooled(found, head, cell, cell, *edges))

    def picture(self, kind: str, layer: int, head: int, most: int = 512) -> tuple[bytes, int, int]:
        """A whole map, pooled by the smallest 2^level that leaves `most` cells a side: bytes,
        height, width."""
        found = self.layer(kind, layer, head)
        cell = 1 << level_for(found.size, most)
        map_ = pooled(found, head, cell, cell)
        return compand(map_), *map_.shape

    def thumbnails(self, kind: str, size: int = 64) -> Iterator[tuple[int, int, bytes]]:
        """(layer, head, companded bytes) of every head, one at a time, at most `size` × `size`; see
        `thumbnail_size`."""
        cells = self._thumbnail_cells(kind, size)
        for number, layer in enumerate(self.panel(kind).layers):
            for head in range(layer.heads):
                yield number, head, compand(pooled(layer, head, *cells))

    def thumbnail_size(self, kind: str, size: int = 64) -> tuple[int, int]:
        """Height and width of the thumbnails: every pixel stands for equally many tokens, the last
        for what is left."""
        cells = self._thumbnail_cells(kind, size)
        return tuple(
            -(-length // cell)
            for length, cell in zip(self.panel(kind).layers[0].size, cells, strict=True)
        )

    def _thumbnail_cells(self, kind: str, size: int) -> tuple[int, int]:
        return tuple(-(-length // size) for length in self.panel(kind).layers[0].size)

    def atlas(self, kind: str, size: int = 64) -> tuple[bytes, int, int]:
        """Every head as a small picture: bytes (layers · heads · height · width, companded),
        height, width."""
        return b"".join(
            picture for _, _, picture in self.thumbnails(kind, size)
        ), *self.thumbnail_size(kind, size)

    def mean(self, kind: str) -> Tensor:
        """The mean map over all layers and heads, (T, S)."""
        layers = self.panel(kind).layers
        total = torch.zeros(layers[0].size)
        for layer in layers:
            for head in range(layer.heads):
                total += layer.weights(head).cpu()
        return total / sum(layer.heads for layer in layers)


def _check_cell(layer: Layer | MapLayer, row: int, column: int) -> None:
    if not (0 <= row < layer.size[0] and 0 <= column < layer.size[1]):
        raise AttentionError(
            f"the map has rows 0 to {layer.size[0] - 1} and columns 0 to {layer.size[1] - 1}; "
            f"asked for row {row}, column {column}"
        )
