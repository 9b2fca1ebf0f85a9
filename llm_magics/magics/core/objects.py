"""A variable of the notebook or a file? One rule for every option of every magic that may name
either.

What names a file that exists and has a known ending is that file. Anything else is the variable,
attribute or column that it names. Where the notebook has no such variable, a file or folder of that
name is taken whatever its ending, and whoever reads it says what it can read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from llm_magics.magics.core.namespace import head_of, look_up, nearest
from llm_magics.magics.core.options import usage_error
from llm_magics.magics.core.python_source import Source

if TYPE_CHECKING:
    from llm_magics.magics.core.call import Call

__all__ = [
    "FILE_ENDINGS",
    "file_or_variable",
    "find_file",
    "module_or_text",
    "object_or_text",
    "text_of",
]

FILE_ENDINGS = (
    *(".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".toml", ".gz"),
    *(".txt", ".md", ".rst", ".tex", ".html", ".htm", ".xml", ".srt", ".log"),
)
"""What ends in one of these names a file before it names something in a variable."""
_MOST_TEXT_BYTES = 4_000_000


def find_file(named: str, scope: Mapping[str, object]) -> Path | None:
    """The file or folder that `named` is by the rule above; None: it can only be a variable."""
    path = Path(named).expanduser()
    try:
        if path.is_file() and named.lower().endswith(FILE_ENDINGS):
            return path
        return path if head_of(named) not in scope and path.exists() else None
    except (OSError, ValueError):  # no name that a file can have, such as a whole text
        return None


def file_or_variable(call: Call, option: str) -> object:
    """What an option names: the `Path` of a file or folder, or the value of a variable.

    Raises UsageError that says what was looked for, and where.
    """
    named = str(call[option])
    path = find_file(named, call.scope)
    if path is not None:
        return path
    head = head_of(named)
    is_file_name = named.lower().endswith(FILE_ENDINGS)
    if head in call.scope:
        try:
            return look_up(named, call.scope, call.prog)
        except UsageError:
            if not is_file_name:
                raise
    if is_file_name or "/" in named or "\\" in named:
        raise usage_error(
            f"{call.prog}: --{option} {named}: there is no such file in {Path.cwd()}, "
            f"and no variable {named if head in call.scope else head!r}"
        )
    if head.isidentifier():
        raise usage_error(
            f"{call.prog}: --{option} {named}: there is no variable {head!r} in this notebook"
            f"{nearest(head, call.scope)}; and no file of that name in {Path.cwd()}"
        )
    return look_up(named, call.scope, call.prog)  # which says what an expression may be


def text_of(call: Call, option: str) -> str:
    """The text that an option names: of a text file, or of a variable that holds text."""
    named, held = call[option], file_or_variable(call, option)
    if isinstance(held, Path):
        return _read(call, option, held)
    if not isinstance(held, str):
        raise call.wrong(f"--{option} {named} is of type {type(held).__name__}, expected text")
    return held


def _read(call: Call, option: str, path: Path) -> str:
    if not path.is_file():
        raise call.wrong(f"--{option} {call[option]} is a folder, expected a text file")
    size = path.stat().st_size
    if size > _MOST_TEXT_BYTES:
        raise call.wrong(
            f"{path.name} has {size:,} bytes, more than the {_MOST_TEXT_BYTES:,} that are read at "
            "once"
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise call.wrong(f"{path.name} cannot be read as UTF-8 text: {error}") from None


def object_or_text(call: Call, named: str | None, as_source: bool = False) -> object:
    """The value of the variable that `named` names; the text itself where it names a file, or
    nothing in this notebook: an architecture, a data set of the hub, a loss by name.

    as_source: the expression, as `python_call` writes it, in place of the value. Raises UsageError
    for an attribute or item that is not there.
    """
    if not named or head_of(named) not in call.scope or find_file(named, call.scope):
        return named
    try:
        value = call.look_up(named)
    except UsageError:
        if named.lower().endswith(FILE_ENDINGS):  # pairs.csv is not there, though a variable pairs
            return named
        raise
    return Source(named) if as_source else value


def module_or_text(call: Call, named: str | None, as_source: bool = False) -> object:
    """The torch module that a variable, or something in one, holds; else the text, an architecture
    or a reference."""
    torch = sys.modules.get("torch")  # without torch no variable holds a module
    if torch is None or not named or head_of(named) not in call.scope:
        return named
    try:
        value = call.look_up(named)
    except UsageError:  # a model may be called as a variable is
        return named
    if not isinstance(value, torch.nn.Module):
        return named
    return Source(named) if as_source else value
