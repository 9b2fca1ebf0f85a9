"""What the manager writes down about each model, and what it shows of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.reference import Reference

__all__ = ["DeviceRow", "Entry", "Key", "LoadPlan", "ModelRow"]

Key = tuple[str, str, str, str]
"""(canonical reference, device, number format, engine): what makes two loads the same model."""


@dataclass(eq=False)
class Entry:
    """One model of the ledger, from the moment somebody asks for it."""

    key: Key
    reference: Reference
    n_bytes: int = 0
    """Bytes reserved while loading, bytes held afterwards."""
    model: LoadedModel | None = None
    leases: int = 0
    pinned: bool = False
    uses: int = 0
    last_used_s: float = field(default_factory=time.monotonic)
    error: BaseException | None = None
    ready: threading.Event = field(default_factory=threading.Event)

    @property
    def device(self) -> str:
        """The device its bytes count against."""
        return self.key[1]

    @property
    def evictable(self) -> bool:
        """Whether it may be dropped to make room for another."""
        is_idle = self.model is not None and not self.leases
        return is_idle and not self.pinned and self.reference.kind != "variable"

    @property
    def state(self) -> str:
        """ "loading", "in use", "pinned" or "idle"."""
        if self.model is None:
            return "loading"
        return "in use" if self.leases else "pinned" if self.pinned else "idle"

    def row(self) -> ModelRow:
        """What the table of models shows of it."""
        model = self.model
        return ModelRow(
            str(self.reference),
            model.task if model else "",
            self.device,
            self.key[2],
            model.n_parameters if model else None,
            self.n_bytes,
            self.uses,
            time.monotonic() - self.last_used_s,
            self.state,
            self.leases,
            self.pinned,
            self.key[3],
        )


@dataclass(frozen=True)
class ModelRow:
    """One line of the table of models."""

    name: str
    task: str
    device: str
    dtype: str
    parameters: int | None
    """None while it is loading."""
    bytes: int
    uses: int
    """How many leases it has had."""
    last_used_s: float
    """Seconds since it was last used."""
    state: str
    """ "loading", "in use", "pinned" or "idle"."""
    leases: int = 0
    """How many are using it now."""
    pinned: bool = False
    engine: str = "torch"
    """What computes it: "torch" or "ctranslate2"; "" for a remote model."""

    @property
    def format(self) -> str:
        """The number format, and the engine unless it is torch: "int8 ctranslate2"."""
        return f"{self.dtype} {self.engine}" if self.engine not in ("", "torch") else self.dtype


@dataclass(frozen=True)
class DeviceRow:
    """The memory of one device."""

    name: str
    budget_bytes: int
    """The most that all models on it may take together."""
    held_bytes: int
    """What they take, or have reserved while loading."""
    free_bytes: int
    """Memory that is really free now, for models or anything else."""


@dataclass(frozen=True)
class LoadPlan:
    """What loading a model would take; nothing has been loaded."""

    model: str
    device: str
    dtype: str
    needed_bytes: int | None
    """None when it cannot be known without downloading."""
    free_bytes: int
    """Bytes the device has left for models, idle models that would make room not counted."""
    download_bytes: int | None
    """0 when all files are here; None when the hub does not answer."""
    cached: bool
    """Whether all files are here."""
    resident: bool = False
    """Whether it is loaded already."""
    note: str = ""
    """What would go wrong, or what is out of the ordinary."""
    folder: Path | None = None
    engine: str = "torch"
    """What would compute it."""
