"""Measures of every head of a store: the means of its rows' scores, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_magics.attention.measures.about import Block, Measure
from llm_magics.attention.measures.blocks import row_blocks
from llm_magics.attention.measures.heads import MEASURES, SEPARATORS
from llm_magics.errors import AttentionError

if TYPE_CHECKING:
    from llm_magics.attention.layer import Layer, MapLayer
    from llm_magics.attention.store import AttentionStore, Panel

__all__ = ["measure", "measure_all", "measures_of"]


def measures_of(kind: str) -> tuple[str, ...]:
    """The names of the measures that mean something for this kind of attention."""
    return tuple(name for name, measure in MEASURES.items() if measure.cross or kind != "cross")


def measure(store: AttentionStore, kind: str, name: str) -> Tensor:
    """One measure of every head: (layers, heads) float32. Raises AttentionError for a name that
    does not fit."""
    return measure_all(store, kind, [name])[name]


def measure_all(
    store: AttentionStore, kind: str, names: Collection[str] | None = None
) -> dict[str, Tensor]:
    """These measures (None: all that fit) of every head, in one pass over the maps: name → (layers,
    heads) float32.

    A measure is 0 where no row counts: duplicate-token in a text without repetitions, separator in
    one without any. Raises AttentionError for a name that there is not, or that means nothing for
    this kind of attention.
    """
    chosen = [_found(name, kind) for name in (measures_of(kind) if names is None else names)]
    panel = store.panel(kind)
    about = _Columns(panel)
    values = [
        [_head(layer, head, about, chosen) for head in range(panel.heads)] for layer in panel.layers
    ]
    table = torch.tensor(values).view(len(panel.layers), panel.heads, len(chosen))
    return {measure.name: table[..., index] for index, measure in enumerate(chosen)}


def _found(name: str, kind: str) -> Measure:
    if name not in MEASURES:
        raise AttentionError(f"there is no measure {name!r}; there is {', '.join(MEASURES)}")
    if name not in measures_of(kind):
        raise AttentionError(
            f"{name} compares places of one text, and cross-attention has two; "
            f"of it there is {', '.join(measures_of(kind))}"
        )
    return MEASURES[name]


class _Columns:
    """The key tokens of a panel as tensors."""

    def __init__(self, panel: Panel) -> None:
        spelt, numbers = panel.raw_columns or panel.columns, {}
        self.rows, self.same_text = len(panel.rows), panel.kind != "cross"
        self.tokens = torch.tensor(
            [numbers.setdefault(token, len(numbers)) for token in panel.column_ids or spelt]
        )
        self.separators = torch.tensor([token in SEPARATORS for token in spelt])

    def blocks(self, layer: Layer | MapLayer, head: int) -> Iterator[Block]:
        """The rows of a head's map, some at a time."""
        for start, stop in row_blocks(self.rows, len(self.tokens)):
            yield Block(
                layer.rows(head, start, stop).cpu(),
                torch.arange(start, stop),
                self.tokens,
                self.separators,
                self.same_text,
            )


def _head(
    layer: Layer | MapLayer, head: int, columns: _Columns, measures: list[Measure]
) -> list[float]:
    """The measures of one head: means over the rows that count."""
    sums: list[Tensor | float] = [0.0] * len(measures)
    counts = [0] * len(measures)
    for block in columns.blocks(layer, head):
        for index, measure in enumerate(measures):
            scores = measure.score(block)
            scores = scores[:, None] if scores.dim() == 1 else scores  # (N, 1) or (N, S)
            sums[index] = sums[index] + scores.nansum(0, dtype=torch.float64)
            counts[index] += int((~scores[:, 0].isnan()).sum())
    return [
        float((torch.as_tensor(total) / max(1, count)).max())
        for total, count in zip(sums, counts, strict=True)
    ]
