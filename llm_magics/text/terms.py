"""Terms that a translation must write in one way: as they stand in the source (`keep`) or as a
glossary says.

transformers 5 has no constrained beam search any more (`force_words_ids` asks for code from the
hub), and what it forced stood anywhere in the sentence. Here each sentence with a term is tried in
this order, and checked after each step:

1. as the model translates it, or as one of its alternatives does;
2. with every term replaced by a placeholder that translators copy (a code, a name, a number), put
   back afterwards;
3. with the words that the model wrote for the term, by its cross-attention, replaced by the term.

A term counts as kept when it stands in the translation at least as often as in the source, as whole
words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from llm_magics.display.parallel import SentencePair
from llm_magics.errors import InputError

__all__ = ["Term", "TermUse", "keep_terms", "terms_of"]

MAX_TERMS = 1_000
_SPACED = r"[^\W\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
"""A letter or digit of a script that puts spaces between words."""
_LEAST_SHARE = 0.2
"""Of what a written word looked at, the share that must be the term, for it to be taken for its
translation."""
_PLACEHOLDERS = (
    lambda k: f"XQ{k}",
    ("Tom", "Nova", "Sami", "Rex", "Otto", "Maxim").__getitem__,
    lambda k: str(k + 1) * 3,
)
"""By the number of the term in its sentence; large translators copy codes, those of this package
names they have seen."""
_MOST_MASKED = 6

Write = Callable[[list[str]], list[str]]
Link = Callable[[SentencePair], SentencePair]


@dataclass(frozen=True)
class Term:
    """A word or phrase of the source, and how it is to be written in the translation."""

    source: str
    target: str

    def __str__(self) -> str:
        return self.source if self.source == self.target else f"{self.source} = {self.target}"

    def pattern(self) -> re.Pattern[str]:
        """Where it stands in a source: as it is written, or for a glossary in any case."""
        return _whole(self.source, 0 if self.source == self.target else re.IGNORECASE)

    def missing(self, source: str, target: str) -> int:
        """How often it is missing in the translation of a sentence."""
        wanted, there = (
            len(self.pattern().findall(source)),
            len(_whole(self.target).findall(target)),
        )
        return max(0, wanted - there)


@dataclass(frozen=True)
class TermUse:
    """What became of one term in one sentence."""

    term: Term
    sentence: int
    """Which sentence, from 0."""
    how: str
    """"translated" (the model wrote it so), "alternative", "placeholder", "replaced" by its word
    link, or "" for lost."""

    @property
    def kept(self) -> bool:
        """Whether it stands in the translation as often as it should."""
        return bool(self.how)


def terms_of(
    keep: str | Sequence[str] = (), glossary: Mapping[str, str] | None = None
) -> tuple[Term, ...]:
    """The terms of `keep` (a list, or one text with commas) and `glossary`, longest first. Raises
    InputError."""
    names = keep.split(",") if isinstance(keep, str) else keep
    pairs = [*((name, name) for name in names), *(glossary or {}).items()]
    wrong = next((one for pair in pairs for one in pair if not isinstance(one, str)), None)
    if wrong is not None:
        raise InputError(f"a term is a text, not a {type(wrong).__name__}")
    found = {source.strip(): target.strip() for source, target in pairs if source.strip()}
    if len(found) > MAX_TERMS:
        raise InputError(f"{len(found):,} terms were given, at most {MAX_TERMS:,} are looked after")
    empty = next((source for source, target in found.items() if not target), None)
    if empty is not None:
        raise InputError(f"how is {empty!r} to be written? give source=target")
    return tuple(
        Term(source, found[source]) for source in sorted(found, key=lambda name: (-len(name), name))
    )


def keep_terms(
    pairs: Sequence[SentencePair],
    terms: Sequence[Term],
    write: Write,
    link: Link | None,
) -> tuple[list[SentencePair], tuple[TermUse, ...]]:
    """`pairs` with the terms written as they must be, and what became of each term in each sentence
    that has it.

    `write` translates sentences; `link` says which words of a pair go with which, None where the
    model cannot.
    """
    here = {i: found for i, pair in enumerate(pairs) if (found := _occurring(pair.source, terms))}
    result, how = list(pairs), {}
    for i, found in here.items():
        how[i] = "" if _lost(pairs[i], found) else "translated"
        better = next(
            (
                text
                for text in pairs[i].alternatives
                if not _lost(replace(pairs[i], target=text), found)
            ),
            None,
        )
        if not how[i] and better is not None:
            others = tuple(
                text for text in (pairs[i].target, *pairs[i].alternatives) if text != better
            )
            result[i], how[i] = (
                SentencePair(pairs[i].source, better, alternatives=others),
                "alternative",
            )
    for placeholder in _PLACEHOLDERS:
        _with_placeholders(
            result, {i: here[i] for i, done in how.items() if not done}, placeholder, write, how
        )
    for i in [i for i, done in how.items() if not done]:
        result[i] = _by_links(result[i], here[i], link)
    uses = [
        TermUse(
            term,
            i,
            how[i] or ("" if term.missing(result[i].source, result[i].target) else "replaced"),
        )
        for i, found in here.items()
        for term in found
    ]
    return result, tuple(uses)


def _occurring(source: str, terms: Sequence[Term]) -> list[Term]:
    return [term for term in terms if term.pattern().search(source)]


def _lost(pair: SentencePair, terms: Sequence[Term]) -> bool:
    return any(term.missing(pair.source, pair.target) for term in terms)


def _with_placeholders(
    result: list[SentencePair],
    here: dict[int, list[Term]],
    placeholder: Callable[[int], str],
    write: Write,
    how: dict[int, str],
) -> None:
    """Translate the sentences `here` with placeholders; where all of them come through, the
    sentence is done."""
    masked = {}
    for i, terms in here.items():
        source, marks = result[i].source, {}
        for k, term in enumerate(terms[:_MOST_MASKED]):
            marks[placeholder(k)] = term
            source = term.pattern().sub(placeholder(k), source)
        if not any(
            _whole(mark).search(result[i].source) for mark in marks
        ):  # "Tom" may be in the text itself
            masked[i] = source, marks
    if not masked:
        return
    for (i, (source, marks)), written in zip(
        masked.items(), write([source for source, _ in masked.values()]), strict=True
    ):
        came_through = all(
            len(_whole(mark).findall(written)) == len(_whole(mark).findall(source))
            for mark in marks
        )
        restored = written
        for mark, term in marks.items():
            restored = _whole(mark).sub(lambda _, term=term: term.target, restored)
        pair = SentencePair(result[i].source, restored, alternatives=result[i].alternatives)
        if came_through and not _lost(pair, here[i]):
            result[i], how[i] = pair, "placeholder"


def _by_links(pair: SentencePair, terms: Sequence[Term], link: Link | None) -> SentencePair:
    """The words that look at a term replaced by it, one term after the other, as far as that can be
    told."""
    for term in terms:
        if not term.missing(pair.source, pair.target) or link is None:
            continue
        seen = link(pair)
        for found in reversed(list(term.pattern().finditer(pair.source))):
            target = _replaced(seen, found.span(), term.target) if seen.aligned else None
            if target is not None:
                pair = SentencePair(pair.source, target, alternatives=pair.alternatives)
                break  # the links are those of the sentence as it was; more of them: once per term
    return pair


def _replaced(pair: SentencePair, span: tuple[int, int], term: str) -> str | None:
    """The translation with `term` in place of the words that looked at source characters [start,
    end)."""
    position, columns = 0, []
    for i, word in enumerate(pair.source_words):
        bare = word.strip()
        start = position + word.find(bare)
        if start < span[1] and start + len(bare) > span[0]:
            columns.append(i)
        position += len(word)
    shares = [sum(row[i] for i in columns) for row in pair.alignment]
    if not columns or max(shares) < _LEAST_SHARE:
        return None
    first = last = shares.index(max(shares))
    while first > 0 and shares[first - 1] >= max(shares) / 2:
        first -= 1
    while last + 1 < len(shares) and shares[last + 1] >= max(shares) / 2:
        last += 1
    if last - first + 1 > max(2 * len(columns) + 1, len(shares) // 2):
        # where every word looks at the term, its translation is nowhere, and all would be lost for
        # it
        return None
    before, after = (
        re.match(r"\W*", pair.target_words[first])[0],
        re.search(r"\W*\Z", pair.target_words[last])[0],
    )
    return "".join(
        [*pair.target_words[:first], before, term, after, *pair.target_words[last + 1 :]]
    )


def _whole(text: str, flags: int = 0) -> re.Pattern[str]:
    """`text` as whole words; where words are not spaced, anywhere."""
    left = f"(?<!{_SPACED})" if re.match(_SPACED, text[0]) else ""
    right = f"(?!{_SPACED})" if re.match(_SPACED, text[-1]) else ""
    return re.compile(left + re.escape(text) + right, flags)
