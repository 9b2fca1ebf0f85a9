"""Session: the one mutable object of a notebook: its model manager, its runs and its endpoint.

A user's defaults are settings of the extension (`%config LLM`), which the magics pass on. Importing
this module loads no torch; the manager is built when it is first asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from llm_magics.training.runs.api import Runs

if TYPE_CHECKING:
    from llm_magics.models.backends.openai.endpoint import Endpoint
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["Session", "close_current_session", "current_session"]


@dataclass(eq=False)
class Session:
    """What the magics of a notebook share: `models`, `runs` and the endpoint; the functions of
    `llm_magics.api` work on them."""

    endpoint: Endpoint | str | None = field(default=None, repr=False)
    """Where `openai:NAME` models are, as `set_endpoint` says; None: where the environment says."""

    @cached_property
    def models(self) -> ModelManager:
        """The one model manager."""
        from llm_magics.models.manager.manager import ModelManager

        return ModelManager(endpoint=self.endpoint)

    @cached_property
    def runs(self) -> Runs:
        """The trainings and searches of this machine, with handles on those started here."""
        return Runs(translate=self._translate, open_models=lambda: self.__dict__.get("models"))

    def set_endpoint(self, url: str | None, *, deadline_s: float = 300.0) -> None:
        """Where `openai:NAME` models are: an address such as http://127.0.0.1:8000/v1; None: what
        the environment says.

        `deadline_s` is for the answer to one prompt. Keys come from the environment, see
        `models.backends.openai.endpoint`. Raises InputError for an address that must not or cannot
        be used.
        """
        from llm_magics.models.backends.openai.endpoint import Endpoint

        self.endpoint = (
            url or None
        )  # also what cannot be used: else texts would go where the environment says
        try:
            self.endpoint = Endpoint(url, deadline_s) if url else None
        finally:
            if "models" in self.__dict__:
                self.models.endpoint = self.endpoint

    def _translate(
        self, texts: Sequence[str], *, model: str, source: str | None, target: str | None
    ) -> list[str]:
        from llm_magics.tasks.translate.batch import translate_each

        done = translate_each(
            texts, manager=self.models, model=model, source=source or "auto", target=target
        )
        return [getattr(one, "text", "") for one in done]

    def close(self) -> None:
        """Stop the trainings of this session and free every model."""
        if "runs" in self.__dict__:
            self.runs.close()
        if "models" in self.__dict__:
            self.models.close()


_lock = threading.Lock()
_session: Session | None = None


def current_session() -> Session:
    """The session that magics and module-level functions share; made when first asked for."""
    global _session
    with _lock:
        if _session is None:
            _session = Session()
        return _session


def close_current_session() -> None:
    """Free everything the current session holds; the next call of `current_session` makes a new
    one."""
    global _session
    with _lock:
        closing, _session = _session, None
    if closing is not None:
        closing.close()
