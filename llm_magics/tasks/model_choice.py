"""Which models could do a task, and in which direction: settled before anything is loaded, and all
that `--dry-run` asks.
"""

from __future__ import annotations

from llm_magics.errors import HubUnreachable, UnknownLanguage
from llm_magics.models.reference import Reference
from llm_magics.tasks.choose import Candidate, candidates, choose_model
from llm_magics.tasks.translate.direction import AUTO, Direction, direction_asked
from llm_magics.text.language import check_language, detect

__all__ = ["choose_for", "translators"]

_ASSUMED = "en"


def translators(
    text: str, *, source: str, target: str | None, model: object = None, default: object = None
) -> tuple[list[Candidate], Direction | None]:
    """The models to try for `text`, and the direction; None when a model was named, which may know
    it itself.

    Raises what `direction_asked` and `candidates` raise; a language that was guessed is then said.
    """
    if model is not None or default is not None:
        return candidates("translate", model=model, default=default), None
    asked = direction_asked(text, source, target)
    try:
        return candidates("translate", source=asked.source, target=asked.target), asked
    except (HubUnreachable, UnknownLanguage) as error:
        if not asked.note:
            raise
        raise type(error)(
            f"{error} ({asked.note}; if that is wrong, say the language with --from)"
        ) from None


def choose_for(
    task: str,
    text: str = "",
    *,
    model: object = None,
    default: object = None,
    source: str = AUTO,
    target: str | None = None,
) -> tuple[Reference, str]:
    """(reference, why) of the model that "translate", "summarize", "ask", "predict" or "generate"
    would take for `text`.

    Without a text to tell the language by, as for many rows, it is taken to be English. Raises what
    the task itself would raise for these arguments.
    """
    if model is not None or default is not None:
        return choose_model(task, model=model, default=default)
    if source == AUTO and not text.strip():
        source = _ASSUMED
    if task == "translate":
        first = translators(text, source=source, target=target)[0][0]
        return first.reference, first.why
    return choose_model(task, source=detect(text)[0] if source == AUTO else check_language(source))
