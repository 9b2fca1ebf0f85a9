"""Languages and recommended models, from catalog.toml.

This module is light: it imports the standard library only, and reads its file when first asked.
"""

from __future__ import annotations

import difflib
import functools
import json
from dataclasses import dataclass

from llm_magics.errors import UnknownLanguage
from llm_magics.models.catalog_entries import Entry, catalog, entries, hub_names, pair_entry
from llm_magics.models.reference import (
    EXTRACTIVE,
    Reference,
    embedded_names,
    embedded_root,
    package_names,
    parse_reference,
)

__all__ = [
    "Choice",
    "catalogued",
    "embedded_task",
    "find_language",
    "language_name",
    "languages",
    "native_language",
    "nllb_code",
    "recommend",
]


@dataclass(frozen=True)
class Choice:
    """A model that can do a task, and why one would pick it."""

    reference: Reference
    """The model."""
    why: str
    """One clause that follows "because": "it is trained for this pair"."""
    download_bytes: int | None
    """About how much has to be downloaded once; 0 for what ships with the package."""
    licence: str
    """The licence of the weights."""
    entry: Entry | None = None
    """What the catalogue knows of it; None for what ships with the package."""


@functools.cache
def languages() -> dict[str, str]:
    """Language code -> English name, in the order of the codes."""
    return {code: entry[0] for code, entry in sorted(catalog()["languages"].items())}


def language_name(code: str) -> str:
    """The English name of a language code; the code itself when it is not in the catalogue."""
    return languages().get(code, code)


def find_language(text: str) -> str:
    """A code, an English name, or a code of NLLB ("de", "German", "deu_Latn") as the code of the
    catalogue.

    Raises UnknownLanguage, with the nearest language when there is one.
    """
    word = text.strip().lower()
    names = _words()
    if word in names:
        return names[word]
    base = word.replace("_", "-").split("-")[0]  # de-DE, pt_BR, zh-Hans
    if 2 <= len(base) <= 3 and base != word and base in names:
        return names[base]
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.7)
    hint = (
        f"did you mean {names[near[0]]} ({language_name(names[near[0]])})?"
        if near
        else ("give a code such as en, de, fr, zh or an English name such as German")
    )
    raise UnknownLanguage(f"there is no language {text[:40]!r}: {hint}")


@functools.cache
def _words() -> dict[str, str]:
    """Every lower-case word that names a language -> its code; codes win over names."""
    entries = catalog()["languages"]
    words = {nllb.lower(): code for code, (_, nllb) in entries.items() if nllb}
    words |= {nllb.split("_")[0]: code for code, (_, nllb) in entries.items() if nllb}  # ISO 639-3
    words |= {name.lower(): code for code, (name, _) in entries.items()}
    words |= catalog()["aliases"]
    words |= {"no": "no", "norwegian": "no", "nob": "nb", "nob_latn": "nb"}
    return words | {code: code for code in entries}


def nllb_code(code: str) -> str | None:
    """The code NLLB uses for a language ("deu_Latn"), None when it has none."""
    entry = catalog()["languages"].get(code)
    return entry[1] or None if entry else None


def native_language(code: str, known: tuple[str, ...]) -> str | None:
    """What a model whose languages are `known` calls the language `code`; None when it does not
    know it.

    Families differ: de (M2M100), deu_Latn (NLLB), de_DE (mBART), deu or de (multilingual Marian).
    """
    nllb = nllb_code(code) or ""
    for candidate in (code, nllb, nllb.split("_")[0]):
        if candidate and candidate in known:
            return candidate
    prefixes = tuple(f"{base}_" for base in (code, nllb.split("_")[0]) if base)
    return next((name for name in known if name.startswith(prefixes)), None)


def recommend(task: str, source: str | None = None, target: str | None = None) -> list[Choice]:
    """The models for a task, best first, what ships with the package last; without what is in
    packages not installed.

    `task` is one of `catalog_entries.TASKS`: "translate" (both language codes needed), "summarize"
    or "ask" (`source` is the language of the text, English without it), or another, where `source`
    may be left out for any language. An empty list means that the catalogue knows no model for it.
    """
    if task == "translate":
        return _translators(source, target) if source and target and source != target else []
    language = source or ("en" if task in ("summarize", "ask") else None)
    found = [
        _choice(entry, _reason(task, entry, language))
        for entry in entries(task)
        if language is None or language in entry.languages
    ]
    return [*(choice for choice in found if _is_installed(choice.reference)), *_embedded(task)]


_SKILLS = {
    "summarize": "is trained to summarise {language}",
    "ask": "finds answers in texts in {language}",
    "predict": "predicts the next word",
    "generate": "answers in a chat",
    "sentiment": "tells whether a text is meant well",
    "labels": "compares a text with any labels",
    "entities": "marks persons, organisations and places",
    "similarity": "makes vectors of texts",
}


def _reason(task: str, entry: Entry, language: str | None) -> str:
    if entry.is_chat and task != "generate":
        return "it is a chat model, which does the task on request"
    return f"it {_SKILLS[task].format(language=language_name(language or 'en'))}"


def _is_installed(reference: Reference) -> bool:
    return reference.kind != "package" or reference.name in package_names()


def _choice(entry: Entry, why: str) -> Choice:
    reference = parse_reference(entry.repository)
    return Choice(
        reference, why, entry.download_bytes if reference.kind == "hub" else 0, entry.licence, entry
    )


def _translators(source: str, target: str) -> list[Choice]:
    pair, name = pair_entry(source, target), f"{source}-{target}"
    found = [] if pair is None else [_choice(pair, "it is trained for this pair of languages")]
    found += [
        _choice(
            entry,
            (
                f"one model translates between {'200' if 'nllb' in entry.repository else '100'} "
                "languages"
            ),
        )
        for entry in entries("translate")
        if {source, target} <= set(entry.languages)
    ]
    shipped = name in embedded_names() and embedded_task(name) == "translate"
    return [*found, *([_shipped(name)] if shipped else [])]


def _embedded(task: str) -> list[Choice]:
    """What ships with the package and does a task whatever the language, by what the folders
    say."""
    if task in ("summarize", "ask"):
        why = "it ships with llm_magics, needs no network, and picks sentences of the text"
        return [Choice(Reference("embedded", EXTRACTIVE), why, 0, "MIT")]
    if task in ("predict", "generate"):
        return [
            _shipped(name) for name in embedded_names() if embedded_task(name) == "language-model"
        ]
    return []


def _shipped(name: str) -> Choice:
    return Choice(
        Reference("embedded", name),
        "it ships with llm_magics and needs no network",
        0,
        "see its card.md",
    )


def embedded_task(name: str) -> str:
    """What an embedded model was trained for, by its folder: "translate", "language-model" …; ""
    for what has none."""
    try:
        config = json.loads((embedded_root() / name / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return str(config.get("task", "")) if isinstance(config, dict) else ""


def catalogued() -> tuple[str, ...]:
    """The hub ids of every model the catalogue recommends."""
    return hub_names()
