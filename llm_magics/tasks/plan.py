"""Which model a task would take, without loading it: for `--dry-run`."""

from __future__ import annotations

from llm_magics.models.reference import Reference
from llm_magics.tasks.choose import choose_model
from llm_magics.tasks.direction import AUTO, direction_asked
from llm_magics.tasks.language import check_language, detect

__all__ = ["choose_for"]

_ASSUMED = "en"


def choose_for(task: str, text: str = "", *, model: object = None, default: object = None, source: str = AUTO,
               target: str | None = None) -> tuple[Reference, str]:
    """(reference, why) of the model that "translate" or "summarize" would take for `text`.

    Without a text to tell the language by, as for many rows, it is taken to be English. Raises what the task
    itself would raise for these arguments.
    """
    if model is not None or default is not None:
        return choose_model(task, model=model, default=default)
    if source == AUTO and not text.strip():
        source = _ASSUMED
    if task == "translate":
        asked = direction_asked(text, source, target)
        return choose_model(task, source=asked.source, target=asked.target)
    return choose_model(task, source=detect(text)[0] if source == AUTO else check_language(source))
