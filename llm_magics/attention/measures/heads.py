"""What each head does with a text, as one number: how broad it looks, how far, and at which tokens.

Legend: α_ij weight of key j for query i, T queries, S keys, x_i the token at i. A measure is the
mean of its rows' scores (`measure`); what is named here by a formula is the score of one row.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from llm_magics.attention.measures.about import Block, Measure

__all__ = ["MEASURES", "SEPARATORS"]

SEPARATORS = frozenset(
    {
        "[SEP]",
        "<sep>",
        "</s>",
        "<eos>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<|eot_id|>",
        "<|im_end|>",
        "<end_of_turn>",
    }
)
"""Tokens that end a text or part two, as the families write them."""


def entropy(block: Block) -> Tensor:
    """H_i = −Σ_j α_ij ln α_ij, in nats: 0 for one key alone, ln S for all alike (Clark et al. 2019,
    section 3.3)."""
    return torch.special.entr(block.weights).sum(-1)


def distance(block: Block) -> Tensor:
    """D_i = Σ_j α_ij |i − j|, in tokens (Vig & Belinkov 2019, section 4.2.2)."""
    keys = torch.arange(block.weights.shape[1], device=block.weights.device)
    return (block.weights * (block.queries[:, None] - keys).abs()).sum(-1)


def previous_token(block: Block) -> Tensor:
    """α_i,i−1 (Clark et al. 2019, section 3.1)."""
    return _beside(block, -1)


def next_token(block: Block) -> Tensor:
    """α_i,i+1 (Clark et al. 2019, section 3.1)."""
    return _beside(block, 1)


def current_token(block: Block) -> Tensor:
    """α_ii (Clark et al. 2019, section 3.1)."""
    return _beside(block, 0)


def first_token(block: Block) -> Tensor:
    """α_i0, for queries other than the first itself: the usual sink (Xiao et al. 2023)."""
    first = block.weights[:, 0]
    return first.masked_fill(block.queries == 0, torch.nan) if block.same_text else first


def separator(block: Block) -> Tensor:
    """Σ_j∈separators α_ij, for queries that are none themselves (Clark et al. 2019, section
    3.2)."""
    share = block.weights @ block.separators.float()
    return (
        share.masked_fill(block.separators[block.queries], torch.nan) if block.same_text else share
    )


def duplicate_token(block: Block) -> Tensor:
    """Σ_j<i [x_j = x_i] α_ij, for tokens that stood before (Wang et al. 2022, section 3.1)."""
    return _share(block, _seen_before(block))


def induction(block: Block) -> Tensor:
    """Σ_j<i [x_j−1 = x_i] α_ij, for tokens that stood before: prefix matching (Olsson et al.
    2022)."""
    after = torch.zeros_like(seen := _seen_before(block))
    after[:, 1:] = seen[:, :-1]
    keys = torch.arange(after.shape[1], device=after.device)
    return _share(block, after & (keys < block.queries[:, None]))


def sink(block: Block) -> Tensor:
    """max_j 1/T Σ_i α_ij: what the most looked-at key gets of all attention (Gu et al. 2024,
    section 3)."""
    return block.weights


def _beside(block: Block, step: int) -> Tensor:
    keys, count = block.queries + step, block.weights.shape[1]
    there = (keys >= 0) & (keys < count)
    weights = block.weights.gather(1, keys.clamp(0, count - 1)[:, None])[:, 0]
    return weights.masked_fill(~there, torch.nan)


def _seen_before(block: Block) -> Tensor:
    """(N, S) bool: key j stands before query i and is the same token."""
    keys = torch.arange(len(block.tokens), device=block.tokens.device)
    return (block.tokens[block.queries][:, None] == block.tokens) & (keys < block.queries[:, None])


def _share(block: Block, keys: Tensor) -> Tensor:
    """What each query gives the `keys` (N, S) that are its own; a query without any does not
    count."""
    return (block.weights * keys).sum(-1).masked_fill(~keys.any(-1), torch.nan)


def _measure(
    name: str,
    title: str,
    formula: str,
    source: str,
    score: Callable[[Block], Tensor],
    unit: str = "share",
    high: float | None = 1.0,
    cross: bool = True,
) -> Measure:
    return Measure(
        name=name,
        title=title,
        formula=formula,
        source=source,
        unit=unit,
        high=high,
        score=score,
        cross=cross,
    )


_CLARK = "Clark et al. 2019, arXiv 1906.04341"
MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        _measure(
            "entropy",
            "Entropy",
            "mean over i of −Σ_j α_ij ln α_ij",
            _CLARK,
            entropy,
            "nats",
            high=None,
        ),
        _measure(
            "distance",
            "Mean distance",
            "mean over i of Σ_j α_ij |i − j|",
            "Vig & Belinkov 2019, arXiv 1906.04284",
            distance,
            "tokens",
            high=None,
            cross=False,
        ),
        _measure(
            "previous-token",
            "Previous token",
            "mean over i > 0 of α_i,i−1",
            _CLARK,
            previous_token,
            cross=False,
        ),
        _measure(
            "next-token",
            "Next token",
            "mean over i < T − 1 of α_i,i+1",
            _CLARK,
            next_token,
            cross=False,
        ),
        _measure(
            "current-token",
            "Current token",
            "mean over i of α_ii",
            _CLARK,
            current_token,
            cross=False,
        ),
        _measure(
            "first-token",
            "First token",
            "mean over i > 0 of α_i0",
            "Xiao et al. 2023, arXiv 2309.17453",
            first_token,
        ),
        _measure(
            "separator",
            "Separators",
            "mean over i that are no separators of Σ_j α_ij over separators j",
            _CLARK,
            separator,
        ),
        _measure(
            "duplicate-token",
            "Duplicate token",
            "mean over i whose token stood before of Σ_j α_ij over its earlier places j",
            "Wang et al. 2022, arXiv 2211.00593",
            duplicate_token,
            cross=False,
        ),
        _measure(
            "induction",
            "Induction",
            "mean over i whose token stood before of Σ_j α_ij over the places j just behind those",
            "Olsson et al. 2022, arXiv 2209.11895",
            induction,
            cross=False,
        ),
        _measure(
            "sink",
            "Sink",
            "max over j of the mean over i of α_ij",
            "Gu et al. 2024, arXiv 2410.10781",
            sink,
        ),
    )
}
"""Name → measure of a head's map of one text."""
