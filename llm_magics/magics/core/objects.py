"""Notebook objects that a line or a cell names where it may as well name a file, an architecture or
a model."""

from __future__ import annotations

import sys

from IPython.core.error import UsageError

from llm_magics.magics.core.command import Call, Source

__all__ = ["module_or_text", "object_or_text"]

_FILES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".gz", ".toml")


def object_or_text(call: Call, text: str | None, as_source: bool = False) -> object:
    """The variable (or attribute, or item of one) that `text` names; the text itself where there is
    no such variable.

    as_source: the expression, as `python_call` writes it, in place of the value. Raises UsageError
    for an item that is not there, unless the text names a file that is called as a variable is.
    """
    head = _head(text)
    if not text or not head.isidentifier() or head not in call.scope:
        return text
    try:
        value = call.look_up(text)
    except UsageError:
        if text.endswith(_FILES):
            return text
        raise
    return Source(text) if as_source else value


def module_or_text(call: Call, text: str | None, as_source: bool = False) -> object:
    """The torch module that a variable, or something in one, holds; else the text, an architecture
    or a reference."""
    torch = sys.modules.get("torch")  # without torch no variable holds a module
    if torch is None or _head(text) not in call.scope:
        return text
    try:
        value = call.look_up(str(text))
    except UsageError:  # a model may be called as a variable is
        return text
    if not isinstance(value, torch.nn.Module):
        return text
    return Source(str(text)) if as_source else value


def _head(text: str | None) -> str:
    return (text or "").split(".")[0].split("[")[0]
