"""Models at an endpoint among those of the manager: they are leased, listed and dropped like loaded
ones, and take no room."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from llm_magics.errors import InputError
from llm_magics.models.backends.openai.endpoint import Endpoint, find_endpoint
from llm_magics.models.backends.openai.model import RemoteModel
from llm_magics.models.manager.entry import Entry
from llm_magics.models.manager.store import Shelf
from llm_magics.models.reference import Reference

if TYPE_CHECKING:
    from llm_magics.models.backends.openai.listing import ServedModel

__all__ = ["RemoteShelf"]


class RemoteShelf(Shelf):
    """A shelf that knows an endpoint."""

    endpoint: Endpoint | str | None = None
    """Where `openai:` models are; None: where the environment says (see
    `models.backends.openai.endpoint`)."""
    served_names: tuple[str, ...] = ()
    """What `served` found when it was last asked, as references."""

    def served(self) -> list[ServedModel]:
        """The models of the endpoint, asked of it now. Raises ModelNotFound when none is
        configured, EndpointError."""
        from llm_magics.models.backends.openai.listing import served_models

        found = served_models(find_endpoint(self.endpoint))
        self.served_names = tuple(f"openai:{model.name}" for model in found)
        return found

    def _remote(
        self, reference: Reference, endpoint: Endpoint | str | None, dtype: Any, device: str | None
    ) -> Entry:
        """The entry of a model at an endpoint, with one more lease. Nothing is asked of the
        endpoint."""
        if dtype is not None or device is not None:
            raise InputError(
                f"{reference} runs at its endpoint: leave out "
                f"{'dtype' if dtype is not None else 'device'}"
            )
        place = find_endpoint(endpoint or self.endpoint)
        key = (str(reference), place.origin, "", "")
        with self._lock:
            self._check_open()
            entry = self._entries.get(key)
            if entry is None or entry.model.endpoint != place:
                entry = Entry(key, reference, model=RemoteModel(reference, place))
                entry.ready.set()
                self._entries[key] = entry
            entry.leases += 1
            entry.uses += 1
            entry.last_used_s = time.monotonic()
        return entry
