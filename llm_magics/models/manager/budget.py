"""How many bytes of weights a device may hold, and which models make way for a new one."""

from __future__ import annotations

from collections.abc import Iterable

from llm_magics.models.manager.device import describe_bytes, memory
from llm_magics.models.manager.entry import Entry

__all__ = ["Budget"]

SHARE = 0.8
"""The part of a device's memory that weights may take; the rest is for computing."""


class Budget:
    """The limits, per device; the memory that is really free counts as well as the limit."""

    def __init__(self, limits: dict[str, int] | None = None) -> None:
        self._limits = dict(limits or {})

    def limit(self, device: str) -> int:
        """The most bytes all models on a device may have together."""
        kind = device.partition(":")[0]
        return self._limits.get(device, self._limits.get(kind, int(memory(device)[1] * SHARE)))

    def free(self, device: str, entries: Iterable[Entry]) -> int:
        """Bytes left for one more model."""
        mine = [entry for entry in entries if entry.device == device]
        left = self.limit(device) - sum(entry.n_bytes for entry in mine)
        # A model that is loading has reserved bytes which it has not taken yet.
        really = memory(device)[0] - sum(entry.n_bytes for entry in mine if entry.model is None)
        return max(0, min(left, really))

    def victims(
        self, device: str, needed: int, entries: list[Entry], *, everything: bool = False
    ) -> list[Entry] | None:
        """The idle models to drop for `needed` bytes, least recently used first; None when that is
        not enough."""
        free = self.free(device, entries)
        idle = sorted(
            (entry for entry in entries if entry.device == device and entry.evictable),
            key=lambda entry: entry.last_used_s,
        )
        if everything:
            return idle
        chosen: list[Entry] = []
        while free < needed:
            if not idle:
                return None
            chosen.append(idle.pop(0))
            free += chosen[-1].n_bytes
        return chosen

    def refusal(self, entry: Entry, needed: int, entries: Iterable[Entry]) -> str:
        """Why the model does not fit, which models are there, and what to do."""
        others = [other for other in entries if other.device == entry.device and other is not entry]
        names = ", ".join(
            f"{other.reference} ({describe_bytes(other.n_bytes)}, {other.state})"
            for other in others
        )
        limit, free = self.limit(entry.device), self.free(entry.device, others)
        advice = (
            "unload or unpin one of them with %models"
            if others
            else "choose a smaller model or device"
        )
        return (
            f"{entry.reference} needs {describe_bytes(needed)} on {entry.device}, "
            f"{describe_bytes(free)} are free of {describe_bytes(limit)} for models; resident: "
            f"{names or 'none'}: {advice}"
        )
