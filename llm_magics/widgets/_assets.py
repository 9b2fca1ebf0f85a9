"""Finds the browser half of a widget and makes it one module.

A wheel holds the browser halves in `llm_magics/widgets/static/`; a checkout and an editable install read
`widgets/` at the top of the repository. anywidget loads a module from a blob, where relative imports fail
(manzt/anywidget#399): the one import a widget may have, of `common.js`, is replaced by that file's text.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = ["module", "style"]

_INSTALLED = Path(__file__).parent / "static"
_CHECKOUT = Path(__file__).parents[2] / "widgets"
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./common\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function\b|const\b|class\b)", re.MULTILINE)


@cache
def module(name: str) -> str:
    """The ES module of widget `name`, `common.js` inlined. Raises `FileNotFoundError` when it is not installed."""
    text = _read(f"{name}.js")
    if not _IMPORT.search(text):
        return text
    shared = _EXPORT.sub("", _read("common.js"))
    return _IMPORT.sub(lambda _: shared, text, count=1)


@cache
def style(name: str) -> str:
    """The style sheet of widget `name`. Raises `FileNotFoundError` when it is not installed."""
    return _read(f"{name}.css")


def _read(file: str) -> str:
    for folder in (_INSTALLED, _CHECKOUT):
        if (folder / file).is_file():
            return (folder / file).read_text(encoding="utf-8")
    raise FileNotFoundError(
        f"{file}, the browser half of a widget, is neither in {_INSTALLED} nor in {_CHECKOUT}: "
        "install llm_magics again, from a wheel or with pip install -e"
    )
