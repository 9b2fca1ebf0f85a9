"""The form of a sentence that a model was trained on; what belongs to the text is given back.

People paste no-break spaces, tabs, zero-width characters, decomposed accents, full-width letters,
HTML entities and headlines in CAPITALS; models saw none of them in training, and one of them can
cost half of a translation's quality. `normal_form` replaces what carries no meaning, remembers what
does, and `NormalForm.restore` puts that back around the model's output.

A sentence that is in normal form already is read as it is, character for character.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

__all__ = ["NormalForm", "normal_form"]

_ZERO_WIDTH = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_JOINERS = re.compile("(?<=[A-Za-z0-9])[\u200c\u200d]|[\u200c\u200d](?=[A-Za-z0-9])")
"""Zero-width (non-)joiners beside Latin letters; between Arabic or Indic letters, and in emoji,
they are spelling."""
_BLANKS = re.compile("[\t\v\f\r\n\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f]")
_WIDE_BLANK = "\u3000"
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_VARIANTS = str.maketrans(
    {
        "\u2010": "-",
        "\u2011": "-",
        "\u2019": "'",
        "\u2018": "'",
        "\u02bc": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2026": "...",
        "\ufb00": "ff",
        "\ufb01": "fi",
        "\ufb02": "fl",
        "\ufb03": "ffi",
        "\ufb04": "ffl",
    }
)
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FULL_WIDTH_ALNUM = {code: to for code, to in _FULL_WIDTH.items() if chr(to).isalnum()}
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
_WIDE_LANGUAGES = frozenset({"zh", "ja", "yue"})
_STOPS = {"zh": "。", "ja": "。", "yue": "。", "hi": "।", "bn": "।", "ur": "۔", "am": "።"}
_WITHOUT_STOP = frozenset({"th", "lo", "km", "my"})
"""Languages whose sentences end without a mark."""
_FEWEST_CAPITALS = 5
"""Letters of a text without a small one that is read as small letters; NATO is a name."""
_LONGEST_LETTERWORD = 4
"""Letters of the longest word that such a text has at least; AT&T and R&D have shorter ones."""


@dataclass(frozen=True)
class NormalForm:
    """What a model reads (`text`) in place of what was `given`, and what is given back after."""

    given: str
    text: str
    was_capitals: bool = False
    """Whether the letters were CAPITALS throughout, and are again in what is written."""
    added_mark: str = ""
    """The final mark that the given text lacked, "" where it had one."""
    had_entities: bool = False
    """Whether &, < and > were written as entities, as in HTML."""
    had_curly_apostrophes: bool = False

    def restore(self, output: str) -> str:
        """`output`, what a model wrote for `text`, in the form of the text that was given."""
        if self.added_mark:
            output = _without_mark(output, self.added_mark)
        if self.was_capitals:
            output = output.upper()
        if self.had_curly_apostrophes:
            output = _APOSTROPHE.sub("\u2019", output)
        if self.had_entities:
            output = "".join(_MARKUP.get(character, character) for character in output)
        return output


def normal_form(sentence: str, language: str, *, final_mark: bool = True) -> NormalForm:
    """`sentence` (one, of a two-letter `language`) as models know sentences.

    Unicode NFC; odd blanks are spaces, one between words; zero-width characters go; full-width
    letters and digits (outside Chinese and Japanese marks too) are plain ones; HTML entities,
    curly quotes and ligatures are what they stand for; CAPITALS throughout are small letters;
    with `final_mark`, a missing final mark is added. `restore` undoes what belongs to the text.
    """
    entities = set(_ENTITY.findall(sentence))
    text = html.unescape(sentence) if entities else sentence
    text = _JOINERS.sub("", _ZERO_WIDTH.sub("", text))
    text = unicodedata.normalize("NFC", _BLANKS.sub(" ", text))
    wide = language in _WIDE_LANGUAGES
    text = text.translate(_FULL_WIDTH_ALNUM if wide else _FULL_WIDTH)
    if not wide:
        text = text.replace(_WIDE_BLANK, " ").translate(_VARIANTS)
    text = re.sub(" {2,}", " ", text).strip(" ")
    capitals = _is_capitals(text)
    if capitals:
        text = _small(text, language)
    mark = _missing_mark(text, language) if final_mark else ""
    return NormalForm(
        sentence,
        text + mark,
        was_capitals=capitals,
        added_mark=mark,
        had_entities=not entities.isdisjoint(_MARKUP.values()),
        had_curly_apostrophes=not wide and bool(re.search(r"\w[\u2019\u02bc]\w", sentence)),
    )


def _is_capitals(text: str) -> bool:
    """Whether `text` is in CAPITALS throughout, and is no abbreviation."""
    cased = [c for c in text if c.isupper() or c.islower()]
    if len(cased) < _FEWEST_CAPITALS or not all(c.isupper() for c in cased):
        return False
    return any(len(word) >= _LONGEST_LETTERWORD for word in re.findall(r"[^\W\d_]+", text))


def _small(text: str, language: str) -> str:
    """CAPITALS as a sentence: small letters, its first one and English "I" large."""
    small = text.lower()
    if language == "en":
        small = re.sub(r"(?<![\w'])i(?![\w-])", "I", small)
    first = next(i for i, c in enumerate(small) if c.isalpha())
    return small[:first] + small[first].upper() + small[first + 1 :]


def _missing_mark(text: str, language: str) -> str:
    """The full stop of the language where `text` ends with a letter or digit, else ""."""
    if not text or not text[-1].isalnum() or language in _WITHOUT_STOP:
        return ""
    return _STOPS.get(language, ".")


def _without_mark(output: str, added: str) -> str:
    """`output` without the one final mark that answers the added one; "..." stays."""
    stops = {added, ".", "。", "।", "۔", "።", "．"}
    trimmed = output.rstrip()
    if trimmed and trimmed[-1] in stops and trimmed[-2:-1] not in stops:
        return trimmed[:-1].rstrip()
    return output
