"""Number formats of weights, in every spelling that people know.

One list for Python, `--precision`, `--dtype` and recipes.

This module is light: it imports the standard library only.
"""

from __future__ import annotations

import difflib

from llm_magics.errors import InputError

__all__ = ["NUMBER_FORMATS", "NUMBER_FORMAT_SPELLINGS", "parse_number_format"]

NUMBER_FORMATS = ("auto", "float32", "bfloat16", "float16", "int8")
"""The names that are kept and shown; "auto" is what suits the device."""
NUMBER_FORMAT_SPELLINGS = {
    **{name: name for name in NUMBER_FORMATS},
    "fp32": "float32",
    "f32": "float32",
    "float": "float32",
    "single": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "f16": "float16",
    "half": "float16",
}
"""Every spelling that is taken → the name it stands for."""


def parse_number_format(text: str) -> str:
    """The name of a number format, one of NUMBER_FORMATS: "fp32" → "float32", "torch.half" →
    "float16".

    Capitals and blanks around it do not matter. Raises InputError with the formats there are.
    """
    spelling = text.strip().casefold().removeprefix("torch.") if isinstance(text, str) else ""
    if spelling in NUMBER_FORMAT_SPELLINGS:
        return NUMBER_FORMAT_SPELLINGS[spelling]
    near = difflib.get_close_matches(spelling, NUMBER_FORMAT_SPELLINGS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(
        f"{text!r} is not a number format: {hint}use float32 (fp32), bfloat16 (bf16), "
        "float16 (fp16, half), int8, or auto for what suits the device"
    )
