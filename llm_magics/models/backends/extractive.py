"""The backend without a model: the tasks pick sentences of the text themselves."""

from __future__ import annotations

from llm_magics.models.backends import base
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.reference import EXTRACTIVE, Reference

__all__ = ["ExtractiveBackend", "extractive_model"]


class ExtractiveBackend(base.TextBackend):
    """What needs no weights: sentences are chosen by the words in them, see `tasks.summarize`."""

    kind = base.EXTRACTIVE

    def provenance(self, model: LoadedModel) -> dict[str, object]:
        """Nothing: it is the same everywhere."""
        return {}


def extractive_model() -> LoadedModel:
    """What stands for a model where there is none; it is always ready."""
    return LoadedModel(
        reference=Reference("embedded", EXTRACTIVE),
        family="extractive",
        kind="extractive",
        backend=ExtractiveBackend(),
        task="summarize",
    )
