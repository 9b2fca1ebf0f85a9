"""What a test asks for must not be learnt: training rows that hold a sentence of a test.

Sentences are compared by their letters and digits alone, so that a copy without its final mark, in
capitals or with other spaces is found, too. Words and set phrases of one or two words are the
language, not a test.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from llm_magics.errors import DataError
from llm_magics.training.data.answers import expanded

__all__ = ["is_sentence", "key_of", "test_keys", "texts_of_test"]

_NOT_LETTERS = re.compile(r"[\W_]+")
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
_FEWEST_WORDS = 3
_FEWEST_IDEOGRAPHS = 5
"""About three words of Chinese."""


def key_of(text: str) -> str:
    """What two writings of one sentence have in common."""
    return _NOT_LETTERS.sub("", text.casefold())


def is_sentence(text: str) -> bool:
    """Whether a text is long enough to be a test: three words, or five ideographs."""
    ideographs = len(_IDEOGRAPH.findall(text))
    return ideographs >= _FEWEST_IDEOGRAPHS or (
        not ideographs and len(text.split()) >= _FEWEST_WORDS
    )


def test_keys(texts: Iterable[str]) -> set[str]:
    """The keys of those texts that are sentences."""
    return {key_of(text) for text in texts if is_sentence(text)}


def texts_of_test(path: Path, languages: Iterable[str]) -> Iterator[str]:
    """The texts of a test file in these languages, one JSON object a line.

    A list of texts is a list of accepted answers (see `answers`); rows of the kind "phrase" are
    not a test.
    Raises DataError for a file that cannot be read.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file if line.strip()]
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path.name}: not a file of one JSON object a line: {error}") from None
    for row in rows:
        if row.get("kind") == "phrase":
            continue
        for language in languages:
            value = row.get(language, "")
            if isinstance(value, str):
                yield value
            else:
                yield from (text for pattern in value for text in expanded(pattern))
