"""Makes one module, and one style sheet, of the browser half of a widget.

anywidget loads a module from a blob, where relative imports fail (manzt/anywidget#399): each file
of ours that a widget imports is put in front of it, once, without its `export`s; a JSON file
becomes a constant. So a name at the top of one file must not be used again at the top of another.
JSDoc comments stay behind: each widget sends its module to the page, and they are a quarter of it.

A style sheet is put together likewise: the palette and what it imports stand before it, with the
widget's own class in place of `.llm-widget`, as a rule for all widgets in the sheet of one would
undo what another's says later.
"""

from __future__ import annotations

import json
import posixpath
import re
from functools import cache

from llm_magics.display import theme
from llm_magics.display.browser_files import read_json, read_text

__all__ = ["module", "style"]

_IMPORT = re.compile(
    r'^import (?:\{[^}]*\}|(?P<constant>\w+)) from "(?P<file>\.{1,2}/[\w./]+)"'
    r'(?: with \{ type: "json" \})?;\n',
    re.MULTILINE,
)
_EXPORT = re.compile(r"^export (?=(?:async )?function\b|const\b|class\b)", re.MULTILINE)
_SHEET = re.compile(r'^@import "(\.{1,2}/[\w./]+)";\n', re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/\n?", re.DOTALL)
_ANY_WIDGET = ".llm-widget"
_JSDOC = re.compile(r"[ \t]*/\*\*(?:(?!\*/).)*\*/(?:[ \t]*\n)?", re.DOTALL)


@cache
def module(name: str) -> str:
    """The ES module of the widget with the path `name`, such as `"training/training_panel"`, with
    what it imports. Raises `FileNotFoundError` when it is not installed."""
    file = f"{name}.js"
    text = read_text(file)
    shared: dict[str, str] = {}
    _collect(file, text, shared)
    return _JSDOC.sub("", "".join([*shared.values(), _IMPORT.sub("", text)]))


def _collect(file: str, text: str, shared: dict[str, str]) -> None:
    """Put the files that `text`, of `file`, imports into `shared`, each after those that it
    imports itself."""
    for found in _IMPORT.finditer(text):
        part = _beside(file, found["file"])
        if part in shared:
            continue
        if found["constant"]:
            value = json.dumps(read_json(part), ensure_ascii=False)
            shared[part] = f"const {found['constant']} = {value};\n"
        else:
            source = read_text(part)
            _collect(part, source, shared)
            shared[part] = _EXPORT.sub("", _IMPORT.sub("", source))


@cache
def style(name: str) -> str:
    """The style sheet of the widget with the path `name`, with what it imports. Raises
    `FileNotFoundError` when it is not installed."""
    file = f"{name}.css"
    own = f".llm-{posixpath.basename(name).replace('_', '-')}"

    def shared(part: re.Match[str]) -> str:
        return read_text(_beside(file, part[1])).replace(_ANY_WIDGET, own)

    sheet = _COMMENT.sub("", _SHEET.sub(shared, read_text(file)))
    return f"{own} {{\n{_palette()}}}\n{sheet}"


def _palette() -> str:
    """The colours of lines and bars as CSS variables."""
    return "".join(
        f"  --llm-series-{number}: {colour};\n"
        for number, colour in enumerate(theme.PICTURE_SERIES)
    )


def _beside(file: str, relative: str) -> str:
    """The path below `widgets/` of what `file` calls `relative`."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), relative))
