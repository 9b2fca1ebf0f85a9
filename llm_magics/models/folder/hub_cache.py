"""The hub as seen without asking it for files: the local cache, the offline switch, and whether it
answers.

This module is light: standard library only, so that completion can list cached models before torch
is loaded. Layout of the cache: models--OWNER--NAME/{refs/REVISION, snapshots/COMMIT/FILE ->
../../blobs/HASH}.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from llm_magics.errors import HubUnreachable
from llm_magics.models.reference import Reference

__all__ = [
    "CONVERTED",
    "cache_root",
    "cached_folder",
    "cached_models",
    "endpoint",
    "hub_answers",
    "is_complete",
    "is_offline",
    "within",
]

CONVERTED = "llm_magics-safetensors"
"""Name of the ref under which a safetensors conversion made by the hub is kept for a pickle-only
repository."""

_TOKENIZER_FILES = (
    "tokenizer.json",
    "source.spm",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
)
_T = TypeVar("_T")
_last_answer: dict[str, tuple[float, bool]] = {}


def endpoint() -> str:
    """The hub's address: $HF_ENDPOINT or the public hub."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def is_offline() -> bool:
    """Whether the user forbade asking the hub (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE)."""
    values = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in ("1", "ON", "YES", "TRUE") for value in values)


def cache_root() -> Path:
    """The folder of the hub's cache, by the same environment variables as huggingface_hub."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("HF_HOME") or caches / "huggingface").expanduser() / "hub"


def cached_models() -> list[str]:
    """The hub ids of which the cache holds a whole model, by name."""
    try:
        folders = sorted(path.name for path in cache_root().glob("models--*"))
    except OSError:
        return []
    names = [folder.removeprefix("models--").replace("--", "/") for folder in folders]
    return [name for name in names if cached_folder(Reference("hub", name)) is not None]


def cached_folder(
    reference: Reference, *, allow_pickle: bool = False, whole: bool = True
) -> Path | None:
    """The snapshot of a hub model in the cache, None when it is not there.

    With `whole`, weights and a tokenizer must be there too; else any snapshot with a config.json
    will do.
    """
    repository = cache_root() / f"models--{reference.name.replace('/', '--')}"
    revisions = [reference.revision] if reference.revision else ["main", CONVERTED]
    for revision in revisions:
        commit = revision
        with contextlib.suppress(
            OSError
        ):  # without such a file the revision is a commit, or is not cached
            commit = (repository / "refs" / revision).read_text().strip()
        folder = repository / "snapshots" / commit
        if (folder / "config.json").is_file() and (
            not whole or is_complete(folder, allow_pickle=allow_pickle)
        ):
            return folder
    return None


def is_complete(folder: Path, *, allow_pickle: bool = False) -> bool:
    """Whether a snapshot holds weights, all their parts, and a tokenizer."""
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        return False
    singles = ["model.safetensors"] + ["pytorch_model.bin"] * allow_pickle
    if any((folder / name).is_file() for name in singles):
        return True
    for single in singles:
        try:
            parts = set(
                json.loads((folder / f"{single}.index.json").read_bytes())["weight_map"].values()
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if parts and all((folder / str(part)).is_file() for part in parts):
            return True
    return False


def within(seconds: float, work: Callable[[], _T], what: str) -> _T:
    """`work()`'s result or exception, HubUnreachable once `seconds` have passed. The work goes on
    unwatched."""
    done, outcome = threading.Event(), []

    def body() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            outcome.append((None, error))
        done.set()

    threading.Thread(target=body, name="llm-magics-hub", daemon=True).start()
    end = time.monotonic() + seconds
    while not done.wait(
        min(0.1, max(0.0, end - time.monotonic()))
    ):  # short waits let Ctrl-C through
        if time.monotonic() >= end:
            raise HubUnreachable(
                f"{endpoint()} did not answer within {seconds:g} s when asked for {what}"
            )
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def hub_answers(timeout_s: float = 3.0) -> bool:
    """Whether the hub answers at all within `timeout_s` seconds in total; remembered for half a
    minute.

    False at once when the user has switched the hub off.
    """
    if is_offline():
        return False
    place = endpoint()
    when, answer = _last_answer.get(place, (-1e9, False))
    if time.monotonic() - when < 30:
        return answer
    try:
        answer = within(timeout_s, lambda: _any_answer(place, timeout_s), "anything")
    except HubUnreachable:
        answer = False
    _last_answer[place] = (time.monotonic(), answer)
    return answer


def _any_answer(place: str, timeout_s: float) -> bool:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    if not place.startswith(("https://", "http://")):
        return False
    try:
        urlopen(Request(place, method="HEAD"), timeout=timeout_s).close()
    except HTTPError:
        return True  # an error page is an answer
    except (OSError, ValueError):
        return False
    return True
