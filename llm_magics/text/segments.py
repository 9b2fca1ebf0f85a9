"""A text taken apart into sentences, and put together again around their translations.

What is no sentence (blank lines, indentation, list marks, headings' marks, quotation marks of mail,
rules, fenced code) is kept byte for byte. Prose that was wrapped by hand is read as if it were not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from llm_magics.errors import InputError, TooLong
from llm_magics.text.sentences import sentence_spans

__all__ = ["MAX_CHARACTERS", "Document", "Sentence", "check_length", "segment"]

MAX_CHARACTERS = 1_000_000
"""The longest text of one call; more goes row by row through `translate_each`."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_MARKS = re.compile(
    r"""
    [ \t\u3000]*
    (?: (?: [-*+•‣◦▪●○–—] | \d{1,3}[.)] | [A-Za-z][)] | \#{1,6} | \[[ xX]\] ) [ \t]+
      | >+[ \t]*
      | \d{1,3}、 | [（(]\d{1,3}[)）][ \t]*
    )*""",
    re.VERBOSE,
)
_QUOTE = re.compile(r"[ \t]*>[> \t]*")
_FENCE = re.compile(r"[ \t]*(```|~~~)")
_HARD_BREAK = re.compile(r"(?:  |\\)\Z")
_WRAP_WIDTH = 32
_MAX_INDENT = 12


@dataclass(frozen=True)
class Sentence:
    """One sentence: `text` as a model reads it (line breaks inside are spaces), at [start, end) of
    the source."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Document:
    """A text as `pieces`: strings kept as they are, and sentences."""

    pieces: tuple[str | Sentence, ...]

    @property
    def sentences(self) -> list[Sentence]:
        return [piece for piece in self.pieces if isinstance(piece, Sentence)]

    def join(self, texts: Iterable[str], *, glue: str = "") -> str:
        """The document with `texts[i]` in place of sentence i; all else byte for byte as it was.

        `glue` goes between two sentences that touch: Chinese puts no space there, English does.
        Raises InputError when there are not as many texts as sentences.
        """
        given = list(texts)
        if len(given) != len(self.sentences):
            raise InputError(
                f"{len(given)} texts were given for {len(self.sentences)} sentences; "
                "give exactly one for each"
            )
        return "".join(self._woven(given, glue))

    def prefix(self, texts: Sequence[str], finished: Sequence[bool], *, glue: str = "") -> str:
        """`join`, but only as far as the first text that is not finished, and what there is of
        it."""
        count = next((i + 1 for i, done in enumerate(finished) if not done), None)
        return "".join(self._woven(texts[:count], glue, ends_with_text=count is not None))

    def _woven(
        self, texts: Sequence[str], glue: str, *, ends_with_text: bool = False
    ) -> Iterator[str]:
        """The pieces in order with the texts in their places; with `ends_with_text`, none after the
        last text."""
        i, after_sentence = 0, False
        for piece in self.pieces:
            if i == len(texts) and ends_with_text:
                return
            if isinstance(piece, str):
                yield piece
                after_sentence = False
                continue
            if after_sentence:
                yield glue
            yield texts[i]
            i, after_sentence = i + 1, True


def check_length(text: str, limit: int = MAX_CHARACTERS) -> None:
    """Raise TooLong, before any work is done, when `text` is longer than `limit` characters."""
    if len(text) > limit:
        raise TooLong(
            f"the text has {len(text):,} characters, more than the {limit:,} of one call; "
            "give it in rows with --each, or one file at a time"
        )


def segment(text: str, language: str, max_characters: int | None = None) -> Document:
    """Take `text` apart; `language` is a two-letter code (unknown to pysbd: English rules).

    Sentences longer than `max_characters` (None: what common models can read) are cut, at a comma
    if there is one.

    `segment(t, l).join(s.text for s in segment(t, l).sentences)` is `t` again, but for line breaks
    within sentences, which become spaces. Raises TooLong.
    """
    check_length(text)
    pieces: list[str | Sentence] = []
    position = 0
    for paragraph in _paragraphs(text):
        joined, offsets = _joined(text, paragraph)
        for start, end in sentence_spans(joined, language, max_characters):
            if not any(character.isalnum() for character in joined[start:end]):
                continue  # a rule, a smiley: nothing to translate
            sentence = Sentence(joined[start:end], offsets[start], offsets[end - 1] + 1)
            if sentence.start > position:
                pieces.append(text[position : sentence.start])
            pieces.append(sentence)
            position = sentence.end
    if position < len(text):
        pieces.append(text[position:])
    return Document(tuple(pieces))


@dataclass(frozen=True)
class _Line:
    """[start, end) is the prose of a line, without its marks, indentation and line break."""

    start: int
    end: int
    prefix: str
    width: int


def _paragraphs(text: str) -> Iterator[list[_Line]]:
    """Lines that are read as one: wrapped prose, or a single line."""
    for block in _blocks(text):
        widest = max(line.width for line in block)
        is_verse = len(block) > 2 and all(text[line.start].isupper() for line in block)
        paragraph = [block[0]]
        for line in block[1:]:
            if not is_verse and _is_wrapped(text, paragraph[-1], line, widest):
                paragraph.append(line)
            else:
                yield paragraph
                paragraph = [line]
        yield paragraph


def _blocks(text: str) -> Iterator[list[_Line]]:
    """Runs of lines without a blank line, a mark or a code fence between them."""
    block: list[_Line] = []
    in_code = False
    for match in _LINE.finditer(text):
        raw = match.group().rstrip("\r\n")
        fence = bool(_FENCE.match(raw))
        if fence:
            in_code = not in_code
        line = None if fence or in_code else _line(raw, match.start())
        goes_on = line is not None and block and _continues(block, line)
        if block and not goes_on:
            yield block
            block = []
        if line is not None:
            block.append(line)
    if block:
        yield block


def _line(raw: str, start: int) -> _Line | None:
    content = raw.rstrip()
    prefix = _MARKS.match(content).group()
    if len(prefix) == len(content):
        return None
    return _Line(start + len(prefix), start + len(content), prefix, _width(raw))


def _continues(block: list[_Line], line: _Line) -> bool:
    if "#" in block[0].prefix:
        return False
    if not line.prefix.strip():
        return ">" not in block[0].prefix and len(line.prefix) <= _MAX_INDENT
    return bool(_QUOTE.fullmatch(line.prefix)) and line.prefix.strip() == block[-1].prefix.strip()


def _is_wrapped(text: str, line: _Line, following: _Line, widest: int) -> bool:
    """Whether the break after `line` was made to fit a width: its next word would not have
    fitted."""
    tail = text[line.end : line.end + 2]
    if _HARD_BREAK.search(tail) or text[line.end - 1] == "\\":
        return False
    before, after = text[line.start : line.end], text[following.start : following.end]
    word = after.split(None, 1)[0] if not _is_wide(after[0]) else after[0]
    fits = line.width + 1 + _width(word) <= widest
    if widest >= _WRAP_WIDTH and not fits:
        return True
    return after[0].islower() and len(before.split()) >= 3


def _joined(text: str, paragraph: list[_Line]) -> tuple[str, list[int]]:
    """The paragraph as one line, and for each of its characters the offset in `text`."""
    parts, offsets = [], []
    for line in paragraph:
        content = text[line.start : line.end]
        if parts and _needs_space(parts[-1], content):
            parts.append(" ")
            offsets.append(line.start - 1)
        parts.append(content)
        offsets.extend(range(line.start, line.end))
    return "".join(parts), offsets


def _needs_space(before: str, after: str) -> bool:
    if _is_wide(before[-1]) and _is_wide(after[0]):
        return False
    broken_word = (
        before[-1] == "-" and len(before) > 1 and before[-2].isalpha() and after[0].islower()
    )
    return not broken_word


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _width(text: str) -> int:
    """Columns on a screen: a Chinese character takes two."""
    return (
        len(text) if text.isascii() else sum(2 if _is_wide(character) else 1 for character in text)
    )
