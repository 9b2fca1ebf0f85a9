"""What is wrong with a model's sentence, seen without a second model.

Each check looks for one way in which translators and language models fail in silence: figures that
changed, protected parts that went missing, words in a loop, a length out of proportion, nothing,
the source itself, characters that could not be decoded, the end cut off. `faults` names what it
finds; no fault does not mean a good sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from llm_magics.text.protected import has_words, lost_spans

__all__ = ["Fault", "faults", "is_loop"]

_WORD = re.compile(r"\w+", re.UNICODE)
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]")
_WIDE_LETTERS = 2.2
"""Letters of an alphabet that one Chinese, Japanese or Korean character stands for, about."""
_SPARE = 12
"""Letters by which a short sentence may be longer or shorter than `_RATIO` allows."""
_RATIO = 2.6
_COMMONEST_LOOP = 4
"""How often in a row a word or pair of words stands in a loop at least."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: its `kind` and what to say of it."""

    kind: str
    """"empty", "untranslated", "undecoded", "cut", "loop", "length", "number" or "lost"."""
    message: str

    def __str__(self) -> str:
        return self.message


def faults(
    source: str, output: str, *, same_language: bool = False, was_cut: bool = False
) -> tuple[Fault, ...]:
    """What is wrong with `output`, which a model wrote for the sentence `source`.

    With `same_language` (a summary, an answer, a paraphrase) words of the source may come back and
    the length is free. `was_cut`: the limit of tokens was reached before the model had ended.
    """
    found: list[Fault] = []
    if not output.strip():
        return (Fault("empty", "nothing was written"),) if source.strip() else ()
    if "\ufffd" in output:
        found.append(Fault("undecoded", "characters could not be decoded (U+FFFD)"))
    if was_cut:
        found.append(Fault("cut", "the end is missing: the limit of tokens was reached"))
    if is_loop(output) and not is_loop(source):
        found.append(Fault("loop", "the same words come again and again"))
    if not same_language:
        found.extend(_against(source, output))
    return tuple(found)


def _against(source: str, output: str) -> list[Fault]:
    """Faults of a translation beside its source."""
    found = []
    lost = lost_spans(source, output)
    numbers = [span.text for span in lost if span.kind in ("number", "time", "date")]
    others = [span.text for span in lost if span.kind not in ("number", "time", "date")]
    if numbers:
        found.append(Fault("number", f"figures of the source are missing: {_named(numbers)}"))
    if others:
        found.append(Fault("lost", f"missing, though it should stay: {_named(others)}"))
    if _is_copy(source, output):
        found.append(Fault("untranslated", "it is the source again"))
    given, written = _letters(source), _letters(output)
    if written > _RATIO * given + _SPARE:
        found.append(Fault("length", "it is much longer than the source"))
    elif given > _RATIO * written + _SPARE:
        found.append(Fault("length", "it is much shorter than the source"))
    return found


def is_loop(text: str) -> bool:
    """Whether words or characters of `text` repeat as in a model that cannot stop."""
    if re.search(r"(\w{1,8}?)\1{5,}", re.sub(r"[\W\d_]", "", text)):
        return True
    words = [word.casefold() for word in _WORD.findall(text)]
    for size in (1, 2, 3, 4):
        run = 1
        for i in range(size, len(words) - size + 1, 1):
            run = run + 1 if words[i : i + size] == words[i - size : i] else 1
            if run >= (_COMMONEST_LOOP - 1) * size + 1 and size > 1:
                return True
            if size == 1 and run >= _COMMONEST_LOOP:
                return True
    if len(words) < 12:
        return False
    pairs = Counter(pairwise(words))
    return pairs.most_common(1)[0][1] > max(3, len(words) // 5)


def _is_copy(source: str, output: str) -> bool:
    """Whether a sentence of several words, not only names and marks, came back as it was."""
    words = _WORD.findall(source.casefold())
    if len(words) < 3 or not has_words(source):
        return False
    if all(word[:1].isupper() for word in re.findall(r"[^\W\d_]+", source)):
        return False
    return words == _WORD.findall(output.casefold())


def _letters(text: str) -> float:
    """The length of `text` in letters of an alphabet."""
    letters = sum(character.isalnum() for character in text)
    return letters + (_WIDE_LETTERS - 1) * len(_WIDE.findall(text))


def _named(texts: list[str]) -> str:
    shown = ", ".join(texts[:3])
    return f"{shown} and {len(texts) - 3} more" if len(texts) > 3 else shown
