"""Beams that share one cache: each sees the columns of its own past through a mask, and nothing is
ever reordered.

The cache of one source has P columns of its prompt, which all beams see, and then b columns a step,
one a beam. Which of them are the past of a beam changes as beams are dropped and split; only that,
not the keys and values, is written anew.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Ancestry"]

_FIRST_STEPS = 64


class Ancestry:
    """What b beams of B sources see, as a bias of the scores of attention: 0 where they do, -inf
    where they do not."""

    def __init__(self, real: Any, beams: int, dtype: Any) -> None:
        """`real` (B, P), True where a column of the prompt is not padding."""
        import torch

        self.beams, self.columns = beams, real.shape[1]
        size = self.columns + beams * _FIRST_STEPS
        self._bias = torch.full(
            (len(real), beams, size), -torch.inf, dtype=dtype, device=real.device
        )  # (B, b, columns)
        self._bias[:, :, : self.columns].masked_fill_(real[:, None], 0.0)
        self._each = torch.arange(beams, device=real.device)

    def follow(self, parents: Any) -> None:
        """Beam j of a source goes on with what beam `parents[:, j]` of it, (n, b), has seen."""
        past = self._bias[: len(parents), :, : self.columns]
        past.copy_(past.gather(1, parents[:, :, None].expand_as(past)))

    def step(self, n: int) -> Any:
        """(n, 1, b, columns), with b new columns behind the others, one for each beam."""
        end = self.columns + self.beams
        if end > self._bias.shape[2]:
            larger = self._bias.new_full((*self._bias.shape[:2], 2 * end), float("-inf"))
            larger[:, :, : self.columns] = self._bias[:, :, : self.columns]
            self._bias = larger
        self._bias[:n, self._each, self.columns + self._each] = 0.0
        self.columns = end
        return self._bias[:n, None, :, :end]

    def replace(self, slot: int, last: int) -> None:
        """Source `last` moves to `slot`."""
        self._bias[slot] = self._bias[last]
