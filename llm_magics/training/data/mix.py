"""How often an epoch sees each row: the weights of a recipe's data files, `data.weights`."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

__all__ = ["drawn", "weights_of"]


def weights_of(places: Sequence[str], weights: Mapping[str, float]) -> list[float]:
    """The weight of each row, by the name that its place begins with; 1 for a name without one.

    places: where the rows came from, such as "games_en_de/train.jsonl.gz:3".
    """
    by_name: dict[str, float] = {}
    found = []
    for place in places:
        name = place.rpartition(":")[0] or place
        if name not in by_name:
            by_name[name] = float(weights.get(name, 1.0))
        found.append(by_name[name])
    return found


def drawn(weights: Sequence[float], rng: random.Random) -> list[int]:
    """The rows of one epoch, in order: 3.0 is three times, 0.25 by chance in one of four."""
    rows = []
    for row, weight in enumerate(weights):
        whole = int(weight)
        times = whole + (rng.random() < weight - whole)
        rows += [row] * times
    return rows
