"""How a chat model is asked what is in a text, and what of its answer counts.

It is asked for JSON. Answers are searched for the JSON in them, whatever stands around it; what is
no JSON is read for the words that were asked for. What a model says of a text must be in the text:
names and phrases that are not are dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

__all__ = [
    "entities_prompt",
    "json_values",
    "labels_prompt",
    "locate",
    "parse_entities",
    "parse_labels",
    "parse_phrases",
    "parse_sentiment",
    "phrases_prompt",
    "sentiment_prompt",
]

SENTIMENTS = {"positive": 1.0, "negative": -1.0, "neutral": 0.0}
_MOST_SCANNED = 20_000
_KINDS = {
    "PERSON": "PER",
    "PEOPLE": "PER",
    "LOCATION": "LOC",
    "PLACE": "LOC",
    "GPE": "LOC",
    "CITY": "LOC",
    "COUNTRY": "LOC",
    "ORGANIZATION": "ORG",
    "ORGANISATION": "ORG",
    "COMPANY": "ORG",
    "OTHER": "MISC",
}
_BULLET = re.compile(r"\s*(?:[-*+•–]|\d{1,2}[.)])\s+(.+)")
_NEGATED = re.compile(r"\b(?:not|n't|isn't|neither)\s+(?:\w+\s+)?\Z", re.IGNORECASE)


def sentiment_prompt(text: str) -> str:
    """Asks for the mood of `text`."""
    return (
        "What is the sentiment of the following text? Answer with JSON only, such as "
        '{"sentiment": "positive"}; the '
        f"sentiment is positive, negative or neutral.\n\nText:\n{text}"
    )


def labels_prompt(text: str, labels: Sequence[str], multi_label: bool) -> str:
    """Asks which of `labels` fits `text`, or which do."""
    asked = (
        "Which of these labels fit the following text? There may be several, or none"
        if multi_label
        else ("Which one of these labels fits the following text best")
    )
    such_as = json.dumps({"labels": [labels[0]]}, ensure_ascii=False)
    return (
        f"{asked}: {', '.join(labels)}. Answer with JSON only, such as {such_as}.\n\nText:\n{text}"
    )


def entities_prompt(text: str) -> str:
    """Asks for the names in `text`."""
    return (
        "Find every named entity in the following text: PER (people), LOC (places), ORG "
        "(organisations), MISC (other "
        "names). Copy each exactly as it is written. Answer with a JSON list only, such as "
        f'[{{"text": "Ada Lovelace", "type": "PER"}}]; [] if there is none.\n\nText:\n{text}'
    )


def phrases_prompt(text: str, count: int) -> str:
    """Asks for the `count` phrases that say what `text` is about."""
    return (
        f"Which {count} phrases of the following text say best what it is about? Copy each "
        "exactly as it is written, most telling first. Answer with a JSON list of strings "
        f"only.\n\nText:\n{text}"
    )


def parse_sentiment(answer: str) -> str | None:
    """positive, negative or neutral; None where the answer says none of them, or several."""
    for value in json_values(answer):
        said = next((one for one in _strings(value) if one.strip().lower() in SENTIMENTS), None)
        if said is not None:
            return said.strip().lower()
    found = {
        name
        for name in SENTIMENTS
        for match in re.finditer(rf"\b{name}\b", answer, re.IGNORECASE)
        if not _NEGATED.search(answer[: match.start()])
    }
    return found.pop() if len(found) == 1 else None


def parse_labels(answer: str, labels: Sequence[str], multi_label: bool) -> tuple[str, ...] | None:
    """Those of `labels` that the answer gives, as they were written; None where it gives none of
    them and should."""
    by_name = {label.strip().casefold(): label for label in labels}
    for value in json_values(answer):
        said = [
            by_name[name] for one in _strings(value) if (name := one.strip().casefold()) in by_name
        ]
        if said:
            return tuple(dict.fromkeys(said)) if multi_label else (said[0],)
        if multi_label and (value == [] or (isinstance(value, dict) and [] in value.values())):
            return ()
    named = [
        (match.start(), label)
        for label in labels
        for match in re.finditer(rf"(?<!\w){re.escape(label)}(?!\w)", answer, re.IGNORECASE)
    ]
    found = tuple(dict.fromkeys(label for _, label in sorted(named)))
    return (found if multi_label else found[:1]) or None


def parse_entities(answer: str) -> list[tuple[str, str]]:
    """(name, type) of each entity in the answer; {"PER": ["Ada"]} is understood as well."""
    found: list[tuple[str, str]] = []
    for value in json_values(answer):
        found += _entities(value)
        if found:
            break
    return list(dict.fromkeys(found))


def _entities(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for one in value:
            if (
                isinstance(one, (list, tuple))
                and len(one) == 2
                and all(isinstance(part, str) for part in one)
            ):
                yield one[0], _kind(one[1])
            else:
                yield from _entities(one)
    elif isinstance(value, dict):
        lower = {str(key).lower(): inner for key, inner in value.items()}
        text = _first(lower, "text", "name", "entity", "word", "mention")
        if text is not None:
            yield text, _kind(_first(lower, "type", "label", "kind", "category") or "MISC")
            return
        for key, inner in value.items():
            if isinstance(inner, list) and inner and all(isinstance(one, str) for one in inner):
                yield from ((one, _kind(str(key))) for one in inner)
            else:
                yield from _entities(inner)


def _first(said: dict[str, object], *keys: str) -> str | None:
    return next((value for key in keys if isinstance(value := said.get(key), str)), None)


def _kind(said: str) -> str:
    plain = said.strip().upper()[:24] or "MISC"
    return _KINDS.get(plain, plain)


def parse_phrases(answer: str) -> list[str]:
    """The phrases of the answer in their order: of a JSON list, else of a list with a phrase a
    line."""
    for value in json_values(answer):
        found = [one for one in _strings(value) if one.strip()]
        if found:
            return list(dict.fromkeys(found))
    lines = [
        match[1].strip(" \t\"'“”*.")
        for line in answer.splitlines()
        if (match := _BULLET.match(line))
    ]
    return list(dict.fromkeys(line for line in lines if line))


def json_values(answer: str) -> Iterator[object]:
    """The JSON objects and lists in `answer`, outermost first, with whatever stands around them
    left out."""
    decoder = json.JSONDecoder()
    text = answer[:_MOST_SCANNED]
    at = 0
    while (match := re.compile(r"[\[{]").search(text, at)) is not None:
        try:
            value, at = decoder.raw_decode(text, match.start())
            yield value
        except (ValueError, RecursionError):
            at = match.start() + 1


def _strings(value: object, depth: int = 6) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)) and depth:
        for one in value if isinstance(value, list) else value.values():
            yield from _strings(one, depth - 1)


def locate(text: str, mention: str) -> list[tuple[int, int]]:
    """Every place where `mention` stands in `text` as whole words: as written, else whatever its
    capitals and spaces."""
    words = mention.split()
    if not words:
        return []
    pattern = r"\s+".join(map(re.escape, words))
    # A word character of a spaced script must not follow or go before; Chinese and Japanese have no
    # such border.
    front = (
        r"(?<![^\W\u3040-\u30ff\u3400-\u9fff])"
        if re.match(r"[^\W\u3040-\u30ff\u3400-\u9fff]", words[0])
        else ""
    )
    back = (
        r"(?![^\W\u3040-\u30ff\u3400-\u9fff])"
        if re.match(r"[^\W\u3040-\u30ff\u3400-\u9fff]", words[-1][-1])
        else ""
    )
    for flags in (0, re.IGNORECASE):
        found = [match.span() for match in re.finditer(front + pattern + back, text, flags)]
        if found:
            return found
    return []
