"""Which language a text is written in, by py3langid, and what people call languages."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection

from llm_magics.errors import InputError
from llm_magics.models.catalog import find_language, languages

__all__ = ["check_language", "detect"]

_ENOUGH_CHARACTERS = 20_000
_WIDELY_WRITTEN = (
    "ar",
    "de",
    "es",
    "fr",
    "hi",
    "it",
    "ja",
    "ko",
    "nl",
    "pl",
    "pt",
    "ru",
    "tr",
    "zh",
)
_ADVANTAGE = {"en": 60.0, **dict.fromkeys(_WIDELY_WRITTEN, 20.0)}
_SHORT_CHARACTERS = 40.0


def check_language(code_or_name: str) -> str:
    """The code of a language given as code or name ("de", "de-DE", "German", "deu_Latn").

    Raises UnknownLanguage, which says the nearest language there is.
    """
    return find_language(code_or_name)


def detect(text: str, among: Collection[str] | None = None) -> tuple[str, float]:
    """(code, probability) of the language of `text`, out of `among` or of all languages of the
    catalogue.

    A few words leave much doubt, so the shorter the text, the more the most used languages are
    preferred (English 60 to 1 and 14 others 20 to 1 for nothing at all, no more than 1.4 to 1 at
    200 characters). Raises InputError where no character is a letter.
    """
    sample = text[:_ENOUGH_CHARACTERS]
    if not any(character.isalpha() for character in sample):
        raise InputError(
            "there are no letters to tell the language by; say which, with --from or --language"
        )
    identifier = _identifier()
    known = frozenset(languages() if among is None else among) & frozenset(identifier.labels)
    if len(known) < 2:
        return (next(iter(known)), 1.0) if known else ("en", 0.0)
    fading = math.exp(-len(sample) / _SHORT_CHARACTERS)
    shares = {
        code: share * (1 + (_ADVANTAGE.get(code, 1.0) - 1) * fading)
        for code, share in identifier.rank(sample)
        if code in known
    }
    best = max(shares, key=shares.__getitem__)
    return best, shares[best] / (sum(shares.values()) or 1.0)


@functools.cache
# a LanguageIdentifier of our own: the library's shared one has settings others may change
def _identifier():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
