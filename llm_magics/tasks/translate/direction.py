"""From which language to which: what was asked, what the text seems to be, and what the model can
do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_magics.errors import InputError, UnknownLanguage
from llm_magics.models.catalog import language_name, native_language
from llm_magics.models.families import family_of
from llm_magics.text.language import check_language, detect

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["Direction", "direction_asked", "direction_of"]

AUTO = "auto"


@dataclass(frozen=True)
class Direction:
    """Languages by code; `note` says how the source was found when it was not given."""

    source: str
    target: str
    note: str = ""


def direction_asked(text: str, source: str, target: str | None) -> Direction:
    """The direction before any model is known: `source` may be "auto", `target` must be given.

    Raises InputError or UnknownLanguage.
    """
    if target is None:
        raise InputError("no target language was given; say which, for example --to de")
    to, note = check_language(target), ""
    if source != AUTO:
        start = check_language(source)
    else:
        start, note = _detected(text)
    if start == to:
        seems = "seems to be" if source == AUTO else "is said to be"
        raise InputError(
            f"the text {seems} {language_name(to)} already, the language to translate to; "
            "give another --from or --to"
        )
    return Direction(start, to, note)


def direction_of(model: LoadedModel, text: str, source: str, target: str | None) -> Direction:
    """The direction in which `model` translates `text`. A model of one pair needs neither language
    given.

    Raises UnknownLanguage when the model does not know a language, with those that it knows.
    """
    sources, targets = _sides(model)
    if not sources or not targets:
        return _among(model, direction_asked(text, source, target))
    to = _matching(target, targets, model, "to") if target is not None else targets[0]
    note = ""
    if source != AUTO:
        start = _matching(source, sources, model, "from")
    elif len(sources) == 1:
        start = sources[0]
    else:
        start, note = _detected(text, sources)
    return Direction(start, to, note)


def _sides(model: LoadedModel) -> tuple[list[str], list[str]]:
    """The languages of a model of one pair; a side may be several, as in "en,de,fr", or no language
    ("digits")."""
    sides = ((side or "").split(",") for side in (model.source_language, model.target_language))
    sources, targets = ([code.strip() for code in side if code.strip()] for side in sides)
    return sources, targets


def _matching(asked: str, known: list[str], model: LoadedModel, preposition: str) -> str:
    code = asked if asked in known else check_language(asked)
    if code not in known:
        sources, targets = _sides(model)
        raise UnknownLanguage(
            f"{model.reference} translates {', '.join(sources)} to {', '.join(targets)}, "
            f"not {preposition} {language_name(code)}; choose another model or language"
        )
    return code


def _among(model: LoadedModel, direction: Direction) -> Direction:
    """The direction, once it is sure that a multilingual model knows both languages."""
    known = tuple(model.languages or ())
    # A Marian model that chooses its target by a mark has codes for targets only.
    asked = (
        (direction.target,)
        if family_of(model.family).languages == "prefix"
        else (direction.source, direction.target)
    )
    for code in asked:
        if known and native_language(code, known) is None:
            shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
            raise UnknownLanguage(
                f"{model.reference} does not know {language_name(code)} ({code}); it knows {shown}"
            )
    return direction


def _detected(text: str, among: list[str] | None = None) -> tuple[str, str]:
    code, probability = detect(text, among)
    return code, f"{language_name(code)} was detected ({probability:.0%})"
