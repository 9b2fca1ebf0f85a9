"""What loading a model would take: read from its folder, or asked of the hub, without loading
anything."""

from __future__ import annotations

from llm_magics.errors import HubUnreachable, LLMMagicsError
from llm_magics.models.backends.engine import bytes_per_weight, engine_note, needed_bytes
from llm_magics.models.backends.openai.endpoint import Endpoint, find_endpoint
from llm_magics.models.folder.hub_cache import cached_folder
from llm_magics.models.folder.inspect import FolderFacts, inspect_folder
from llm_magics.models.folder.open import locate
from llm_magics.models.manager.entry import Entry, Key, LoadPlan
from llm_magics.models.reference import EXTRACTIVE, Reference

__all__ = ["plan_load", "plan_remote"]


def plan_load(
    reference: Reference, entry: Entry | None, key: Key, *, free_bytes: int, **allowed: bool
) -> LoadPlan:
    """The plan for one model by the key its load would have; what would make the load fail becomes
    the plan's note.

    `allowed`: trust_remote_code and allow_pickle, as for the load itself.
    """
    _, device, name, engine = key
    if reference == Reference("embedded", EXTRACTIVE):
        return LoadPlan(
            str(reference),
            "cpu",
            "none",
            0,
            free_bytes,
            0,
            True,
            note="it has no weights and is always ready",
        )
    if entry is not None and entry.model is not None:
        folder = entry.model.folder
        return LoadPlan(
            str(reference),
            entry.device,
            entry.key[2],
            0,
            free_bytes,
            0,
            True,
            True,
            "already loaded",
            folder,
            entry.key[3],
        )
    needed, download, cached, note, folder = None, None, False, "", None
    try:
        facts = _local_facts(reference, **allowed)
        if facts is not None:
            note = engine_note(key, reference, facts)
            needed, download, cached, folder = needed_bytes(key, facts), 0, True, facts.folder
        else:
            needed, download, note = _ask_hub(reference, key, allowed.get("allow_pickle", False))
    except HubUnreachable as error:
        note = str(error)
    except LLMMagicsError as error:
        note = f"would fail: {error}"
    if needed is not None and needed > free_bytes:
        note = "; ".join(
            filter(
                None,
                [
                    note,
                    "needs more than is free: idle models would be dropped, else it will not fit",
                ],
            )
        )
    return LoadPlan(
        str(reference),
        device,
        name,
        needed,
        free_bytes,
        download,
        cached,
        False,
        note,
        folder,
        engine,
    )


def plan_remote(reference: Reference, endpoint: Endpoint | str | None, free_bytes: int) -> LoadPlan:
    """The plan for a model at an endpoint: nothing is loaded, and nothing is asked of the
    endpoint."""
    try:
        found = find_endpoint(endpoint)
    except LLMMagicsError as error:
        return LoadPlan(
            str(reference), "none", "none", 0, free_bytes, 0, True, note=f"would fail: {error}"
        )
    variable = found.key_variable()
    key = f"with the key in {variable}" if found.key() else "without a key"
    return LoadPlan(
        str(reference),
        found.origin,
        "as served",
        0,
        free_bytes,
        0,
        True,
        note=f"the text is sent to {found.url}, {key}; nothing is loaded here",
    )


def _local_facts(reference: Reference, **allowed: bool) -> FolderFacts | None:
    if reference.kind != "hub":
        return locate(reference, **allowed)
    folder = cached_folder(reference)
    return inspect_folder(folder, **allowed) if folder is not None else None


def _ask_hub(reference: Reference, key: Key, allow_pickle: bool) -> tuple[int, int, str]:
    """(bytes in memory, bytes to download, note); bytes in memory assume weights of 4 bytes in the
    files."""
    from llm_magics.models.folder.hub import describe

    model = describe(reference, allow_pickle=allow_pickle, timeout_s=3.0)
    note = "the hub's own conversion to safetensors" if model.converted else ""
    return model.weight_bytes * bytes_per_weight(key) // 4, model.download_bytes, note
