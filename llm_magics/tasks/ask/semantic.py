"""Passages that mean what a question asks, whatever their words: by MiniLM's vectors, where its
package is installed."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from llm_magics.errors import ModelError
from llm_magics.models.read.embed import embed
from llm_magics.models.reference import package_names

if TYPE_CHECKING:
    from torch import Tensor

    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["SemanticSearch", "likeness"]

_REFERENCE = "package:minilm"
_LANGUAGES = ("en",)
_KEPT_TEXTS = 4


def likeness(
    model: LoadedModel, questions: Sequence[str], texts: Sequence[str]
) -> list[list[float]]:
    """The cosine of each question with each text."""
    found = embed(model, [*questions, *texts]).vectors
    return (found[: len(questions)] @ found[len(questions) :].T).tolist()


class SemanticSearch:
    """Vectors of the passages of the texts that were searched last."""

    def __init__(self) -> None:
        self._vectors: OrderedDict[tuple[str, ...], Tensor] = OrderedDict()

    @classmethod
    def of(cls, manager: ModelManager | None, language: str) -> SemanticSearch | None:
        """The search that goes with `manager`; None where passages in this language cannot be
        searched so on this machine."""
        if manager is None or language not in _LANGUAGES or "minilm" not in package_names():
            return None
        return _searches.setdefault(manager, cls())

    def scores(
        self, manager: ModelManager, question: str, texts: Sequence[str]
    ) -> list[float] | None:
        """The cosine of the question with each text; None where the model cannot be used."""
        with contextlib.suppress(ModelError), manager.lease(_REFERENCE) as model:
            key = tuple(texts)
            if key not in self._vectors:
                self._vectors[key] = embed(model, texts).vectors  # (N, D)
                while len(self._vectors) > _KEPT_TEXTS:
                    self._vectors.popitem(last=False)
            self._vectors.move_to_end(key)
            return (self._vectors[key] @ embed(model, [question]).vectors[0]).tolist()
        return None


_searches: WeakKeyDictionary[ModelManager, SemanticSearch] = WeakKeyDictionary()
