"""Backends of other packages: an entry point of the group `llm_magics.backends`.

    [project.entry-points."llm_magics.backends"]
    shout = "my_package:open_model"

`open_model(reference) -> LoadedModel` is called for `--model shout:anything`, with a Reference
whose `name` is "shout:anything"; see `backends.base.TextBackend` for what the model's backend is
made from. This module is light: it imports the standard library only.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from llm_magics.errors import LLMMagicsError, ModelError, ModelNotFound

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.reference import Reference

__all__ = ["GROUP", "installed_schemes", "open_installed"]

GROUP = "llm_magics.backends"


def installed_schemes() -> tuple[str, ...]:
    """What may stand before the colon of a reference, by the packages that are installed."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def open_installed(reference: Reference) -> LoadedModel:
    """The model of a reference such as `shout:anything`, opened by the package that provides
    `shout`.

    Raises ModelNotFound where none does any more, ModelError for a package that fails.
    """
    from llm_magics.models.backends.loaded import LoadedModel

    entry = _entry(reference.name.partition(":")[0])
    try:
        model = entry.load()(reference)
    except LLMMagicsError:
        raise
    except Exception as error:
        raise ModelError(
            f"{reference}: the backend {entry.value} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, LoadedModel):
        raise ModelError(
            f"{reference}: the backend {entry.value} gave a {type(model).__name__}, not a "
            "LoadedModel"
        )
    return model


def _entry(scheme: str) -> EntryPoint:
    found = list(entry_points(group=GROUP, name=scheme))
    if not found:
        raise ModelNotFound(f"no installed package provides models as {scheme}:NAME")
    return found[0]
