"""Which model finds what: for each aspect of a text the models to try, those on this machine first,
and what needs none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from llm_magics.display.result import Provenance
from llm_magics.errors import HubUnreachable, ModelError, ModelNotFound, UnknownLanguage
from llm_magics.extras import DISTRIBUTION, install_hint
from llm_magics.models.catalog import Choice, language_name, recommend
from llm_magics.models.folder.hub_cache import cached_folder
from llm_magics.models.read.classify import class_names, entailment_classes, is_sequence_classifier
from llm_magics.models.read.embed import is_sentence_encoder
from llm_magics.models.read.token_labels import is_tagger
from llm_magics.models.reference import Reference, package_names
from llm_magics.tasks.choose import Candidate, candidates
from llm_magics.tasks.understand.sentiment import LEXICON_LANGUAGES, has_lexicon, polarities
from llm_magics.text.keyphrases import has_stop_words
from llm_magics.text.unspaced import segmenter

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = [
    "MODELLED",
    "Sources",
    "capabilities",
    "sources",
    "unknown_to",
    "weightless_provenance",
    "without_weights",
]

MODELLED = ("sentiment", "labels", "entities", "similarity")
"""The aspects that the catalogue has models for."""
_WEIGHTLESS = {
    "language": ("py3langid", "it tells languages apart"),
    "sentiment": ("textblob", "a lexicon, no model"),
    "phrases": ("llm_magics", "statistics of the text, no model"),
}
_MINILM = Reference("package", "minilm")


@dataclass(frozen=True)
class Sources:
    """What could do one aspect."""

    models: tuple[Candidate, ...] = ()
    """To be tried in this order."""
    weightless: bool = False
    """Whether it can be done without a model, where none of these can be used."""
    lacking: str = ""
    """Why there is no model; "" where there is one, or none is needed."""
    refusal: type[ModelError] = ModelNotFound
    """What to raise with `lacking` where nothing else that is asked for can be done either."""


def sources(aspect: str, language: str, *, default: object = None, fetch: bool = True) -> Sources:
    """What could do `aspect` of a text in `language` (a code): the user's `default`, else what is
    on this machine, else the catalogue's recommendation from the hub if it may be fetched and
    answers within 3 s.
    """
    weightless = without_weights(aspect, language)
    if aspect not in MODELLED:
        return Sources(
            weightless=weightless, lacking="" if weightless else unknown_to(aspect, [language])
        )
    if default is not None:
        return Sources(tuple(candidates(aspect, default=default)), weightless)
    choices = recommend(aspect, language)
    here = [
        Candidate(choice.reference, choice.why)
        for choice in choices
        if choice.reference.kind == "package"
    ]
    here += [
        Candidate(choice.reference, f"in the cache, {choice.why}")
        for choice in choices
        if choice.reference.kind == "hub" and cached_folder(choice.reference) is not None
    ]
    if here:
        return Sources(tuple(here), weightless)
    vectors = _by_vectors(aspect, language)
    if not fetch:
        return Sources(
            tuple(vectors),
            weightless,
            "" if vectors or weightless else _not_here(aspect, language, choices),
        )
    try:
        return Sources((*candidates(aspect, source=language), *vectors), weightless)
    except (HubUnreachable, ModelNotFound, UnknownLanguage) as error:
        noted = tuple(Candidate(one.reference, one.why, str(error)) for one in vectors)
        refusal = HubUnreachable if isinstance(error, HubUnreachable) else ModelNotFound
        lacking = f"{aspect}: {error}"
        if aspect == "sentiment" and language in LEXICON_LANGUAGES and not weightless:
            lacking += f"; its lexicon needs no model: {install_hint('sentiment')}"
        return Sources(noted, weightless, "" if noted else lacking, refusal)


def _not_here(aspect: str, language: str, choices: list[Choice]) -> str:
    """That there is no model on this machine, and what would do."""
    named = (
        "--model names another: a chat model, or a classifier trained here (run:NAME)"
        if aspect == "sentiment"
        else ""
    )
    hub = next((choice for choice in choices if choice.reference.kind == "hub"), None)
    from_hub = (
        f"--show {aspect} takes {hub.reference} ({hub.download_bytes / 1e6:,.0f} MB) from the hub"
        if hub
        else ""
    )
    only = ""
    if aspect == "sentiment" and language in LEXICON_LANGUAGES:
        only = f"the lexicon is not installed ({install_hint('sentiment')}), and "
    elif aspect == "sentiment":
        only = f"the lexicon knows {_known()} only, and "
    return (
        f"{aspect}: {only}no model for {language_name(language)} is on this machine; "
        f"{', '.join(filter(None, (from_hub, named))) or 'name a model with --model'}"
    )


def unknown_to(aspect: str, languages: Iterable[str]) -> str:
    """That what needs no model cannot do `aspect` in these languages, and what can."""
    names = ", ".join(map(language_name, sorted(languages)))
    if aspect == "sentiment":
        return (
            f"sentiment: the lexicon knows {_known()} only, not {names}; name a classifier or a "
            "chat model with --model"
        )
    return (
        f"{aspect}: there is no list of stop words for {names}; a chat model (--model) finds key "
        "phrases in it"
    )


def _known() -> str:
    return ", ".join(map(language_name, LEXICON_LANGUAGES))


def _by_vectors(aspect: str, language: str) -> list[Candidate]:
    """Labels can be compared with a text as vectors, too, where there is no model of inference."""
    if aspect != "labels" or _MINILM.name not in package_names() or language != "en":
        return []
    return [
        Candidate(
            _MINILM, "no model of inference is here, and it compares labels with texts as vectors"
        )
    ]


def without_weights(aspect: str, language: str) -> bool:
    """Whether `aspect` can be done without a model in this language."""
    if aspect == "phrases":
        return has_stop_words(language)
    return aspect == "language" or (aspect == "sentiment" and has_lexicon(language))


def weightless_provenance(aspect: str, seconds: float = 0.0, language: str = "") -> Provenance:
    """What an aspect of texts in this language that was done without a model was done by."""
    package, why = _WEIGHTLESS[aspect]
    if aspect == "phrases" and segmenter(language) is not None:
        why += f", words by rjieba {metadata.version('rjieba')}"
    version = metadata.version(DISTRIBUTION if package == "llm_magics" else package)
    return Provenance(model=package, revision=version, why=why, seconds=seconds)


def capabilities(model: LoadedModel) -> dict[str, bool]:
    """The aspects `model` can do → whether it does them unasked."""
    if model.is_chat:
        return {"sentiment": True, "labels": True, "entities": True, "phrases": True}
    if is_tagger(model):
        return {"entities": True}
    if is_sequence_classifier(model):
        names = class_names(model)
        if entailment_classes(names) is not None:
            return {"labels": True}
        moods = polarities(names) is not None
        return {"sentiment": moods, "labels": not moods}
    return {"similarity": True, "labels": False} if is_sentence_encoder(model) else {}
