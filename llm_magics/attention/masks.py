"""Masks kept small: what a query may see is nearly always one run of keys.

A causal mask, a sliding window, padding on either side and a step with cached keys all leave each
query one run of visible keys, so two numbers a query take the place of S booleans: 128 kB instead
of 64 MB at 8,192 tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["Memo", "Outside", "compact", "dense", "split"]

_BLOCK = 1 << 22
"""Mask entries looked at in one go."""


@dataclass(frozen=True, eq=False)
class Outside:
    """Hides from query t every key outside [first_t, last_t): a causal mask has first_t = 0 and
    last_t = t + 1."""

    first: Tensor
    """(T,) int64"""
    last: Tensor
    """(T,) int64; last_t ≤ first_t hides everything."""

    @classmethod
    def causal(cls, size: int, keys: int, device: torch.device | str | None = None) -> Outside:
        """The last of `size` queries sees the last of `keys` keys, the one before it one key less,
        and so on."""
        last = torch.arange(keys - size + 1, keys + 1, device=device)
        return cls(torch.zeros_like(last), last)

    def bounds(self, start: int, stop: int) -> tuple[int, int]:
        """The first key that any of these queries sees, and the one behind the last."""
        first, last = int(self.first[start:stop].min()), int(self.last[start:stop].max())
        return first, max(first, last)

    def hide(self, scores: Tensor, start: int, first: int) -> Tensor:
        """−∞, in place, at what is hidden of scores (t, s) of the queries from `start` and the keys
        from `first` on."""
        low, high = (
            self.first[start : start + len(scores), None],
            self.last[start : start + len(scores), None],
        )  # (t, 1)
        keys = torch.arange(first, first + scores.shape[1], device=scores.device)
        # Only the columns where some row begins or ends: filling by a mask costs more than the
        # softmax.
        begun, ended = max(int(low.max()) - first, 0), max(int(high.min()) - first, 0)
        scores[:, :begun].masked_fill_(keys[:begun] < low, -math.inf)
        scores[:, ended:].masked_fill_(keys[ended:] >= high, -math.inf)
        return scores


def compact(visible: Tensor) -> Outside | Tensor | None:
    """What a mask (T, S) or (H or 1, T, S), True = may be seen, hides, in the smallest form.

    None: nothing; `Outside`; or bool (T, S) or (H, T, S), True hides.
    """
    if visible.dim() == 3 and visible.shape[0] == 1:
        visible = visible[0]  # (T, S)
    if visible.dim() == 3:
        return ~visible
    step = max(1, _BLOCK // visible.shape[1])
    parts = [_runs(visible[start : start + step]) for start in range(0, visible.shape[0], step)]
    if any(part is None for part in parts):
        return ~visible
    outside = Outside(
        torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    )
    everything = int(outside.first.max()) == 0 and int(outside.last.min()) == visible.shape[1]
    return None if everything else outside


def split(mask: Tensor) -> tuple[Outside | Tensor | None, Tensor | None]:
    """An attention function's mask (H or 1, T, S) as what it hides, see `compact`, and what it adds
    to the scores.

    Bool: True may be seen. Float: added; what is lower than half the least number is there to hide.
    """
    if mask.dtype == torch.bool:
        return compact(mask), None
    visible = mask > torch.finfo(mask.dtype).min / 2
    bias = mask.masked_fill(~visible, 0.0)
    return compact(visible), bias if bool(bias.any()) else None


@dataclass
class Memo:
    """What was made of the last few tensors: a model gives all its layers one mask, and it is
    worked on once."""

    _made: list[tuple[Tensor, tuple[Any, ...], Any]] = field(default_factory=list)

    def once(self, make: Callable[[Tensor], Any], tensor: Tensor) -> Any:
        """make(tensor), or what that was before."""
        view = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor._version)
        for _, known, result in self._made:
            if known == view:
                return result
        result = make(tensor)
        self._made = [
            *self._made[-3:],
            (tensor, view, result),
        ]  # holding the tensor keeps its address from a new one
        return result


def _runs(visible: Tensor) -> tuple[Tensor, Tensor] | None:
    """Where the visible keys of each row (t, S) begin and end; None where they are not one run."""
    number = visible.sum(-1)  # (t,)
    first = visible.to(torch.uint8).argmax(-1)
    last = first + number
    keys = torch.arange(visible.shape[1], device=visible.device)
    is_run = ((keys >= first[:, None]) & (keys < last[:, None])) == visible
    return (first, last) if bool(is_run.all()) else None


def dense(hidden: Outside | Tensor | None, rows: int, columns: int, device: torch.device) -> Tensor:
    """The mask written out: (T, S) or (H, T, S) bool, True hides."""
    if hidden is None:
        return torch.zeros(rows, columns, dtype=torch.bool, device=device)
    if isinstance(hidden, Outside):
        keys = torch.arange(columns, device=device)
        return (keys < hidden.first[:, None]) | (keys >= hidden.last[:, None])
    return hidden.expand(*hidden.shape[:-2], rows, columns)
