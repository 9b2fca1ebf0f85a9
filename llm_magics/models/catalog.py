"""Languages and recommended models, read from catalog.toml.

This module is light: it imports the standard library only, and reads its file when first asked.
"""

from __future__ import annotations

import difflib
import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

from llm_magics.errors import UnknownLanguage
from llm_magics.models.reference import EXTRACTIVE, Reference, embedded_names, parse_reference

__all__ = ["Choice", "catalogued", "find_language", "language_name", "languages", "native_language", "nllb_code", "recommend"]


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


@functools.cache
def _catalog() -> dict:
    return tomllib.loads(Path(__file__).with_name("catalog.toml").read_text("utf-8"))


@functools.cache
def languages() -> dict[str, str]:
    """Language code -> English name, in the order of the codes."""
    return {code: entry[0] for code, entry in sorted(_catalog()["languages"].items())}


def language_name(code: str) -> str:
    """The English name of a language code; the code itself when it is not in the catalogue."""
    return languages().get(code, code)


def find_language(text: str) -> str:
    """A code, an English name, or a code of NLLB ("de", "German", "deu_Latn") as the code of the catalogue.

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
    hint = f"did you mean {names[near[0]]} ({language_name(names[near[0]])})?" if near else (
        "give a code such as en, de, fr, zh or an English name such as German"
    )
    raise UnknownLanguage(f"there is no language {text[:40]!r}: {hint}")


@functools.cache
def _words() -> dict[str, str]:
    """Every lower-case word that names a language -> its code; codes win over names."""
    entries = _catalog()["languages"]
    words = {nllb.lower(): code for code, (_, nllb) in entries.items() if nllb}
    words |= {nllb.split("_")[0]: code for code, (_, nllb) in entries.items() if nllb}  # ISO 639-3
    words |= {name.lower(): code for code, (name, _) in entries.items()}
    words |= _catalog()["aliases"]
    words |= {"no": "no", "norwegian": "no", "nob": "nb", "nob_latn": "nb"}
    return words | {code: code for code in entries}


def nllb_code(code: str) -> str | None:
    """The code NLLB uses for a language ("deu_Latn"), None when it has none."""
    entry = _catalog()["languages"].get(code)
    return entry[1] or None if entry else None


def native_language(code: str, known: tuple[str, ...]) -> str | None:
    """What a model whose languages are `known` calls the language `code`; None when it does not know it.

    Families differ: de (M2M100), deu_Latn (NLLB), de_DE (mBART), deu or de (multilingual Marian).
    """
    nllb = nllb_code(code) or ""
    for candidate in (code, nllb, nllb.split("_")[0]):
        if candidate and candidate in known:
            return candidate
    prefixes = tuple(f"{base}_" for base in (code, nllb.split("_")[0]) if base)
    return next((name for name in known if name.startswith(prefixes)), None)


def recommend(task: str, source: str | None = None, target: str | None = None) -> list[Choice]:
    """The models for a task, best first, what ships with the package last.

    `task` is "translate" (both language codes needed) or "summarize" (`source` is the language of the text).
    An empty list means that the catalogue knows no model for it.
    """
    if task == "translate" and source and target and source != target:
        return [*_translators(source, target), *_embedded_translators(source, target)]
    if task == "summarize":
        return _summarizers(source or "en")
    return []


def _choice(entry: dict, why: str, repository: str | None = None) -> Choice:
    return Choice(
        parse_reference(repository or entry["repository"]), why, entry["megabytes"] * 1_000_000, entry["licence"]
    )


def _translators(source: str, target: str) -> list[Choice]:
    found, pair = [], f"{source}-{target}"
    opus, m2m = _catalog()["opus_mt"], _catalog()["m2m100"]
    if (
        (source == "en" and target in opus["from_english"].split())
        or (target == "en" and source in opus["to_english"].split())
        or pair in opus["other"].split()
    ):
        name = opus["renamed"].get(pair) or opus["repository"].format(source=source, target=target)
        found.append(_choice(opus, "it is trained for this pair of languages", name))
    if {source, target} <= set(m2m["languages"].split()):
        found.append(_choice(m2m, "one model translates between 100 languages"))
    if nllb_code(source) and nllb_code(target):
        found.append(_choice(_catalog()["nllb"], "one model translates between 200 languages"))
    return found


def _embedded_translators(source: str, target: str) -> list[Choice]:
    name = f"{source}-{target}"
    if name not in embedded_names():
        return []
    why = "it ships with llm_magics and needs no network"
    return [Choice(Reference("embedded", name), why, 0, "see its card.md")]


def _summarizers(language: str) -> list[Choice]:
    found = [
        _choice(entry, f"it is trained to summarise {language_name(language)}")
        for entry in _catalog()["summarize"]
        if language in entry["languages"].split()
    ]
    why = "it ships with llm_magics, needs no network, and picks sentences of the text"
    return [*found, Choice(Reference("embedded", EXTRACTIVE), why, 0, "MIT")]


@functools.cache
def catalogued() -> tuple[str, ...]:
    """The hub ids of every model the catalogue recommends."""
    catalog = _catalog()
    opus = catalog["opus_mt"]
    pairs = [("en", code) for code in opus["from_english"].split() if f"en-{code}" not in opus["renamed"]]
    pairs += [(code, "en") for code in opus["to_english"].split()]
    pairs += [tuple(pair.split("-")) for pair in opus["other"].split()]
    names = [opus["repository"].format(source=source, target=target) for source, target in pairs]
    others = [catalog[name]["repository"] for name in ("m2m100", "nllb")]
    return (*names, *opus["renamed"].values(), *others, *(entry["repository"] for entry in catalog["summarize"]))
