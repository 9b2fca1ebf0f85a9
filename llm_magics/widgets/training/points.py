"""The points of many series, kept within bounds and sent to the browser as what is new."""

from __future__ import annotations

import array
import sys
from bisect import bisect_left
from dataclasses import dataclass, field

__all__ = ["Points"]

MOST_POINTS = 20_000
"""Of one series; at this length every second point goes, and from then on only every second one is
taken."""


@dataclass
class _Series:
    """One series: ascending steps, and a value each."""

    most: int
    steps: array.array = field(default_factory=lambda: array.array("f"))
    values: array.array = field(default_factory=lambda: array.array("f"))
    stride: int = 1
    seen: int = 0

    def add(self, step: float, value: float) -> bool | None:
        """True when the point was taken, None when it was taken and others had to go, False when it
        was passed over."""
        self.seen += 1
        if self.steps and step <= self.steps[-1]:
            self._forget_from(step)
            self.steps.append(step)
            self.values.append(value)
            return None
        if (self.seen - 1) % self.stride:
            return False
        self.steps.append(step)
        self.values.append(value)
        if len(self.steps) < self.most:
            return True
        self.steps, self.values, self.stride = self.steps[::2], self.values[::2], 2 * self.stride
        return None

    def _forget_from(self, step: float) -> None:
        """A run that was killed goes on from its last checkpoint: what came after that is taken
        back."""
        kept = bisect_left(self.steps, step)
        del self.steps[kept:], self.values[kept:]


class Points:
    """Series known by number. What travels are little-endian float32 triples (number, step, value).

    A float32 holds every whole step up to 16,777,216.
    """

    def __init__(self) -> None:
        self._series: list[_Series] = []
        self._new = array.array("f")
        self._sent = 0
        self.generation = 0
        """Grows when the whole is sent again; what is new belongs to the whole of the same
        generation."""
        self._whole_due = True

    def series(self, most: int = MOST_POINTS) -> int:
        """The number of one more series, of at most `most` points."""
        self._series.append(_Series(most))
        return len(self._series) - 1

    def add(self, number: int, step: float, value: float) -> None:
        """Remember one point, also one that is not finite, in place of what the series has from
        that step on."""
        taken = self._series[number].add(step, value)
        if taken:
            self._new.extend((number, step, value))
        elif taken is None:
            self._whole_due = True

    def news(self) -> tuple[int, bytes]:
        """What was not sent yet, and the number of points before it: 0 when it is the whole."""
        if self._whole_due:
            return 0, self.whole()
        start, new = self._sent, _little_endian(self._new)
        self._sent += len(self._new) // 3
        del self._new[:]
        return start, new

    def whole(self) -> bytes:
        """Every point, series by series; what is added later is new to it."""
        parts = [self._triples(number, one) for number, one in enumerate(self._series)]
        self.generation, self._whole_due = self.generation + 1, False
        self._sent = sum(len(one.steps) for one in self._series)
        del self._new[:]
        return b"".join(parts)

    def of(self, number: int) -> list[tuple[int, float]]:
        """The points (step, value) of one series, values as float32 kept them."""
        one = self._series[number]
        return [(int(step), value) for step, value in zip(one.steps, one.values, strict=True)]

    @staticmethod
    def _triples(number: int, one: _Series) -> bytes:
        count = len(one.steps)
        triples = array.array("f", bytes(12 * count))
        triples[0::3] = array.array("f", [number]) * count
        triples[1::3] = one.steps
        triples[2::3] = one.values
        return _little_endian(triples)


def _little_endian(values: array.array) -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()
