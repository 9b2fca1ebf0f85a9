"""The shelf the manager keeps its models on: who is there, who must make room, who has stood idle
too long."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterable

from llm_magics.errors import DoesNotFit, ManagerClosed
from llm_magics.models.backends.loaded import tensor_bytes
from llm_magics.models.manager.budget import Budget
from llm_magics.models.manager.device import devices, empty_cache, memory
from llm_magics.models.manager.entry import DeviceRow, Entry, Key, ModelRow

__all__ = ["Shelf"]

_shelves: weakref.WeakSet[Shelf] = weakref.WeakSet()


class Shelf:
    """Entries by key, under one lock that is never held while a model loads or computes."""

    def __init__(self, budget: Budget, keep_alive_s: float | None) -> None:
        self._budget = budget
        self._keep_alive_s = keep_alive_s
        self._entries: dict[Key, Entry] = {}
        self._lock = threading.RLock()
        self._closed: str | None = None
        self._timer: threading.Timer | None = None
        _shelves.add(self)

    def rows(self) -> list[ModelRow]:
        """The table of models, most recently used first."""
        with self._lock:
            entries = sorted(self._entries.values(), key=lambda entry: -entry.last_used_s)
            return [entry.row() for entry in entries]

    def room(self) -> dict[str, int]:
        """Device of this machine → bytes it has left for models, idle models that would make room
        not counted."""
        with self._lock:
            return {
                device: self._budget.free(device, self._entries.values()) for device in devices()
            }

    def device_rows(self, devices: Iterable[str] = ()) -> list[DeviceRow]:
        """The memory of `devices` and of every device of this machine that holds a model; asks no
        other device."""
        with self._lock:
            local = [entry for entry in self._entries.values() if entry.reference.kind != "openai"]
            names = dict.fromkeys([*devices, *(entry.device for entry in local)])
            return [
                DeviceRow(
                    name,
                    self._budget.limit(name),
                    sum(entry.n_bytes for entry in local if entry.device == name),
                    memory(name)[0],
                )
                for name in names
            ]

    def check(self) -> list[str]:
        """What in the ledger disagrees with what is in memory; an empty list when all is well."""
        problems = []
        with self._lock:
            for entry in self._entries.values():
                if entry.leases < 0:
                    problems.append(f"{entry.reference} has {entry.leases} leases")
                if entry.model is None and (entry.ready.is_set() or not entry.leases):
                    problems.append(f"{entry.reference} is half loaded")
                if entry.model is not None:
                    problems += _compare(entry)
        return problems

    def close(self) -> None:
        """Drops everything and refuses further use."""
        with self._lock:
            self._closed = "it was closed"
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            devices = {entry.device for entry in self._entries.values()}
            for entry in list(self._entries.values()):
                self._entries.pop(entry.key, None)
                if not entry.leases:
                    entry.model = None
        for device in devices:
            empty_cache(device)

    def _make_room(self, entry: Entry, needed: int, *, drop_all_idle: bool = False) -> None:
        """Reserves `needed` bytes for the entry, dropping the least recently used idle models where
        it must."""
        with self._lock:
            self._check_open()
            others = [other for other in self._entries.values() if other is not entry]
            victims = self._budget.victims(entry.device, needed, others, everything=drop_all_idle)
            if victims is None:
                raise DoesNotFit(self._budget.refusal(entry, needed, others))
            for victim in victims:
                self._drop(victim)
            entry.n_bytes = needed
        if victims:
            empty_cache(entry.device)

    def _release(self, entry: Entry) -> None:
        with self._lock:
            entry.leases -= 1
            entry.last_used_s = time.monotonic()
            self._watch_idle()

    def _watch_idle(self) -> None:
        """Sees to it that idle models are looked for once their time is over."""
        if self._keep_alive_s is not None and self._closed is None and self._timer is None:
            self._start_timer(self._keep_alive_s)

    def _start_timer(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds + 0.01, self._drop_stale)
        self._timer.daemon = True
        self._timer.start()

    def _drop_stale(self) -> None:
        with self._lock:
            self._timer = None
            if self._closed is not None or self._keep_alive_s is None:
                return
            now, waits, dropped = time.monotonic(), [], set()
            for entry in list(self._entries.values()):
                left = entry.last_used_s + self._keep_alive_s - now
                if entry.evictable and left <= 0:
                    dropped.add(entry.device)
                    self._drop(entry)
                elif entry.evictable:
                    waits.append(left)
            if waits:
                self._start_timer(max(0.05, min(waits)))
        for device in dropped:
            empty_cache(device)

    def _drop(self, entry: Entry) -> None:
        self._entries.pop(entry.key, None)
        entry.model, entry.n_bytes = None, 0

    def _check_open(self) -> None:
        if self._closed is not None:
            raise ManagerClosed(
                f"this model manager cannot be used: {self._closed}; make a new ModelManager()"
            )


def _compare(entry: Entry) -> list[str]:
    model = entry.model
    if model.is_remote or model.engine != "torch":  # no tensors of torch's
        return []
    found = [
        f"{key} of {entry.reference} is empty"
        for key, item in model.module.named_parameters()
        if item.is_meta
    ]
    size = tensor_bytes(model.module)[1]
    if entry.reference.kind != "variable" and size != entry.n_bytes:
        found.append(f"{entry.reference} is written down with {entry.n_bytes} bytes and has {size}")
    return found


def _close_in_child() -> None:
    for shelf in _shelves:
        shelf._closed = "it belongs to the process this one was forked from"
        shelf._lock = threading.RLock()  # the parent's may have been held at the fork
        shelf._timer = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
