"""Where the sentences of one paragraph begin and end.

pysbd knows the rules (abbreviations, ordinals, quotations) of many languages. Around it stand three
guards that were needed in practice: it sees a proxy text without the symbols it uses as
place-holders, it gets at most `_CHUNK_CHARACTERS` at a time, and a sentence longer than a model can
read is cut at its last comma.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = [
    "MAX_SENTENCE_CHARACTERS",
    "MAX_WIDE_SENTENCE_CHARACTERS",
    "RULED_LANGUAGES",
    "sentence_spans",
]

MAX_SENTENCE_CHARACTERS = 1000
"""A longer "sentence" is cut: about 250 tokens, half of what a Marian model can read."""

MAX_WIDE_SENTENCE_CHARACTERS = 300
"""The same for Chinese and Japanese, where a character is about a token."""

RULED_LANGUAGES = frozenset(
    (
        "am",
        "bg",
        "da",
        "de",
        "el",
        "en",
        "es",
        "fr",
        "hi",
        "hy",
        "it",
        "kk",
        "mr",
        "my",
        "nl",
        "pl",
        "ru",
        "sk",
    )
)
"""The languages split by pysbd's own rules. Chinese, Japanese and those of Arabic script, where its
rules miss closing quotes or full stops, have patterns here; every other language gets the English
rules."""

_CHUNK_CHARACTERS = 3000
_WIDE_LANGUAGES = ("zh", "ja")
_PLACE_HOLDERS = "•⁃∮∯⌬⎋☄☇☈☉☏☝♝♟♨♬♭✂ȸȹƪᓰᓳᓴᓷ¤"
_CLOSERS = "”’」』）】》〉)]}\"'»“"
_ARABIC_SCRIPT = ("ar", "fa", "ur")
_SPLIT_FALLBACK = re.compile(r"[.!?…؟۔]+[\"'”’»)\]]*(?=\s)|[。！？]+[”’」』）】》]*")
_SPLIT_WIDE = re.compile(
    r"(?:[。！？!?]+|…{2,}|(?<=[\u3040-\u9fff])\.(?=[\u3040-\u9fff]))"
    r"(?:[”’」』）】》]+(?![\u3040-\u309f])|(?![”’」』）】》]))"
)  # hiragana after a quotation goes on with it
_SURE_END = re.compile(r"(?:\w{4,}[.!?][\"'”’»)]*(?=\s)|[。！？][”’」』）】》]*)")
_CLAUSE_END = re.compile(r"[;；:：,，、](?=\s|[\u3000-\u9fff])|[，、；：]|\s")


def sentence_spans(
    paragraph: str, language: str, max_characters: int | None = None
) -> list[tuple[int, int]]:
    """(start, end) of each sentence of `paragraph`, in order, without the white space around it.

    `paragraph` holds no line breaks that matter. Between the spans there is only white space. A
    language that pysbd does not know is split by the English rules. Longer sentences than
    `max_characters` are cut.
    """
    spans: list[tuple[int, int]] = []
    limit = MAX_WIDE_SENTENCE_CHARACTERS if language in _WIDE_LANGUAGES else MAX_SENTENCE_CHARACTERS
    limit = min(limit, max_characters or limit)
    for start, end in _chunks(paragraph):
        for a, b in _split(paragraph[start:end], language):
            a, b = _strip(paragraph, start + a, start + b)
            spans.extend(_shortened(paragraph, a, b, limit))
    return spans


def _chunks(paragraph: str) -> list[tuple[int, int]]:
    """Cuts of at most `_CHUNK_CHARACTERS`, made where a sentence surely ends if there is such a
    place."""
    cuts, start = [], 0
    while len(paragraph) - start > _CHUNK_CHARACTERS:
        window = paragraph[start : start + _CHUNK_CHARACTERS]
        ends = [match.end() for match in _SURE_END.finditer(window)]
        cut = ends[-1] if ends else _clause_end(window, 0, _CHUNK_CHARACTERS)
        cuts.append((start, start + cut))
        start += cut
    return [*cuts, (start, len(paragraph))]


def _split(text: str, language: str) -> list[tuple[int, int]]:
    if (
        language in _WIDE_LANGUAGES
    ):  # pysbd leaves a closing quote to the next sentence and "." unseen
        return _by_pattern(text, _SPLIT_WIDE)
    if language in _ARABIC_SCRIPT:
        return _by_pattern(text, _SPLIT_FALLBACK)
    return _by_rules(text, language) or _by_pattern(text, _SPLIT_FALLBACK)


def _by_rules(text: str, language: str) -> list[tuple[int, int]]:
    """Spans by pysbd; an empty list where its answer cannot be found again in the text."""
    import pysbd

    proxy = _proxy(text)
    rules = pysbd.Segmenter(language=language if language in RULED_LANGUAGES else "en", clean=False)
    spans: list[tuple[int, int]] = []
    position = 0
    # .processor().process() and not .segment(), which searches each sentence from the start
    # (quadratic time)
    # and drops those it does not find.
    for sentence in rules.processor(proxy).process() or []:
        sentence = sentence.strip()
        start = proxy.find(sentence, position)
        if not sentence:
            continue
        if start < 0 or proxy[position:start].strip():
            return []
        position = start + len(sentence)
        spans.append((start, position))
    return [] if proxy[position:].strip() else _closers_back(proxy, spans)


def _closers_back(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """A "sentence" of closing quotes and brackets only belongs to the one before it."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and not text[start:end].strip(_CLOSERS + ".!?… "):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _by_pattern(text: str, ends: re.Pattern[str]) -> list[tuple[int, int]]:
    stops = [match.end() for match in ends.finditer(text)]
    if not stops or text[stops[-1] :].strip():
        stops.append(len(text))
    return list(zip([0, *stops[:-1]], stops, strict=True))


def _proxy(text: str) -> str:
    """`text` with one harmless character for each that pysbd uses for itself or stumbles over."""
    return "".join(
        "¤"
        if character in _PLACE_HOLDERS or unicodedata.category(character) in _STUMBLES
        else " "
        if character.isspace()
        else character
        for character in text
    )


_STUMBLES = ("Cc", "Cs", "Co", "Cn", "So", "Cf")
"""Unicode categories: controls, lone surrogates, private, unassigned, symbols such as emoji, format
marks."""


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _shortened(text: str, start: int, end: int, limit: int) -> list[tuple[int, int]]:
    """The span cut into parts of at most `limit` characters, each ending at a clause or word if it
    can."""
    parts = []
    while end - start > limit:
        cut = _clause_end(text, start + limit // 2, start + limit)
        parts.append(_strip(text, start, cut))
        start, _ = _strip(text, cut, end)
    if end > start:
        parts.append((start, end))
    return parts


def _clause_end(text: str, start: int, end: int) -> int:
    """The last place in [start, end) after a comma, else after a word, else `end`."""
    places = [match.end() for match in _CLAUSE_END.finditer(text, start, end)]
    clauses = [place for place in places if not text[place - 1].isspace()]
    return (clauses or places or [end])[-1]
