"""Finds the browser half of a widget and makes it one module.

A wheel holds the browser halves in `llm_magics/widgets/static/`; a checkout and an editable install
read `widgets/` at the top of the repository. anywidget loads a module from a blob, where relative
imports fail (manzt/anywidget#399): each file of ours that a widget imports is put in front of it,
once, without its `export`s. So a name at the top of one file must not be used again at the top of
another. JSDoc comments stay behind: each widget sends its module to the page, and they are a
quarter of it.

A style sheet is put together likewise: what it imports stands before it, with the widget's own
class in place of `.llm-widget`, as a rule for all widgets in the sheet of one would undo what
another's says later.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = ["module", "style"]

_INSTALLED = Path(__file__).parent / "static"
_CHECKOUT = Path(__file__).parents[2] / "widgets"
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function\b|const\b|class\b)", re.MULTILINE)
_SHEET = re.compile(r'^@import "\./(\w+)\.css";\n', re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/\n?", re.DOTALL)
_ANY_WIDGET = ".llm-widget"
_JSDOC = re.compile(r"[ \t]*/\*\*(?:(?!\*/).)*\*/(?:[ \t]*\n)?", re.DOTALL)


@cache
def module(name: str) -> str:
    """The ES module of widget `name` with what it imports. Raises `FileNotFoundError` when it is
    not installed."""
    text = _read(f"{name}.js")
    shared: dict[str, str] = {}
    _collect(text, shared)
    return _JSDOC.sub("", "".join([*shared.values(), _IMPORT.sub("", text)]))


def _collect(text: str, shared: dict[str, str]) -> None:
    """Put the files that `text` imports into `shared`, each after those that it imports itself."""
    for part in _IMPORT.findall(text):
        if part not in shared:
            source = _read(f"{part}.js")
            _collect(source, shared)
            shared[part] = _EXPORT.sub("", _IMPORT.sub("", source))


@cache
def style(name: str) -> str:
    """The style sheet of widget `name` with what it imports. Raises `FileNotFoundError` when it is
    not installed."""
    own = f".llm-{name.replace('_', '-')}"

    def shared(part: re.Match[str]) -> str:
        return _read(f"{part[1]}.css").replace(_ANY_WIDGET, own)

    return _COMMENT.sub("", _SHEET.sub(shared, _read(f"{name}.css")))


def _read(file: str) -> str:
    for folder in (_INSTALLED, _CHECKOUT):
        if (folder / file).is_file():
            return (folder / file).read_text(encoding="utf-8")
    raise FileNotFoundError(
        f"{file}, the browser half of a widget, is neither in {_INSTALLED} nor in {_CHECKOUT}: "
        "install llm_magics again, from a wheel or with pip install -e"
    )
