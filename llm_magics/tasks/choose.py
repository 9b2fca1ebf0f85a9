"""Which model does the work, and why: the one asked for, else the user's default, else a
recommended one.

A recommended model is taken when it is in the local cache or the hub answers within 3 s; what ships
with the package comes last, and needs neither. A model that was asked for is never silently
replaced.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_magics.errors import HubUnreachable, ModelError, ModelNotFound, UnknownLanguage, WrongTask
from llm_magics.models.backends.extractive import extractive_model
from llm_magics.models.catalog import Choice, embedded_task, language_name, recommend
from llm_magics.models.folder.hub_cache import cached_folder, endpoint, hub_answers, is_offline
from llm_magics.models.reference import EXTRACTIVE, Reference, embedded_names, parse_reference

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["Candidate", "Opened", "candidates", "choose_model", "open_model", "require_manager"]

_WANTED = {
    "summarize": "summarises texts",
    "ask": "finds answers",
    "predict": "predicts words",
    "sentiment": "judges sentiment",
    "labels": "compares texts with labels",
    "entities": "marks entities",
    "similarity": "makes vectors of texts",
}
_OF_WEIGHTS = {"dtype": "the precision", "engine": "the engine"}
"""Load options that mean nothing to what picks sentences."""


@dataclass(frozen=True)
class Candidate:
    """A model that could do the work."""

    reference: Reference
    why: str
    """Half a sentence for the result: "as asked", "your default", "in the cache: …"."""
    notice: str = ""
    """What the user should know when this one is taken, such as a hub that did not answer."""


@dataclass(frozen=True)
class Opened:
    """The model that was taken."""

    loaded: LoadedModel
    reference: Reference
    why: str
    notes: tuple[str, ...]


def choose_model(
    task: str,
    *,
    model: object = None,
    default: object = None,
    source: str | None = None,
    target: str | None = None,
) -> tuple[Reference, str]:
    """(reference, why) of the model that would be taken first; see `candidates`."""
    first = candidates(task, model=model, default=default, source=source, target=target)[0]
    return first.reference, first.why


def candidates(
    task: str,
    *,
    model: object = None,
    default: object = None,
    source: str | None = None,
    target: str | None = None,
) -> list[Candidate]:
    """The models to try, in order, at least one. `task` is one of `models.catalog_entries.TASKS`;
    languages are codes.

    Raises ModelNotFound for what cannot be a model's name and where all models that are known want
    a large GPU, WrongTask for a model that ships here and was not made to translate,
    UnknownLanguage when no model is known for the language or pair, HubUnreachable when all that
    are known are on a hub that does not answer.
    """
    for given, why in ((model, "as asked"), (default, "your default")):
        if given is not None:
            reference = parse_reference(given)
            if task == "translate":
                _check_translates(reference)
            return [Candidate(reference, why)]
    choices = recommend(task, source, target)
    wanted, offline = _offline(task, source, target)
    if not choices:
        raise UnknownLanguage(
            f"no model is known that {wanted}; name one with --model. Without a network there is "
            f"{offline}"
        )
    return _recommended(choices, wanted, offline)


def _check_translates(reference: Reference) -> None:
    """WrongTask for a model of the package that is no translator; of others nothing is known before
    they are loaded."""
    is_extractive = reference == Reference("embedded", EXTRACTIVE)
    if reference.kind != "embedded" or (
        not is_extractive and embedded_task(reference.name) in ("", "translate")
    ):
        return
    does = "picks sentences" if is_extractive else "goes on with a text"
    raise WrongTask(
        f"{reference} {does} and cannot translate; choose another model, such as "
        f"{_embedded_pairs()}"
    )


def _offline(task: str, source: str | None, target: str | None) -> tuple[str, str]:
    """(what a model is wanted for, what there is without a network)."""
    if task == "translate":
        return f"translates {_pair(source, target)}", _embedded_pairs()
    language = f" in {language_name(source)}" if source else ""
    return _WANTED.get(task, "writes open text") + language, "every model trained here, as run:NAME"


def _recommended(choices: list[Choice], wanted: str, offline: str) -> list[Candidate]:
    remote = [choice for choice in choices if choice.reference.kind == "hub"]
    cached = [choice for choice in remote if cached_folder(choice.reference) is not None]
    installed = [choice for choice in choices if choice.reference.kind == "package"]
    found = [Candidate(choice.reference, f"installed, {choice.why}") for choice in installed]
    found += [Candidate(choice.reference, f"in the cache, {choice.why}") for choice in cached]
    notice, moderate = (
        "",
        [choice for choice in remote if choice.entry is None or not choice.entry.is_large],
    )
    if remote and not found:
        if hub_answers():
            found = [
                Candidate(choice.reference, f"recommended, {choice.why}") for choice in moderate
            ]
        else:
            notice = (
                "the model hub is switched off (HF_HUB_OFFLINE)"
                if is_offline()
                else (f"{endpoint()} did not answer within 3 s")
            )
    found += [
        Candidate(
            choice.reference,
            choice.why,
            notice and f"{notice}; this model was taken instead of {remote[0].reference}",
        )
        for choice in choices
        if choice.reference.kind not in ("hub", "package")
    ]
    if not found and not notice:
        raise ModelNotFound(
            f"the models known that {wanted.replace('s ', ' ', 1)} want a large GPU, "
            f"and are fetched only when asked for: --model {remote[0].reference} "
            f"({remote[0].licence})"
        )
    if not found:
        raise HubUnreachable(
            f"{notice}, and no model that {wanted} is on this machine; "
            f"without a network there is {offline}"
        )
    return found


@contextlib.contextmanager
def open_model(
    choices: list[Candidate],
    manager: ModelManager | None,
    load_options: dict[str, object] | None = None,
) -> Iterator[Opened]:
    """The first of `choices` that can be loaded, leased until the end of the block; `load_options`
    go to `lease`.

    Where one fails and another follows, that one is tried and a note says so; the last failure is
    raised.
    """
    notes: list[str] = []
    for i, candidate in enumerate(choices):
        if candidate.notice:
            notes.append(candidate.notice)
        if candidate.reference == Reference("embedded", EXTRACTIVE):
            asked = [
                word
                for name, word in _OF_WEIGHTS.items()
                if (load_options or {}).get(name) is not None
            ]
            notes += (
                [f"it has no weights: {' and '.join(asked)} made no difference"] if asked else []
            )
            yield Opened(extractive_model(), candidate.reference, candidate.why, tuple(notes))
            return
        stack = contextlib.ExitStack()
        try:
            loaded = stack.enter_context(_lease(manager, candidate.reference, load_options or {}))
        except ModelError as error:
            if i + 1 == len(choices):
                raise
            notes.append(f"{candidate.reference} could not be used: {error}")
            continue
        with stack:
            yield Opened(loaded, candidate.reference, candidate.why, tuple(notes))
        return


def _lease(
    manager: ModelManager | None, reference: Reference, options: dict[str, object]
) -> contextlib.AbstractContextManager[LoadedModel]:
    return require_manager(manager, str(reference)).lease(reference, **options)


def require_manager(manager: ModelManager | None, what: str) -> ModelManager:
    """`manager`; ModelError where there is none, and `what` needs one."""
    if manager is None:
        raise ModelError(
            f"{what} needs a model manager; give manager=, or use embedded:{EXTRACTIVE}"
        )
    return manager


def _pair(source: str | None, target: str | None) -> str:
    return f"{language_name(source or '?')} to {language_name(target or '?')}"


def _embedded_pairs() -> str:
    names = [name for name in embedded_names() if embedded_task(name) == "translate"]
    return ", ".join(f"embedded:{name}" for name in names) or "none"
