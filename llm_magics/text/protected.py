"""Parts of a text that no model may change: numbers, addresses, code, placeholders, tags, marks.

`protected_spans` finds them; what a translation must then hold is their text, as often as the
source has it. They are found by their form alone, the same ones in every language. Where two would
overlap, the one that begins first is taken, and of those the kind that stands first in `KINDS`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["KINDS", "ProtectedSpan", "has_words", "kept_numbers", "lost_spans", "protected_spans"]

_EMOJI = (
    "(?:[\U0001f1e6-\U0001f1ff]{2}"  # flags
    "|[0-9#*]\ufe0f?\u20e3"  # keycaps
    "|(?:[\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a-\u23ff]\ufe0f?"
    "[\U0001f3fb-\U0001f3ff]?)"
    "(?:\u200d[\U0001f300-\U0001faff\u2600-\u27bf]\ufe0f?[\U0001f3fb-\U0001f3ff]?)*)"
)
_PATTERNS = {
    "code": r"(?P<_tick>`+)(?!`)[^\n]*?[^`\n](?P=_tick)(?!`)",
    "latex": r"\$\$[^$]+\$\$|\\\([^\n]*?\\\)|\\\[[^\n]*?\\\]"
    r"|(?<![\w$\\])\$(?=[^\s$\d{])[^$\n]*[^\s$\\]\$(?![\w$])",
    "tag": r"<!--.*?-->|</?[A-Za-z][\w:.-]*"
    r"(?:\s+[\w:@.-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>]+))?)*\s*/?>",
    "link": r"(?<=\])\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)",
    "url": r"(?:(?:https?|ftp|file)://|mailto:|www\.)[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}。，；：！？）]",
    "email": r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+",
    "placeholder": r"\{\{[^{}\n]*\}\}|\$\{[^{}\n]*\}|%\([\w.]+\)[#0\- +]*[\d.]*[diouxXeEfFgGcrsa]"
    r"|(?<![\d%])%(?:\d+\$)?[0-9.]*(?:l{0,2}[dioux]|[eEfgGcsS@])(?![A-Za-z])"
    r"|\{[A-Za-z_]\w*(?:[.\[][^{}\n]*)?(?:![rsa])?(?::[^{}\n]*)?\}|\{\d*\}",
    "mention": r"(?<![\w@/.])[@#][A-Za-z_][\w-]*(?:\.\w+)*",
    "path": r"(?<![\w/\\:])(?:[A-Za-z]:\\|\\\\)[\w .$-]+(?:\\[\w .$-]+)*\.\w+|[A-Za-z]:\\[\w$.\\-]+"
    r"|(?<![\w/.~<])(?:~|\.{1,2})?/[\w.@-]+(?:/[\w.@*-]+)*/?"
    r"|(?<![\w/.])[\w-]+(?:/[\w-]+)*/?[\w-]+\.(?:py|js|ts|c|h|cpp|java|rs|go|sh|md|txt|csv|tsv|json"
    r"|jsonl|yaml|yml|toml|xml|html|css|ipynb|pdf|docx?|xlsx?|pptx?|zip|gz|png|jpe?g|gif|svg|mp[34]"
    r"|exe|dll|so|log|ini|cfg|conf|sql|db)(?!\w)",
    "emoji": _EMOJI,
    "mark": r"(?<!\*)\*{1,3}(?!\*)(?=\S)|(?<=\S)\*{1,3}|__(?=\S)|(?<=\S)__(?!\w)|~~"
    r"|(?<!\w)\[(?=[^\]\n]*\]\()|\](?=\()",
    "time": r"(?<![\d:])(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d)?(?:[.,]\d+)?"
    r"(?:\s?[ap]\.?m\.?)?(?![\d:])",
    "date": r"(?<![\d/.-])(?:\d{4}-\d{2}-\d{2}(?:T[\d:.]+Z?)?"
    r"|\d{1,2}[./]\d{1,2}[./](?:\d{4}|\d{2}))(?![\d/-]|\.\d)",
    "number": r"(?<![\w.,])[-+−]?(?:[$€£¥]\s?)?\d+(?:[.,'’\u00a0\u202f]\d+)*"
    r"(?:\s?[%‰°€£¥])?(?![\d])",
}
KINDS = tuple(_PATTERNS)
"""What is protected, in the order in which two that begin alike are tried."""
_ANY = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS.items()), re.S)
_DIGITS = re.compile(r"\d+(?:[.,'’\u00a0\u202f]\d+)*")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class ProtectedSpan:
    """`text` at [start, end) of a sentence, and what it is: one of `KINDS`."""

    start: int
    end: int
    kind: str
    text: str


def protected_spans(sentence: str) -> list[ProtectedSpan]:
    """The parts of `sentence` that are to stay as they are, in their order; none overlap."""
    return list(_spans(sentence))


def _spans(sentence: str) -> Iterator[ProtectedSpan]:
    for match in _ANY.finditer(sentence):
        kind = next(name for name in KINDS if match[name] is not None)
        yield ProtectedSpan(match.start(), match.end(), kind, match[0])


def has_words(sentence: str) -> bool:
    """Whether anything but protected parts stands there: a letter that a model could translate."""
    position = 0
    for span in _spans(sentence):
        if _LETTER.search(sentence, position, span.start):
            return True
        position = span.end
    return bool(_LETTER.search(sentence, position))


def lost_spans(source: str, output: str) -> list[ProtectedSpan]:
    """The protected parts of `source` that `output` does not hold as often as `source` does.

    Numbers are compared by their digits: 1,000.50 may be written 1.000,50, and $20 as 20 $.
    """
    lost, numbers = [], Counter(_digits(output))
    seen: Counter[str] = Counter()
    for span in _spans(source):
        if span.kind in ("time", "date"):
            if not re.search(_any_marks(span.text), output):
                lost.append(span)
            continue
        if span.kind == "number":
            wanted = Counter(_digits(span.text))
            if wanted - numbers:
                lost.append(span)
            numbers -= wanted
            continue
        seen[span.text] += 1
        if output.count(span.text) < seen[span.text]:
            lost.append(span)
    return lost


def kept_numbers(source: str, output: str) -> bool:
    """Whether `output` has the figures of `source`, as often, and no others."""
    return Counter(_digits(source)) == Counter(_digits(output))


def _any_marks(time: str) -> str:
    """A pattern of the same figures with the marks of any language: 9:30, 9.30, 9 h 30, 9点30."""
    return r"(?<!\d)0?" + r"\D{1,3}0?".join(f.lstrip("0") or "0" for f in re.findall(r"\d+", time))


def _digits(text: str) -> list[str]:
    """Every number as its digits alone, without the marks of its language."""
    found = []
    for match in _DIGITS.finditer(text):
        whole = re.split(r"[.,](?=\d{1,2}\Z)", match[0])[0]
        fraction = match[0][len(whole) :].lstrip(".,")
        plain = re.sub(r"\D", "", whole)
        found.append(f"{plain}.{fraction}" if fraction else plain)
    return found
