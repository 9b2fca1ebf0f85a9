"""One concept, one name: the halves of a widget lie at the same path, and their traits have the
same names."""

import ast
import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BROWSER = ROOT / "widgets"
PYTHON = ROOT / "llm_magics" / "widgets"
DRAWN = {
    "attention/frame",
    "attention/plane",
    "attention/tiles",
    "shared/canvas",
    "shared/elements",
}
"""Parts without pure functions, tested where there is something to draw on:
tests/browser/test_attention_explorer.py."""


def browser_files(ending):
    return [path for path in BROWSER.rglob(f"*{ending}") if "node_modules" not in path.parts]


def stem_of(path):
    return path.relative_to(BROWSER).with_suffix("").as_posix()


SOURCES = {
    stem_of(path): path.read_text(encoding="utf-8")
    for path in browser_files(".js")
    if not path.name.endswith(".test.js")
}
WIDGETS = sorted(stem for stem, text in SOURCES.items() if "\nexport default " in text)
SHEETS = {stem_of(path): path.read_text(encoding="utf-8") for path in browser_files(".css")}


def class_name(stem):
    return "".join(part.title() for part in stem.split("/")[-1].split("_"))


def in_widgets(*command):
    return subprocess.run(
        command, cwd=BROWSER, capture_output=True, text=True, timeout=120, check=False
    )


def test_each_widget_has_both_halves_a_style_and_tests():
    assert len(WIDGETS) >= 6
    for stem in WIDGETS:
        assert stem in SHEETS
        assert (PYTHON / f"{stem}.py").is_file()
        assert (BROWSER / f"{stem}.test.js").is_file()
        assert (ROOT / "tests" / "widgets" / f"test_{stem.split('/')[-1]}.py").is_file()


def test_each_python_half_has_a_browser_half():
    made = {
        path.relative_to(PYTHON).with_suffix("").as_posix()
        for path in PYTHON.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and "AnyWidget" in "".join(map(ast.unparse, node.bases))
    }
    assert made == set(WIDGETS)


def test_each_style_sheet_is_that_of_a_widget_or_imported_by_one():
    imported = {
        stem_of((BROWSER / stem).parent.joinpath(file).resolve())
        for stem, text in SHEETS.items()
        for file in re.findall(r'@import "([^"]+)"', text)
    }
    assert set(SHEETS) == {*WIDGETS, *imported}


def test_each_part_of_a_widget_has_tests():
    assert set(SOURCES) >= DRAWN
    untested = {stem for stem in SOURCES if not (BROWSER / f"{stem}.test.js").is_file()}
    assert untested == DRAWN


def test_no_line_is_wider_than_a_hundred_columns():
    """Prettier leaves comments and strings as long as they are."""
    wide = [
        f"{path.relative_to(BROWSER)}:{number} {len(line)}"
        for path in (*browser_files(".js"), *browser_files(".css"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 100
    ]
    assert not wide


def test_no_python_lies_among_the_browser_halves():
    assert not browser_files(".py")


@pytest.mark.parametrize("stem", WIDGETS)
def test_traits_have_the_same_names_on_both_sides(stem):
    module = importlib.import_module(f"llm_magics.widgets.{stem.replace('/', '.')}")
    widget = getattr(module, class_name(stem))
    in_python = {name for name in widget.class_own_traits(sync=True) if not name.startswith("_")}
    source = SOURCES[stem]
    typedef = re.search(r"@typedef \{\{\n(.*?)\n \* \}\} Traits", source, re.DOTALL)[1]
    assert in_python == set(re.findall(r"^ \*   (\w+):", typedef, re.MULTILINE))
    asked = set(re.findall(r'model\.(?:get|set)\("(\w+)"', source))
    assert asked <= in_python


def test_the_pure_functions_of_the_browser_halves_pass_their_tests():
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed")
    done = in_widgets(node, "--test")
    assert done.returncode == 0, done.stdout
    assert re.search(r"(?m)^\W*pass [1-9]", done.stdout), done.stdout


def test_the_browser_halves_keep_their_types():
    local = BROWSER / "node_modules" / ".bin" / "tsc"
    tsc = str(local) if local.exists() else shutil.which("tsc")
    if not tsc:
        pytest.skip("tsc is not installed: npm install in widgets/ brings it")
    done = in_widgets(tsc, "-p", ".")
    assert done.returncode == 0, done.stdout
