"""States of a model that are kept a step each, within bounds: samples and attention maps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from llm_magics.errors import printable

__all__ = ["Snapshots", "described", "maps_of"]

Snapshot = dict[str, Any]

MOST_SNAPSHOTS = 200
"""Of one run and kind; beyond it those go whose neighbours lie closest together, the first and the
last never."""
MOST_MAP_BYTES = 8_000_000


class Snapshots:
    """Snapshots in the order they came; snapshots.js keeps the same ones."""

    def __init__(self) -> None:
        self.kept: list[Snapshot] = []
        self._unsent: list[Snapshot] = []

    def add(self, kind: str, step: int, run: str, values: dict[str, Any]) -> None:
        """Remember one; it takes the place of those that a resumed run had from that step on.

        Raises `ValueError` when the bytes of an attention map are not layers × heads × rows ×
        columns.
        """
        if kind == "attention":
            expected = math.prod(
                (values["layers"], values["heads"], len(values["rows"]), len(values["columns"]))
            )
            if len(values["maps"]) != expected:
                raise ValueError(f"{len(values['maps'])} bytes of attention, {expected} expected")
        one = {
            "kind": kind,
            "run": printable(run),
            "step": int(step),
            **{name: _plain(value) for name, value in values.items()},
        }
        alike = [old for old in self.kept if (old["kind"], old["run"]) == (one["kind"], one["run"])]
        gone = [old for old in alike if old["step"] >= one["step"]]
        gone += _too_many([*alike[: len(alike) - len(gone)], one])
        dropped = {id(old) for old in gone}
        self.kept = [*(old for old in self.kept if id(old) not in dropped), one]
        self._unsent.append(one)

    def news(self) -> list[Snapshot]:
        """What was added since the last call."""
        new, self._unsent = self._unsent, []
        return new

    def last(self, kind: str) -> dict[str, Snapshot]:
        """The newest of a kind, by run."""
        return {one["run"]: one for one in self.kept if one["kind"] == kind}


def described(one: Snapshot) -> Snapshot:
    """All of a snapshot but its bytes, which travel beside it."""
    return {name: value for name, value in one.items() if name != "maps"}


def maps_of(snapshots: Iterable[Snapshot]) -> list[bytes]:
    """The bytes of those that have some, in their order."""
    return [one["maps"] for one in snapshots if "maps" in one]


def _too_many(alike: list[Snapshot]) -> list[Snapshot]:
    """Those of one run and kind that must go, so that the rest is within bounds and evenly
    spread."""
    left, gone = list(alike), []
    size = sum(map(len, maps_of(left)))
    while len(left) > 2 and (len(left) > MOST_SNAPSHOTS or size > MOST_MAP_BYTES):
        closest = min(
            range(1, len(left) - 1), key=lambda i: left[i + 1]["step"] - left[i - 1]["step"]
        )
        gone.append(left.pop(closest))
        size -= len(gone[-1].get("maps", b""))
    return gone


def _plain(value: object) -> object:
    """Text scrubbed, tuples as lists; bytes and whole numbers as they are."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if isinstance(value, (bytes, int)) else printable(value)
