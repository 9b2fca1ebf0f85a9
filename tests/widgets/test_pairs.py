"""One concept, one name: the halves of a widget pair up, and so do their traits."""

import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = {path.stem for path in (ROOT / "llm_magics" / "widgets").glob("[a-z]*.py")} - {
    "live",
    "points",
    "snapshots",
    "attention_answers",
    "attention_page",
    "attention_panel",
    "attention_picture",
    "attention_selection",
}
ATTENTION_VIEWS = {
    f"attention_view_{name}" for name in ("map", "lines", "cross", "neuron", "diff", "steps")
}
DRAWN = {"attention_frame", "attention_plane", "attention_tiles"}
"""Parts without pure functions, tested where there is something to draw on:
tests/browser/test_attention_explorer.py."""
PARTS = {
    "combobox",
    "common",
    "charts",
    "layer_maps",
    "nodes",
    "points",
    "snapshots",
    *ATTENTION_VIEWS,
    *DRAWN,
    "attention_colours",
    "attention_gestures",
    "attention_heads",
    "attention_links",
    "attention_page",
    "attention_requests",
    "attention_silence",
    "attention_state",
    "attention_viewport",
}
"""Browser files that widgets are put together from; each has tests of its own."""
SHEETS = {"combobox", "common"}
"""Style sheets that those of widgets import."""
BROWSER = {
    path.stem for path in (ROOT / "widgets").glob("*.js") if not path.name.endswith(".test.js")
} - PARTS


def in_widgets(*command):
    return subprocess.run(
        command, cwd=ROOT / "widgets", capture_output=True, text=True, timeout=120, check=False
    )


def test_each_widget_has_both_halves_a_style_and_tests():
    assert PYTHON == BROWSER == {path.stem for path in (ROOT / "widgets").glob("*.css")} - SHEETS
    for stem in PYTHON:
        assert (ROOT / "widgets" / f"{stem}.test.js").is_file()
        assert (ROOT / "tests" / "widgets" / f"test_{stem}.py").is_file()


def test_each_part_of_a_widget_has_tests():
    for stem in PARTS - DRAWN:
        assert (ROOT / "widgets" / f"{stem}.test.js").is_file()


def test_no_python_lies_among_the_browser_halves():
    assert not list((ROOT / "widgets").glob("**/*.py"))


@pytest.mark.parametrize("stem", sorted(PYTHON))
def test_traits_have_the_same_names_on_both_sides(stem):
    widget = getattr(
        importlib.import_module(f"llm_magics.widgets.{stem}"),
        "".join(part.title() for part in stem.split("_")),
    )
    in_python = {name for name in widget.class_own_traits(sync=True) if not name.startswith("_")}
    source = (ROOT / "widgets" / f"{stem}.js").read_text(encoding="utf-8")
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
    local = ROOT / "widgets" / "node_modules" / ".bin" / "tsc"
    tsc = str(local) if local.exists() else shutil.which("tsc")
    if not tsc:
        pytest.skip("tsc is not installed: npm install in widgets/ brings it")
    done = in_widgets(tsc, "-p", ".")
    assert done.returncode == 0, done.stdout
