"""Batches of rows of similar length, in an order that is a function of seed and epoch alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Batch", "Sizes", "batch_of", "bucketed"]

Sizes = Callable[[Any], tuple[int, ...]]
"""From an item to its length on every side that is padded: (source, target) tokens, or
(tokens,)."""


@dataclass(frozen=True)
class Batch:
    """Some items that go through the model together."""

    rows: list[int]
    """Which rows of their part they are."""
    items: list[Any]
    widths: tuple[int, ...]
    """The length that each side is padded to."""
    real: int
    """Cells that are no padding, over all sides."""
    position: int = 0
    """Index of the batch in its epoch."""
    count: int = 1
    """Batches in the epoch."""

    @property
    def cells(self) -> int:
        """Tokens of the padded batch, over all sides."""
        return len(self.rows) * sum(self.widths)

    @property
    def padding(self) -> float:
        """The share of the cells that is padding."""
        return 1 - self.real / max(1, self.cells)

    def parts(self, sizes: Sizes, most_cells: int) -> list[Batch]:
        """The batch in pieces of at most `most_cells` cells, a single row being the least."""
        if self.cells <= most_cells or len(self.rows) == 1:
            return [self]
        half = len(self.rows) // 2
        pieces = [
            batch_of(self.rows[:half], self.items[:half], sizes),
            batch_of(self.rows[half:], self.items[half:], sizes),
        ]
        return [part for piece in pieces for part in piece.parts(sizes, most_cells)]


_NOISE = 3  # tokens


def batch_of(rows: list[int], items: list[Any], sizes: Sizes) -> Batch:
    """These items as one batch."""
    lengths = [sizes(item) for item in items]
    return Batch(rows, items, tuple(map(max, zip(*lengths, strict=True))), sum(map(sum, lengths)))


def bucketed(
    items: Sequence[Any], tokens: int, sizes: Sizes, *, seed: int, epoch: int
) -> Iterator[Batch]:
    """One epoch's batches: every item once, rows of similar length together, the batches in random
    order.

    rows × Σ longest length of each side ≤ sides × `tokens`, where one row does. The order depends
    on seed and epoch only, so a resumed run sees what it would have.
    """
    if not items:
        return
    rng = random.Random(f"{seed} {epoch}")
    lengths = [sizes(item) for item in items]
    budget = tokens * len(lengths[0])
    order = list(range(len(items)))
    rng.shuffle(order)
    order.sort(key=[_serpentine(length, rng) for length in lengths].__getitem__)
    groups: list[list[int]] = []
    widest: tuple[int, ...] = ()
    for row in order:
        wider = tuple(map(max, widest, lengths[row])) if groups else lengths[row]
        if groups and (len(groups[-1]) + 1) * sum(wider) <= budget:
            groups[-1].append(row)
            widest = wider
        else:
            groups.append([row])
            widest = lengths[row]
    rng.shuffle(groups)
    for position, rows in enumerate(groups):
        yield replace(
            batch_of(rows, [items[row] for row in rows], sizes),
            position=position,
            count=len(groups),
        )


def _serpentine(lengths: tuple[int, ...], rng: random.Random) -> tuple[int, float]:
    """By target length, then by source length up and down in turn, so that neighbours are alike on
    both sides.

    But not equal: with noise of three tokens on either side 11 % of the cells are padding on
    Multi30k (sorted by target length alone 19 %). Without it 2 % are, but then a batch knows one
    length only, and number-words, after as many steps, reads 93 % of the numbers in place of 99.7
    %.
    """
    target = int((lengths[-1] + _NOISE * rng.random()) // _NOISE)
    source = lengths[0] + _NOISE * rng.random()
    return target, source if target % 2 else -source
