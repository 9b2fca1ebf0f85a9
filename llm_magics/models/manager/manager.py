"""ModelManager: one copy of each model, shared by everything in the process, within a budget of
bytes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from llm_magics.errors import DoesNotFit, InputError, LLMMagicsError, ModelError, ModelNotFound
from llm_magics.models.backends.engine import (
    TORCH,
    check_engine,
    check_folder,
    load_key,
    needed_bytes,
    open_with,
)
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.backends.openai.endpoint import Endpoint, find_endpoint
from llm_magics.models.backends.plugins import open_installed
from llm_magics.models.manager.budget import Budget
from llm_magics.models.manager.device import check_device, choose_device, empty_cache
from llm_magics.models.manager.entry import DeviceRow, Entry, Key, LoadPlan, ModelRow
from llm_magics.models.manager.store import ModelStore
from llm_magics.models.reference import Reference, parse_reference

if TYPE_CHECKING:
    from llm_magics.models.backends.openai.listing import ServedModel

__all__ = ["ModelManager"]


class ModelManager:
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
        self._budget = Budget(budget_bytes)
        self._store = ModelStore(self._budget, keep_alive_s)
        self._device = device
        self.endpoint = endpoint
        """Where `openai:` models are; None: where the environment says (see
        `models.backends.openai.endpoint`)."""
        self.served_names: tuple[str, ...] = ()
        """What `served` found when it was last asked, as references."""

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
            self._store.release(entry)

    def load(self, reference: object, **options: Any) -> ModelRow:
        """Loads a model and leaves it resident and idle. Options as for `lease`."""
        entry = self._acquire(reference, **_known(options))
        self._store.release(entry)
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
        with self._store.lock:
            self._store.check_open()
            for key in [
                key for key, entry in self._store.entries.items() if entry.reference == reference
            ]:
                self._store.drop(self._store.entries[key])
            entry = Entry(
                (str(reference), model.device, model.dtype, TORCH), reference, model.n_bytes, model
            )
            entry.ready.set()
            self._store.entries[entry.key] = entry
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
        if reference.kind in ("openai", "backend"):
            self._check_plain(reference, dtype, device)
        if reference.kind == "openai":
            return self._remote(reference, endpoint)
        device = device and check_device(device)
        while True:
            with self._store.lock:
                self._store.check_open()
                key, entry = self._resident(reference, dtype, device, engine)
                mine = entry is None
                if entry is None:
                    if reference.kind == "variable":
                        raise ModelNotFound(
                            f"no module is registered as {reference}: use manager.add_variable(...)"
                        )
                    entry = self._store.entries[key] = Entry(key, reference)
                entry.leases += 1
            if mine:
                self._load(entry, trust_remote_code, allow_pickle)
            if self._wait(entry):
                return entry

    @staticmethod
    def _check_plain(reference: Reference, dtype: object, device: object) -> None:
        """Raises InputError for options that only a model loaded by this package has."""
        given = next(
            (name for name, value in (("dtype", dtype), ("device", device)) if value is not None),
            None,
        )
        if given is not None:
            where = "at its endpoint" if reference.kind == "openai" else "by a backend of its own"
            raise InputError(f"{reference} runs {where}: leave out {given}")

    def _remote(self, reference: Reference, endpoint: Endpoint | str | None) -> Entry:
        """The entry of a model at an endpoint, with one more lease. Nothing is asked of the
        endpoint."""
        from llm_magics.models.backends.openai.model import OpenAIBackend, remote_model

        place = find_endpoint(endpoint or self.endpoint)
        key = (str(reference), place.origin, "", "")
        with self._store.lock:
            self._store.check_open()
            entry = self._store.entries.get(key)
            backend = entry.model.backend if entry is not None and entry.model else None
            if entry is None or not (
                isinstance(backend, OpenAIBackend) and backend.endpoint == place
            ):
                entry = Entry(key, reference, model=remote_model(reference, place))
                entry.ready.set()
                self._store.entries[key] = entry
            entry.leases += 1
            entry.uses += 1
            entry.last_used_s = time.monotonic()
        return entry

    def _canonical(self, value: object) -> Reference:
        reference = parse_reference(value)
        if reference.kind == "local":
            return replace(reference, name=os.path.realpath(os.path.expanduser(reference.name)))
        if reference.kind == "hub" and "/" not in reference.name and reference.revision is None:
            variable = Reference("variable", reference.name)
            if any(entry.reference == variable for entry in self._store.entries.values()):
                return variable
        return reference

    def _resident(
        self, reference: Reference, dtype: Any, device: str | None, engine: str
    ) -> tuple[Key, Entry | None]:
        """(key of a load, the entry that serves it if there is one); a variable serves whatever its
        format."""
        if reference.kind == "variable":
            found = next(
                (entry for entry in self._store.entries.values() if entry.reference == reference),
                None,
            )
            return found.key if found else (str(reference), device or self.device, "", TORCH), found
        if reference.kind == "backend":
            key = (str(reference), "cpu", "", reference.name.partition(":")[0])
            return key, self._store.entries.get(key)
        key = load_key(reference, dtype, device, self.device, engine)
        return key, self._store.entries.get(key)

    def _wait(self, entry: Entry) -> bool:
        """True once the entry has its model; False when its loader was interrupted, so that one may
        try again."""
        try:
            while not entry.ready.wait(0.1):
                pass
        except BaseException:
            self._store.release(entry)
            raise
        if entry.error is None:
            with self._store.lock:
                entry.uses += 1
                entry.last_used_s = time.monotonic()
            return True
        self._store.release(entry)
        if not isinstance(entry.error, LLMMagicsError):
            return False
        raise type(entry.error)(
            str(entry.error)
        ) from None  # a fresh one per thread, without the loader's frames

    def _load(self, entry: Entry, trust_remote_code: bool, allow_pickle: bool) -> None:
        """Fills the entry; on any failure it leaves the entries as they were and re-raises what
        is not ours."""
        from llm_magics.models.folder.open import locate

        try:
            if entry.reference.kind == "backend":
                model = open_installed(entry.reference)
            else:
                facts = locate(
                    entry.reference, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle
                )
                model = self._open(entry, facts)
            with self._store.lock:
                self._store.check_open()
                entry.model, entry.n_bytes = model, model.n_bytes
        except BaseException as error:
            with self._store.lock:
                self._store.entries.pop(entry.key, None)
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
            self._store.make_room(entry, needed, drop_all_idle=attempt == 2)
            try:
                return open_with(entry.key, entry.reference, facts)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            empty_cache(entry.device)
        with self._store.lock:
            raise DoesNotFit(self._budget.refusal(entry, needed, self._store.entries.values()))

    # ------------------------------------------------------------------ dropping models

    def unload(self, reference: object) -> int:
        """Drops a model, pinned or not, in every number format; returns the bytes freed.

        Raises ModelNotFound when it is not loaded, ModelError when it is in use.
        """
        with self._store.lock:
            found = self._loaded(reference)
            if any(entry.leases or entry.model is None for entry in found):
                raise ModelError(
                    f"{found[0].reference} is {found[0].state}: wait, or stop what uses it"
                )
            freed = sum(entry.n_bytes for entry in found)
            devices = {entry.device for entry in found}
            for entry in found:
                self._store.drop(entry)
        for device in devices:
            empty_cache(device)
        return freed

    def pin(self, reference: object, on: bool = True) -> None:
        """Keeps a loaded model whatever else needs room; `on=False` undoes it. Raises
        ModelNotFound."""
        with self._store.lock:
            for entry in self._loaded(reference):
                entry.pinned = on
            self._store.watch_idle()

    def close(self) -> None:
        """Drops everything and refuses further use."""
        self._store.close()

    # ------------------------------------------------------------------ looking

    def rows(self) -> list[ModelRow]:
        """The table of models, most recently used first."""
        return self._store.rows()

    def room(self) -> dict[str, int]:
        """Device of this machine → bytes it has left for models, idle models that would make room
        not counted."""
        return self._store.room()

    def device_rows(self, devices: Iterable[str] = ()) -> list[DeviceRow]:
        """The memory of `devices` and of every device of this machine that holds a model; asks no
        other device."""
        return self._store.device_rows(devices)

    def check(self) -> list[str]:
        """What in the entries disagrees with what is in memory; an empty list when all is well."""
        return self._store.check()

    def served(self) -> list[ServedModel]:
        """The models of the endpoint, asked of it now. Raises ModelNotFound when none is
        configured, EndpointError."""
        from llm_magics.models.backends.openai.listing import served_models

        found = served_models(find_endpoint(self.endpoint))
        self.served_names = tuple(f"openai:{model.name}" for model in found)
        return found

    def _loaded(self, value: object) -> list[Entry]:
        import difflib

        reference = self._canonical(value)
        found = [entry for entry in self._store.entries.values() if entry.reference == reference]
        if not found:
            names = sorted({str(entry.reference) for entry in self._store.entries.values()})
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
        with self._store.lock:
            canonical = self._canonical(reference)
            entry = next(
                (item for item in self._store.entries.values() if item.reference == canonical), None
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
        with self._store.lock:
            self._store.check_open()
            canonical = self._canonical(reference)
            engine = check_engine(engine, canonical)
            if canonical.kind == "openai":
                return plan_remote(canonical, self.endpoint, self._free())
            if canonical.kind == "backend":
                return LoadPlan(
                    str(canonical),
                    "none",
                    "none",
                    None,
                    self._free(),
                    None,
                    False,
                    note="a package of its own opens it, which does not say what it takes",
                )
            key, entry = self._resident(canonical, dtype, device, engine)
            free = self._budget.free(key[1], self._store.entries.values())
        return plan_load(canonical, entry, key, free_bytes=free, **allowed)

    def _free(self) -> int:
        return self._budget.free(self.device, self._store.entries.values())


def _known(options: dict[str, Any]) -> dict[str, Any]:
    unknown = set(options) - {"dtype", "device", "trust_remote_code", "allow_pickle", "engine"}
    if unknown:
        raise TypeError(f"unknown option {sorted(unknown)[0]!r}")
    return options
