"""HTML comes from one place: a string with a tag in it, anywhere else in the package, is a
mistake."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "llm_magics"
TAG = re.compile(
    r"</?(?:div|span|script|style|table|tbody|t[drh]|p|b|i|a|img|svg|iframe|h[1-6]|ul|li|pre|code|bdi)\b[^>]*>",
    re.I,
)
BUILDERS = {
    "display/html.py",
    "display/svg.py",
    "display/svg_png.py",  # a page of its own letters that is rendered and thrown away
}


def strings(path: Path) -> list[tuple[int, str]]:
    """Every string constant that is not a docstring, parts of f-strings included, with its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    quoted = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in quoted
    ]


def test_no_module_but_the_builders_writes_markup():
    found = {
        str(path.relative_to(PACKAGE)): (line, text)
        for path in PACKAGE.rglob("*.py")
        for line, text in strings(path)
        if TAG.search(text)
    }
    assert {name: where for name, where in found.items() if name not in BUILDERS} == {}


@pytest.mark.parametrize("name", ["HTML(", "Markdown(", "Javascript(", "innerHTML"])
def test_nothing_hands_markup_to_the_front_end_unbuilt(name):
    found = [
        str(path.relative_to(PACKAGE.parent))
        for folder in (PACKAGE, PACKAGE.parent / "widgets")
        for path in [*folder.rglob("*.py"), *folder.glob("*.js")]
        if name in path.read_text(encoding="utf-8")
    ]
    assert found == []
