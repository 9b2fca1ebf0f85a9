"""A text as it was given, checked and made printable."""

from __future__ import annotations

from llm_magics.errors import EmptyInput, InputError, printable
from llm_magics.text.segments import check_length

__all__ = ["clean_text"]


def clean_text(text: object) -> str:
    """`text`, checked, with lone surrogates, NUL and controls replaced one by one and without a
    byte order mark.

    Raises InputError for what is not a text, TooLong before any work is done, EmptyInput for white
    space.
    """
    if not isinstance(text, str):
        kind = type(text).__name__
        article = "an" if kind[0] in "aeiouAEIOU" else "a"
        raise InputError(f"a text is needed, {article} {kind} was given")
    check_length(text)
    if not text.strip().strip("\ufeff"):
        raise EmptyInput("there is no text: nothing but white space was given")
    return printable(text.removeprefix("\ufeff"))
