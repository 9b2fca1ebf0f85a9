"""What the manager keeps its models in: who is there, who must make room, who has stood idle too
long."""

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

__all__ = ["ModelStore"]

_stores: weakref.WeakSet[ModelStore] = weakref.WeakSet()


class ModelStore:
    """Entries by key, under one lock that is never held while a model loads or computes."""

    def __init__(self, budget: Budget, keep_alive_s: float | None) -> None:
        self.budget = budget
        self._keep_alive_s = keep_alive_s
        self.entries: dict[Key, Entry] = {}
        self.lock = threading.RLock()
        self._closed: str | None = None
        self._timer: threading.Timer | None = None
        _stores.add(self)

    def rows(self) -> list[ModelRow]:
        """The table of models, most recently used first."""
        with self.lock:
            entries = sorted(self.entries.values(), key=lambda entry: -entry.last_used_s)
            return [entry.row() for entry in entries]

    def room(self) -> dict[str, int]:
        """Device of this machine → bytes it has left for models, idle models that would make room
        not counted."""
        with self.lock:
            return {device: self.budget.free(device, self.entries.values()) for device in devices()}

    def device_rows(self, devices: Iterable[str] = ()) -> list[DeviceRow]:
        """The memory of `devices` and of every device of this machine that holds a model; asks no
        other device."""
        with self.lock:
            local = [entry for entry in self.entries.values() if entry.reference.kind != "openai"]
            names = dict.fromkeys([*devices, *(entry.device for entry in local)])
            return [
                DeviceRow(
                    name,
                    self.budget.limit(name),
                    sum(entry.n_bytes for entry in local if entry.device == name),
                    memory(name)[0],
                )
                for name in names
            ]

    def check(self) -> list[str]:
        """What in the entries disagrees with what is in memory; an empty list when all is well."""
        problems = []
        with self.lock:
            for entry in self.entries.values():
                if entry.leases < 0:
                    problems.append(f"{entry.reference} has {entry.leases} leases")
                if entry.model is None and (entry.ready.is_set() or not entry.leases):
                    problems.append(f"{entry.reference} is half loaded")
                if entry.model is not None:
                    problems += _compare(entry)
        return problems

    def close(self) -> None:
        """Drops everything and refuses further use."""
        with self.lock:
            self._closed = "it was closed"
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            devices = {entry.device for entry in self.entries.values()}
            for entry in list(self.entries.values()):
                self.entries.pop(entry.key, None)
                if not entry.leases:
                    entry.model = None
        for device in devices:
            empty_cache(device)

    def make_room(self, entry: Entry, needed: int, *, drop_all_idle: bool = False) -> None:
        """Reserves `needed` bytes for the entry, dropping the least recently used idle models where
        it must."""
        with self.lock:
            self.check_open()
            others = [other for other in self.entries.values() if other is not entry]
            victims = self.budget.victims(entry.device, needed, others, everything=drop_all_idle)
            if victims is None:
                raise DoesNotFit(self.budget.refusal(entry, needed, others))
            for victim in victims:
                self.drop(victim)
            entry.n_bytes = needed
        if victims:
            empty_cache(entry.device)

    def release(self, entry: Entry) -> None:
        """One lease less."""
        with self.lock:
            entry.leases -= 1
            entry.last_used_s = time.monotonic()
            self.watch_idle()

    def watch_idle(self) -> None:
        """Sees to it that idle models are looked for once their time is over."""
        if self._keep_alive_s is not None and self._closed is None and self._timer is None:
            self._start_timer(self._keep_alive_s)

    def _start_timer(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds + 0.01, self._drop_stale)
        self._timer.daemon = True
        self._timer.start()

    def _drop_stale(self) -> None:
        with self.lock:
            self._timer = None
            if self._closed is not None or self._keep_alive_s is None:
                return
            now, waits, dropped = time.monotonic(), [], set()
            for entry in list(self.entries.values()):
                left = entry.last_used_s + self._keep_alive_s - now
                if entry.evictable and left <= 0:
                    dropped.add(entry.device)
                    self.drop(entry)
                elif entry.evictable:
                    waits.append(left)
            if waits:
                self._start_timer(max(0.05, min(waits)))
        for device in dropped:
            empty_cache(device)

    def drop(self, entry: Entry) -> None:
        """Forgets the entry; call it with the lock held."""
        self.entries.pop(entry.key, None)
        entry.model, entry.n_bytes = None, 0

    def check_open(self) -> None:
        """Raises ManagerClosed after `close`, and in a forked child."""
        if self._closed is not None:
            raise ManagerClosed(
                f"this model manager cannot be used: {self._closed}; make a new ModelManager()"
            )


def _compare(entry: Entry) -> list[str]:
    model = entry.model
    if model is None or not model.backend.capabilities.module:  # no tensors of torch's
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
    for store in _stores:
        store._closed = "it belongs to the process this one was forked from"
        store.lock = threading.RLock()  # the parent's may have been held at the fork
        store._timer = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
