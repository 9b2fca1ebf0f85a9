"""Induction heads: found by sequences of random tokens that are given twice.

In x_1 … x_n x_1 … x_n of random tokens only one thing tells what comes next: where the token stood
before, and what came after it. An induction head looks at that place. Source: Olsson et al. 2022,
"In-context Learning and Induction Heads", arXiv 2209.11895 (prefix matching).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from llm_magics.attention.explore import explore_ids
from llm_magics.attention.measures.measure import measure_all
from llm_magics.attention.tokens import is_own
from llm_magics.errors import AttentionError

__all__ = ["induction_scores", "repeated_scores"]


def induction_scores(
    model: Any,
    *,
    length: int = 20,
    draws: int = 10,
    seed: int = 0,
    vocabulary: Sequence[int] | None = None,
) -> Tensor:
    """How far each head is an induction head: (layers, heads) float32, 0 to 1. Arguments as for
    `repeated_scores`."""
    return repeated_scores(
        model, ("induction",), length=length, draws=draws, seed=seed, vocabulary=vocabulary
    )["induction"]


def repeated_scores(
    model: Any,
    names: Sequence[str] = ("induction", "duplicate-token", "previous-token"),
    *,
    length: int = 20,
    draws: int = 10,
    seed: int = 0,
    vocabulary: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """Measures of `heads.MEASURES` on random sequences given twice, averaged over `draws` of them.

    length: tokens of a sequence, all different. vocabulary: ids to draw them from; None: all but
    the special ones. The tokenizer's marks are put around it. Raises AttentionError for an
    encoder-decoder model, whose two sides read different texts.
    """
    if model.kind == "seq2seq":
        raise AttentionError(
            "induction is looked for in a model that reads one text; an encoder-decoder model "
            "reads two"
        )
    ids = torch.tensor(list(_ordinary_ids(model) if vocabulary is None else vocabulary))
    if len(ids) < length:
        raise AttentionError(
            f"{length} different random tokens were asked for, and there are {len(ids)} to draw "
            "from; choose a shorter length"
        )
    generator = torch.Generator().manual_seed(seed)
    total: dict[str, Tensor] = {}
    for _ in range(draws):
        drawn = ids[torch.randperm(len(ids), generator=generator)[:length]].tolist()
        for name, values in measure_all(
            explore_ids(model, _marked(model, drawn * 2)), "self", names
        ).items():
            total[name] = total.get(name, torch.zeros_like(values)) + values / draws
    return total


def _ordinary_ids(model: Any) -> list[int]:
    """The vocabulary without its special tokens."""
    tokenizer = model.tokenizer
    if is_own(model):
        special, size = set(tokenizer.special.values()), tokenizer.source.get_vocab_size()
    else:
        special, size = set(tokenizer.all_special_ids), len(tokenizer)
    return [token for token in range(size) if token not in special]


def _marked(model: Any, ids: list[int]) -> list[int]:
    """With the marks that a transformers tokenizer puts around a text."""
    if is_own(model):
        return ids
    marks = list(model.tokenizer("")["input_ids"])
    begins = marks[:1] if len(marks) > 1 or marks == [model.tokenizer.bos_token_id] else []
    return [*begins, *ids, *marks[len(begins) :]]
