"""What a measure is: one number a head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["About", "Block", "Measure", "ModelMeasure"]


@dataclass(frozen=True)
class Block:
    """Some rows of one head's map, and what is known of the tokens."""

    weights: Tensor
    """(N, S) float32: N of the T queries over all S keys."""
    queries: Tensor
    """(N,) the positions of these queries."""
    tokens: Tensor
    """(S,) a number for each distinct key token."""
    separators: Tensor
    """(S,) bool, True: the key token is a separator."""
    same_text: bool
    """Whether queries and keys are positions of one text; not so in cross-attention."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a reader of a measure should know; in formulas α_ij is the weight that query i of T
    gives key j of S."""

    name: str
    title: str
    formula: str
    source: str
    unit: str
    low: float | None = 0.0
    """The least value there can be; None: there is none."""
    high: float | None = 1.0
    """The largest value there can be; None: it grows with the text, or there is none."""


@dataclass(frozen=True, kw_only=True)
class Measure(About):
    """A measure that is read off the maps of one text."""

    score: Callable[[Block], Tensor]
    """The rows' scores, (N,), NaN for a row that does not count; or (N, S), of which the largest
    column mean is taken."""
    cross: bool = True
    """Whether it means something where queries and keys are two texts."""


@dataclass(frozen=True, kw_only=True)
class ModelMeasure(About):
    """A measure for which the model is run again."""

    compute: Callable[[Any, str, str | None], dict[str, Tensor]]
    """(model, text, target) → kind → (layers, heads) float32."""
