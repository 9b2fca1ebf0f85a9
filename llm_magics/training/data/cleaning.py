"""Cleaning of rows: what is normalised, what is left out of training and why."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import compress
from typing import Any

from llm_magics.errors import RecipeError
from llm_magics.training.data.report import Report
from llm_magics.training.data.rows import Rows
from llm_magics.training.recipe.recipe import Cleaning

__all__ = ["Report", "clean"]

_MOST_EXAMPLES, _EXAMPLE_CHARACTERS = 3, 60
_TOLD_BY_CHARACTERS = 20
"""Shorter texts are not judged by their language."""
_SURE = 0.9
"""Probability at which another language counts: of 42,000 sentences of 5 corpora in 4 languages
none was wronged."""
_COMMON = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh")
"""Languages that are told from the recipe's own; py3langid's rarer ones attract short texts."""
_BESIDE_THE_TEXT = ("label", "tags", "answers")
_NO_TEXT = ("tokens", *_BESIDE_THE_TEXT)
"""Roles whose values are no plain text."""

Fault = Callable[[tuple], bool]
"""Whether a row has this fault."""


def clean(
    parts: dict[str, Rows], roles: tuple[str, ...], settings: Cleaning, languages: Mapping[str, str]
) -> tuple[dict[str, Rows], Report]:
    """The parts with their text normalised and the training rows filtered, and the report of it.

    roles: names of a row's values, in order. languages: role → code, for the filter by language.
    Labels are left as they are, and so is the "context" of answers, whose places must stay right,
    and the white space of rows of nothing but "text", where a language model learns it. Rows
    without any text after normalisation leave every part; all other filters touch "train" alone, so
    that figures stay comparable. An overlap is a training row with the source or the target of a
    held-out pair, or all the texts of another kind of held-out row, in any case and spacing.
    Raises RecipeError where the filter by language cannot work.
    """
    at = {role: index for index, role in enumerate(roles)}
    normal = {part: _normalised(rows.values, roles, settings) for part, rows in parts.items()}
    filters = _filters(at, settings, languages)
    held_out = {
        f"overlap with {part}": _held_out_keys(rows, roles)
        for part, rows in normal.items()
        if part != "train" and rows and settings.remove_overlap
    }
    cleaned, counts, examples = {}, {}, {}
    for part, rows in parts.items():
        is_train = part == "train"
        checks = {**filters, **({"duplicates": _repeated()} if settings.deduplicate else {})}
        reasons = [_first_fault(row, checks) for row in normal[part]]
        if is_train:
            reasons = _with_overlap(reasons, normal[part], roles, held_out)
            examples = _examples(rows, reasons)
        stays = [not reason or (reason != "empty" and not is_train) for reason in reasons]
        cleaned[part] = Rows(
            list(compress(normal[part], stays)), list(compress(rows.places, stays)), rows.skipped
        )
        found, looked_for = Counter(reasons), [*checks, *(held_out if is_train else ())]
        counts[part] = {
            **{
                reason: found[reason]
                for reason in looked_for
                if reason != "empty" or found["empty"]
            },
            "kept": len(cleaned[part].values),
        }
    return cleaned, Report(
        {part: len(rows.values) for part, rows in parts.items()},
        {part: len(rows.skipped) for part, rows in parts.items()},
        counts,
        examples,
    )


def _filters(
    at: Mapping[str, int], settings: Cleaning, languages: Mapping[str, str]
) -> dict[str, Fault]:
    """Reason → whether a row is left out for it, of the filters that are switched on; `at`: role →
    index."""
    texts = [index for role, index in at.items() if role not in _NO_TEXT]
    faults = {
        "empty": _empty(texts),
        "too short": _too_short(texts, settings),
        "too long": _too_long(texts, settings),
        "length ratio": _uneven(at, settings),
        "language": _other_language(at, settings, languages),
    }
    return {reason: fault for reason, fault in faults.items() if fault is not None}


def _first_fault(row: tuple, checks: dict[str, Fault]) -> str:
    for reason, fault in checks.items():
        if fault(row):
            return reason
    return ""


def _normalised(rows: list[tuple], roles: tuple[str, ...], settings: Cleaning) -> list[tuple]:
    fixed = {*_BESIDE_THE_TEXT, *(["context"] if "answers" in roles else [])}
    one_space = settings.whitespace and roles != ("text",)
    columns = [
        column if role in fixed else [_normal(value, settings, one_space) for value in column]
        for role, column in zip(roles, zip(*rows, strict=True), strict=False)
    ]  # no columns of no rows
    return list(zip(*columns, strict=True))


def _normal(value: Any, settings: Cleaning, one_space: bool) -> Any:
    if isinstance(value, list):
        return [_composed(token, settings) for token in value]
    value = _composed(value, settings)
    return " ".join(value.split()) if one_space else value


def _composed(text: str, settings: Cleaning) -> str:
    if settings.normalize == "none" or text.isascii():
        return text
    return unicodedata.normalize(settings.normalize.upper(), text)


def _empty(texts: list[int]) -> Fault:
    def fault(row: tuple) -> bool:
        return any(not row[index] or row[index].isspace() for index in texts)

    return fault


def _too_short(texts: list[int], settings: Cleaning) -> Fault | None:
    least = settings.min_characters
    return (lambda row: any(len(row[index]) < least for index in texts)) if least else None


def _too_long(texts: list[int], settings: Cleaning) -> Fault | None:
    most = settings.max_characters
    return (lambda row: any(len(row[index]) > most for index in texts)) if most else None


def _uneven(at: Mapping[str, int], settings: Cleaning) -> Fault | None:
    if not settings.max_ratio or not {"source", "target"} <= set(at):
        return None
    source, target = at["source"], at["target"]

    def fault(row: tuple) -> bool:
        shorter, longer = sorted((len(row[source]), len(row[target])))
        return longer > settings.max_ratio * shorter

    return fault


def _repeated() -> Fault:
    seen: set = set()

    def fault(row: tuple) -> bool:
        key = row if _is_hashable(row) else repr(row)
        if key in seen:
            return True
        seen.add(key)
        return False

    return fault


def _is_hashable(row: tuple) -> bool:
    return not any(isinstance(value, list) for value in row)


def _held_out_keys(rows: list[tuple], roles: tuple[str, ...]) -> list[set]:
    """Keys that no training row may have: one set a position of `_keys`."""
    return [set(column) for column in zip(*(_keys(row, roles) for row in rows), strict=True)]


def _keys(row: tuple, roles: tuple[str, ...]) -> tuple:
    """What a row has in common with a row it overlaps with, in any case and spacing; one equal key
    is enough."""
    folded = tuple(
        [
            " ".join((value if isinstance(value, str) else " ".join(value)).casefold().split())
            for role, value in zip(roles, row, strict=True)
            if role not in _BESIDE_THE_TEXT
        ]
    )
    return folded if roles == ("source", "target") else (folded,)


def _with_overlap(
    reasons: list[str], rows: list[tuple], roles: tuple[str, ...], held_out: dict[str, list[set]]
) -> list[str]:
    """The reasons, with the overlap of rows that had no other reason."""
    found = list(reasons)
    for number in (number for number, reason in enumerate(reasons) if not reason and held_out):
        keys = _keys(rows[number], roles)
        for overlap, sets in held_out.items():
            if any(map(set.__contains__, sets, keys)):
                found[number] = overlap
                break
    return found


def _other_language(
    at: Mapping[str, int], settings: Cleaning, languages: Mapping[str, str]
) -> Fault | None:
    if not settings.languages:
        return None
    expected = {
        role: code.lower().replace("_", "-").split("-")[0]
        for role, code in languages.items()
        if role in at
    }
    if not expected:
        raise RecipeError(
            "cleaning.languages needs data.source_language (and target_language) to compare with"
        )
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    unknown = set(expected.values()) - set(identifier.labels)
    if unknown:
        raise RecipeError(
            f"cleaning.languages: {sorted(unknown)[0]!r} cannot be recognised; switch it off for "
            "this recipe"
        )
    identifier.set_languages(sorted({*_COMMON, *expected.values()}))

    def fault(row: tuple) -> bool:
        for role, code in expected.items():
            text = row[at[role]]
            if len(text) >= _TOLD_BY_CHARACTERS:
                found, probability = identifier.classify(text)
                if found != code and probability >= _SURE:
                    return True
        return False

    return fault


def _examples(rows: Rows, reasons: list[str]) -> dict[str, list[str]]:
    examples: dict[str, list[str]] = {}
    for row, place, reason in zip(rows.values, rows.places, reasons, strict=True):
        some = examples.setdefault(reason, [])
        if reason and len(some) < _MOST_EXAMPLES:
            some.append(f"{place}: " + " | ".join(_short(value) for value in row))
    examples.pop("", None)
    if rows.skipped:
        examples["bad rows"] = [
            _short(line, 4 * _EXAMPLE_CHARACTERS) for line in rows.skipped[:_MOST_EXAMPLES]
        ]
    return examples


def _short(value: Any, most: int = _EXAMPLE_CHARACTERS) -> str:
    text = " ".join((value if isinstance(value, str) else " ".join(map(str, value))).split())
    return text if len(text) <= most else text[: most - 1] + "…"
