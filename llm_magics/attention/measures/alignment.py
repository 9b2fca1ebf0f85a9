"""How far the links that attention shows are from those known to be true."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

__all__ = ["alignment_error", "strongest_links"]

Link = tuple[int, int]
"""(target, source): places of tokens or words."""


def strongest_links(weights: Tensor) -> set[Link]:
    """Each target with the source that it looks at most: T links of a map (T, S), none for a row of
    zeros."""
    return {
        (row, int(column))
        for row, column in enumerate(weights.argmax(-1))
        if weights[row, column] > 0
    }


def alignment_error(
    found: Collection[Link], sure: Collection[Link], possible: Collection[Link] = ()
) -> float:
    """The alignment error rate, 0 when all sure links were found and nothing beyond the possible
    ones:

        AER = 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|),  A found, S sure, P possible and sure links

    0 also where there is nothing to find and nothing found. Source: Och & Ney 2003, Computational
    Linguistics 29(1).
    """
    links, certain = set(found), set(sure)
    if not links and not certain:
        return 0.0
    return 1 - (len(links & certain) + len(links & (certain | set(possible)))) / (
        len(links) + len(certain)
    )
