"""The phrases that say what a text is about, found without a model.

A candidate is a run of words between stop words and punctuation, as in RAKE (Rose et al. 2010), or
a part of one that occurs more than once. With words w of candidate p, which stands at sentences i,
each weighed by how early it is:

    score(p) = log₂(1 + |p|) · (g(p) - g(longer)) · √(mean_w g(w)),     g(p) = Σ_i 1 / ln(e + i)

|p| counts the words, at most three; g(longer) is the greatest g of the recurring candidates that p
is a part of, akin to the C-value (Frantzi et al. 2000), so that "neural" does not stand beside
"neural network". A run is also cut behind a capital: "Donau" | "verbindet". Stop words:
stopwordsiso, 58 languages.

Chinese and Japanese have no spaces: `llm_magics.text.unspaced` says where words end, two
characters count as a word, a phrase has two to eight of them and stands there more than once,
unless nothing does.
"""

from __future__ import annotations

import functools
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from llm_magics.text.passages import Passage, sentence_passages
from llm_magics.text.unspaced import IS_WIDE, WIDE, is_free, pieces, segmenter

__all__ = ["Phrase", "has_stop_words", "key_phrases"]

_TOKEN = re.compile(
    rf"[{WIDE}]+|[^\W\d_{WIDE}](?:[^\W_{WIDE}]|[-.'’](?=[^\W_{WIDE}]))*|\d+(?:[.,:]\d+)*|\S"
)
_MOST_WORDS, _MOST_CHARACTERS, _SURE_CHARACTERS = 4, 8, 4
_ENOUGH = 2
"""So many Chinese phrases that recur, and those that do not are left out: of their ends one cannot
be sure."""
_STEM_CHARACTERS = 6
_ELISION = re.compile(r"(?:[cdjlmnstCDJLMNST]|[Qq]u|[Ll]orsqu|[Jj]usqu)['’]")
_POSSESSIVE = re.compile(r"['’]s\Z")


@dataclass(frozen=True)
class Phrase:
    """A key phrase and the places where it stands."""

    text: str
    """As it is written where it stands first."""
    score: float
    """How telling it is, between 0 and 1, the first phrase 1."""
    places: tuple[tuple[int, int], ...]
    """Characters [start, end) of each occurrence."""


@dataclass(frozen=True)
class _Word:
    start: int
    end: int
    text: str
    key: str
    """What occurrences are counted by: a stem, or the characters."""
    opens: bool = True
    closes: bool = True
    """Whether a phrase may begin and end with it, as `llm_magics.text.unspaced.Piece` says."""


_Candidates = dict[tuple[str, ...], list[tuple[int, int, int, int]]]
"""Keys of the words → (sentence, start, end, whole run?) of each occurrence."""


def has_stop_words(language: str) -> bool:
    """Whether key phrases can be told from the words between them in this language."""
    import stopwordsiso

    return stopwordsiso.has_lang(language)


def key_phrases(text: str, language: str, count: int = 10) -> list[Phrase]:
    """The `count` most telling phrases of `text`, best first; none where the language has no list
    of stop words."""
    found: _Candidates = defaultdict(list)
    weights: dict[str, float] = defaultdict(float)  # g of single words
    for number, sentence in enumerate(sentence_passages(text, language)):
        for run in _runs(sentence, language):
            for word in run:
                weights[word.key] += _early(number)
            _collect(run, number, found)
    starts = {sentence.start for sentence in sentence_passages(text, language)}
    kept = {
        keys: places
        for keys, places in found.items()
        if (len(places) > 1 or any(whole for *_, whole in places))
        and _worth_it(text, keys, places, starts, language)
    }
    kept = _surest(kept)
    ranked = sorted(
        _scores(kept, weights).items(), key=lambda pair: (-pair[1], kept[pair[0]][0][1])
    )
    return _apart(text, ranked, kept, count)


@functools.cache
def _stop_words(language: str) -> frozenset[str]:
    import stopwordsiso

    words = stopwordsiso.stopwords(language) if stopwordsiso.has_lang(language) else set()
    return frozenset(word.lower().replace("’", "'") for word in words)


def _early(sentence: int) -> float:
    return 1 / math.log(math.e + sentence)


def _runs(sentence: Passage, language: str) -> Iterator[list[_Word]]:
    """The words between stop words and punctuation."""
    stops = _stop_words(language)
    run: list[_Word] = []
    for match in _TOKEN.finditer(sentence.text):
        if IS_WIDE.match(match[0]):
            yield run
            yield from _wide_runs(match[0], sentence.start + match.start(), language)
            run = []
            continue
        word = _word(match, sentence)
        inside_name = bool(run) and word.text[:1].isupper() and run[-1].text[:1].isupper()
        if not word.text[:1].isalpha() or (word.text.lower() in stops and not inside_name):
            yield run
            run = []
            continue
        begins = match.start() == 0 or (run and run[-1].start == sentence.start)
        if run and run[-1].text[0].isupper() and word.text[0].islower() and not begins:
            yield run
            run = []
        run = [*run, word]
    yield run


def _word(match: re.Match[str], sentence: Passage) -> _Word:
    """A word without its article ("l'eau") and without its 's."""
    elided = _ELISION.match(match[0])
    text = match[0][elided.end() :] if elided and elided.end() < len(match[0]) else match[0]
    start = sentence.start + match.end() - len(text)
    text = _POSSESSIVE.sub("", text)
    return _Word(
        start,
        start + len(text),
        text,
        text.lower()[:_STEM_CHARACTERS] if len(text) > 3 else text.lower(),
    )


def _wide_runs(text: str, start: int, language: str) -> Iterator[list[_Word]]:
    stops = _stop_words(language)
    run: list[_Word] = []
    for piece in pieces(text, language, stops):
        end = start + len(piece.text)
        if piece.cuts:
            yield run
            run = []
        else:
            run = [*run, _Word(start, end, piece.text, piece.text, piece.opens, piece.closes)]
        start = end
    yield run


def _collect(run: list[_Word], sentence: int, found: _Candidates) -> None:
    """Every part of a run that neither begins nor ends with a stop word, and the run itself where
    it is short enough."""
    wide = bool(run) and bool(IS_WIDE.match(run[0].text))
    most = _MOST_CHARACTERS if wide else _MOST_WORDS  # single characters, where nobody tells words
    edges = [
        True,
        *(not word.opens for word in run),
        True,
    ]  # edges[i]: what stands before word i cuts
    for size in range(1, min(most, len(run)) + 1):
        for first in range(len(run) - size + 1):
            words = run[first : first + size]
            fits = not wide or 2 <= words[-1].end - words[0].start <= _MOST_CHARACTERS
            if fits and words[0].opens and words[-1].closes:
                whole = (
                    edges[first] and edges[first + size + 1] and all(word.opens for word in words)
                )
                found[tuple(word.key for word in words)].append(
                    (sentence, words[0].start, words[-1].end, whole)
                )


def _worth_it(
    text: str,
    keys: tuple[str, ...],
    places: list[tuple[int, int, int, int]],
    starts: set[int],
    language: str,
) -> bool:
    """Whether it can be a key phrase: of what stands there once, single words must be names, and
    Chinese not too short."""
    if IS_WIDE.match(keys[0]):  # what is left between two stop words is often a piece of a word
        if len(places) == 1:
            return len("".join(keys)) >= _SURE_CHARACTERS
        return segmenter(language) is not None or is_free(
            text, [(start, end) for _, start, end, _ in places]
        )
    _, start, end, _ = places[0]
    return len(keys) > 1 or (
        end - start > 2 and (len(places) > 1 or (text[start].isupper() and start not in starts))
    )


def _surest(kept: _Candidates) -> _Candidates:
    """Without the Chinese phrases that stand there once, where there are others."""
    once = {keys for keys, places in kept.items() if IS_WIDE.match(keys[0]) and len(places) == 1}
    recurring = sum(bool(IS_WIDE.match(keys[0])) for keys in kept) - len(once)
    return (
        {keys: places for keys, places in kept.items() if keys not in once}
        if recurring >= _ENOUGH
        else kept
    )


def _scores(kept: _Candidates, weights: dict[str, float]) -> dict[tuple[str, ...], float]:
    strength = {
        keys: sum(_early(sentence) for sentence, *_ in places) for keys, places in kept.items()
    }
    longer: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for keys in [keys for keys, places in kept.items() if len(places) > 1]:
        parts = {
            keys[i : i + size] for size in range(1, len(keys)) for i in range(len(keys) - size + 1)
        }
        for part in parts & kept.keys():
            longer[part].append(strength[keys])
    scores = {}
    for keys in kept:
        nested = max(longer[keys], default=0.0)
        words = sum(weights[key] for key in keys) / len(keys)
        length = min(3, len("".join(keys)) / 2 if IS_WIDE.match(keys[0]) else len(keys))
        scores[keys] = math.log2(1 + length) * max(0.0, strength[keys] - nested) * math.sqrt(words)
    return scores


def _apart(
    text: str, ranked: list[tuple[tuple[str, ...], float]], kept: _Candidates, count: int
) -> list[Phrase]:
    """The best phrases, of those that are parts of one another only the best."""
    taken: list[tuple[str, ...]] = []
    phrases: list[Phrase] = []
    best = ranked[0][1] if ranked else 0.0
    for keys, score in ranked:
        if len(phrases) == count or score <= 0:
            break
        if any(_within(keys, other) or _within(other, keys) for other in taken):
            continue
        taken.append(keys)
        places = tuple((start, end) for _, start, end, _ in kept[keys])
        phrases.append(Phrase(" ".join(text[slice(*places[0])].split()), score / best, places))
    return phrases


def _within(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    return any(long[i : i + len(short)] == short for i in range(len(long) - len(short) + 1))
