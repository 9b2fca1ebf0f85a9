"""Grouping sentences of similar length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["bucketed"]


def bucketed(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Positions of `lengths` in batches of at most `token_budget` tokens, padding included; longest
    batch first.

    A sentence longer than the budget is a batch of its own. Longest first: what does not fit into
    memory fails at once, not at the end.
    """
    batches: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        batch = batches[-1] if batches else None
        if batch is None or (len(batch) + 1) * max(1, lengths[batch[0]]) > token_budget:
            batches.append([position])
        else:
            batch.append(position)
    return batches
