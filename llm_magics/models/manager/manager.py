"""ModelManager: one copy of each model, shared by everything in the process, within a budget of
bytes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from llm_magics.errors import DoesNotFit, LLMMagicsError, ModelError, ModelNotFound
from llm_magics.models.backends.engine import (
    TORCH,
    check_engine,
    check_folder,
    load_key,
    needed_bytes,
    open_with,
)
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.backends.openai.endpoint import Endpoint
from llm_magics.models.manager.budget import Budget
from llm_magics.models.manager.device import check_device, choose_device, empty_cache
from llm_magics.models.manager.entry import Entry, Key, LoadPlan, ModelRow
from llm_magics.models.manager.remote_store import RemoteShelf
from llm_magics.models.reference import Reference, parse_reference

__all__ = ["ModelManager"]


class ModelManager(RemoteShelf):
    """Loads models when they are asked for, shares them, and drops idle ones to make room.

    `device` is where models go ("cuda", "mps", "cpu", "cuda:1"; None chooses). `budget_bytes`
    gives, per device, how many bytes of weights may be held at once (default: 80 % of its memory).
    `keep_alive_s` drops models that were idle for so many seconds. `endpoint` is where
    `openai:NAME` models are. Safe to use from many threads; a forked child gets ManagerClosed.
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        budget_bytes: dict[str, int] | None = None,
        keep_alive_s: float | None = None,
        endpoint: Endpoint | str | None = None,
    ) -> None:
        super().__init__(Budget(budget_bytes), keep_alive_s)
        self._device = device
        self.endpoint = endpoint

    # ------------------------------------------------------------------ using models

    @property
    def device(self) -> str:
        """Where models go unless a call says otherwise; chosen at the first use."""
        if self._device is None:
            self._device = choose_device()
        return self._device

    @contextlib.contextmanager
    def lease(
        self,
        reference: object,
        *,
        dtype: Any = None,
        device: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
        endpoint: Endpoint | str | None = None,
        engine: str | None = None,
    ) -> Iterator[LoadedModel]:
        """The model, loaded if need be, for the length of a `with` block; meanwhile it is never
        dropped.

        `endpoint` goes before the manager's own, for an `openai:` reference; it is not asked before
        there is a prompt. `engine` "ctranslate2" has the model computed by CTranslate2, see
        `models.backends.engine`; else torch does. Raises ModelNotFound, HubUnreachable,
        UnsafeModel, BrokenModel, DoesNotFit, ManagerClosed, or InputError for a device that is not
        there.
        """
        entry = self._acquire(
            reference, dtype, device, trust_remote_code, allow_pickle, endpoint, engine
        )
        try:
            yield entry.model  # type: ignore[misc]  # set once ready
        finally:
            self._release(entry)

    def load(self, reference: object, **options: Any) -> ModelRow:
        """Loads a model and leaves it resident and idle. Options as for `lease`."""
        entry = self._acquire(reference, **_known(options))
        self._release(entry)
        return entry.row()

    def add_variable(
        self,
        name: str,
        module: Any,
        tokenizer: Any,
        *,
        source_language: str | None = None,
        target_language: str | None = None,
    ) -> Reference:
        """Makes a module of the notebook usable as `variable:name`. It counts, but is never dropped
        to make room."""
        from llm_magics.models.folder.adopt import adopt

        reference = parse_reference(f"variable:{name}")
        model = adopt(reference, module, tokenizer, source_language, target_language)
        with self._lock:
            self._check_open()
            for key in [
                key for key, entry in self._entries.items() if entry.reference == reference
            ]:
                self._drop(self._entries[key])
            entry = Entry(
                (str(reference), model.device, model.dtype, TORCH), reference, model.n_bytes, model
            )
            entry.ready.set()
            self._entries[entry.key] = entry
        return reference

    def _acquire(
        self,
        value: object,
        dtype: Any = None,
        device: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
        endpoint: Endpoint | str | None = None,
        engine: str | None = None,
    ) -> Entry:
        """An entry with a model and one more lease; the first to ask loads, the others wait for
        it."""
        reference = self._canonical(value)
        engine = check_engine(engine, reference)
        if reference.kind == "openai":
            return self._remote(reference, endpoint, dtype, device)
        device = device and check_device(device)
        while True:
            with self._lock:
                self._check_open()
                key, entry = self._resident(reference, dtype, device, engine)
                mine = entry is None
                if entry is None:
                    if reference.kind == "variable":
                        raise ModelNotFound(
                            f"no module is registered as {reference}: use manager.add_variable(...)"
                        )
                    entry = self._entries[key] = Entry(key, reference)
                entry.leases += 1
            if mine:
                self._load(entry, trust_remote_code, allow_pickle)
            if self._wait(entry):
                return entry

    def _canonical(self, value: object) -> Reference:
        reference = parse_reference(value)
        if reference.kind == "local":
            return replace(reference, name=os.path.realpath(os.path.expanduser(reference.name)))
        if reference.kind == "hub" and "/" not in reference.name and reference.revision is None:
            variable = Reference("variable", reference.name)
            if any(entry.reference == variable for entry in self._entries.values()):
                return variable
        return reference

    def _resident(
        self, reference: Reference, dtype: Any, device: str | None, engine: str
    ) -> tuple[Key, Entry | None]:
        """(key of a load, the entry that serves it if there is one); a variable serves whatever its
        format."""
        if reference.kind == "variable":
            found = next(
                (entry for entry in self._entries.values() if entry.reference == reference), None
            )
            return found.key if found else (str(reference), device or self.device, "", TORCH), found
        key = load_key(reference, dtype, device, self.device, engine)
        return key, self._entries.get(key)

    def _wait(self, entry: Entry) -> bool:
        """True once the entry has its model; False when its loader was interrupted, so that one may
        try again."""
        try:
            while not entry.ready.wait(0.1):
                pass
        except BaseException:
            self._release(entry)
            raise
        if entry.error is None:
            with self._lock:
                entry.uses += 1
                entry.last_used_s = time.monotonic()
            return True
        self._release(entry)
        if not isinstance(entry.error, LLMMagicsError):
            return False
        raise type(entry.error)(
            str(entry.error)
        ) from None  # a fresh one per thread, without the loader's frames

    def _load(self, entry: Entry, trust_remote_code: bool, allow_pickle: bool) -> None:
        """Fills the entry; on any failure it leaves the ledger as it was and re-raises what is not
        ours."""
        from llm_magics.models.folder.open import locate

        try:
            facts = locate(
                entry.reference, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle
            )
            model = self._open(entry, facts)
            with self._lock:
                self._check_open()
                entry.model, entry.n_bytes = model, model.n_bytes
        except BaseException as error:
            with self._lock:
                self._entries.pop(entry.key, None)
                # The traceback would keep half-loaded weights alive.
                entry.error, entry.n_bytes = error.with_traceback(None), 0
                entry.error.__context__ = None
                if not isinstance(error, LLMMagicsError):
                    entry.leases -= 1
            if not isinstance(error, LLMMagicsError):
                raise
        finally:
            entry.ready.set()

    def _open(self, entry: Entry, facts: Any) -> LoadedModel:
        """Makes room and opens; if the device is out of memory all the same, drops every idle model
        and tries again."""
        from llm_magics.models.folder.library_errors import is_out_of_memory

        if entry.key[3] != TORCH:
            check_folder(entry.reference, facts)
        needed = needed_bytes(entry.key, facts)
        for attempt in (1, 2):
            self._make_room(entry, needed, drop_all_idle=attempt == 2)
            try:
                return open_with(entry.key, entry.reference, facts)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            empty_cache(entry.device)
        with self._lock:
            raise DoesNotFit(self._budget.refusal(entry, needed, self._entries.values()))

    # ------------------------------------------------------------------ dropping models

    def unload(self, reference: object) -> int:
        """Drops a model, pinned or not, in every number format; returns the bytes freed.

        Raises ModelNotFound when it is not loaded, ModelError when it is in use.
        """
        with self._lock:
            found = self._loaded(reference)
            if any(entry.leases or entry.model is None for entry in found):
                raise ModelError(
                    f"{found[0].reference} is {found[0].state}: wait, or stop what uses it"
                )
            freed = sum(entry.n_bytes for entry in found)
            devices = {entry.device for entry in found}
            for entry in found:
                self._drop(entry)
        for device in devices:
            empty_cache(device)
        return freed

    def pin(self, reference: object, on: bool = True) -> None:
        """Keeps a loaded model whatever else needs room; `on=False` undoes it. Raises
        ModelNotFound."""
        with self._lock:
            for entry in self._loaded(reference):
                entry.pinned = on
            self._watch_idle()

    # ------------------------------------------------------------------ looking

    def _loaded(self, value: object) -> list[Entry]:
        import difflib

        reference = self._canonical(value)
        found = [entry for entry in self._entries.values() if entry.reference == reference]
        if not found:
            names = sorted({str(entry.reference) for entry in self._entries.values()})
            near = difflib.get_close_matches(str(reference), names, n=1)
            there = (
                f"did you mean {near[0]}?"
                if near
                else f"loaded are: {', '.join(names[:8]) or 'none'}"
            )
            raise ModelNotFound(f"{reference} is not loaded; {there}")
        return found

    def info(self, reference: object) -> dict[str, Any]:
        """All that is known about a model, loaded or not, in plain values. Raises as `plan`
        does."""
        with self._lock:
            canonical = self._canonical(reference)
            entry = next(
                (item for item in self._entries.values() if item.reference == canonical), None
            )
            if entry is not None and entry.model is not None:
                model, shown = entry.model, asdict(entry.row())
                fields = (
                    "family",
                    "kind",
                    "revision",
                    "source_language",
                    "target_language",
                    "languages",
                    "max_source_tokens",
                    "is_chat",
                    "runs_own_code",
                )
                return (
                    shown
                    | {name: getattr(model, name) for name in fields}
                    | {"folder": str(model.folder)}
                )
        plan = asdict(self.plan(reference))
        folder = plan.pop("folder")
        return plan | {
            "name": plan.pop("model"),
            "folder": folder and str(folder),
            "state": "not loaded",
        }

    def plan(
        self,
        reference: object,
        *,
        dtype: Any = None,
        device: str | None = None,
        engine: str | None = None,
        **allowed: bool,
    ) -> LoadPlan:
        """What loading would take, without loading or downloading; options as for `lease`.

        Raises ModelNotFound for a malformed reference, InputError for a device that is not there.
        """
        from llm_magics.models.manager.plan import plan_load, plan_remote

        device = device and check_device(device)
        with self._lock:
            self._check_open()
            canonical = self._canonical(reference)
            engine = check_engine(engine, canonical)
            if canonical.kind == "openai":
                return plan_remote(
                    canonical, self.endpoint, self._budget.free(self.device, self._entries.values())
                )
            key, entry = self._resident(canonical, dtype, device, engine)
            free = self._budget.free(key[1], self._entries.values())
        return plan_load(canonical, entry, key, free_bytes=free, **allowed)


def _known(options: dict[str, Any]) -> dict[str, Any]:
    unknown = set(options) - {"dtype", "device", "trust_remote_code", "allow_pickle", "engine"}
    if unknown:
        raise TypeError(f"unknown option {sorted(unknown)[0]!r}")
    return options
