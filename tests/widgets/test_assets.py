import re
import shutil
import subprocess

import pytest

from llm_magics.attention.store import KINDS as CAPTURED_KINDS
from llm_magics.display import browser_files, theme
from llm_magics.widgets import _assets
from llm_magics.widgets.attention import selection


def source_files(ending):
    """The browser halves with this ending, tests and what npm brings left out."""
    return [
        path
        for path in browser_files.CHECKOUT.rglob(f"*.{ending}")
        if "node_modules" not in path.parts and not path.name.endswith(".test.js")
    ]


NAMES = ["training/training_panel", "attention/attention_explorer"]
STYLED = [
    "model_panel",
    "next_word",
    "playground",
    "training/training_panel",
    "training/tuning_board",
]
"""Widgets whose sheet imports the one for all."""


def own_class(name):
    """The class that all rules of a widget begin with."""
    return f".llm-{name.split('/')[-1].replace('_', '-')}"


@pytest.mark.parametrize("name", NAMES)
def test_a_widget_becomes_one_module_without_imports(name):
    module = _assets.module(name)
    assert not re.search(r"^import ", module, re.MULTILINE)
    assert "export default { render };" in module
    assert "function on_theme_or_size" in module


@pytest.mark.parametrize("name", NAMES)
def test_the_composed_module_is_valid_and_has_a_render_function(name, tmp_path):
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed")
    (tmp_path / "m.mjs").write_text(_assets.module(name), encoding="utf-8")
    ask = "import('./m.mjs').then(m => console.log(typeof m.default.render))"
    done = subprocess.run(
        [node, "-e", ask], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "function", done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_loaded_from_elsewhere(name):
    for text in (_assets.module(name), _assets.style(name)):
        assert not re.search(
            r"https?:|\burl\(|@import|\bfetch\(|innerHTML|insertAdjacentHTML|\beval\b", text
        )


@pytest.mark.parametrize("name", sorted({*NAMES, *STYLED}))
def test_every_style_rule_stays_inside_its_widget(name):
    sheet = re.sub(r"@keyframes[^{]*\{[^{}]*\{[^{}]*\}\s*\}", "", _assets.style(name))
    sheet = re.sub(r"@media[^{]*\{(.*)\}\s*$", r"\1", sheet, flags=re.DOTALL)
    own = own_class(name)
    for selectors in re.findall(r"([^{}]+)\{[^{}]*\}", sheet):
        for selector in selectors.split(","):
            assert selector.strip().startswith(own), selector


@pytest.mark.parametrize("name", STYLED)
def test_what_a_style_sheet_imports_stands_before_it_for_that_widget_alone(name):
    sheet, own = _assets.style(name), own_class(name)
    palette, base = sheet.split("}\n", 1)
    assert palette.startswith(f"{own} {{\n  --llm-series-0: {theme.PICTURE_SERIES[0]};\n")
    assert base.startswith(f"{own} {{\n  --llm-ink: ")
    assert f"{own} [hidden] {{ display: none !important; }}" in " ".join(sheet.split())
    assert (f"{own} .llm-offers {{" in sheet) == (name in ("model_panel", "playground"))
    assert not re.search(r"@import|llm-widget|/\*", sheet)
    written = (browser_files.CHECKOUT / f"{name}.css").read_text(encoding="utf-8")
    assert not re.search(
        r"--llm-(ink|muted|line|accent):", written
    )  # said once, in shared/widget.css


def test_a_missing_browser_half_says_what_to_do():
    with pytest.raises(FileNotFoundError, match="install llm_magics again"):
        _assets.module("no_such_widget")


def test_the_palette_is_said_once():
    palette = browser_files.read_json("shared/theme.json")
    colours = {colour for series in palette["series"].values() for colour in series}
    assert len(colours) == 18
    package = browser_files.CHECKOUT.parent / "llm_magics"
    files = [path for ending in ("js", "css") for path in source_files(ending)]
    files += [*(package / "display").rglob("*.py"), *(package / "widgets").rglob("*.py")]
    for path in files:
        text = path.read_text(encoding="utf-8").lower()
        assert not [colour for colour in colours if colour in text], path


def test_the_fallbacks_of_the_style_sheets_are_those_of_the_palette():
    palette = browser_files.read_json("shared/theme.json")
    sheets = "".join(path.read_text(encoding="utf-8") for path in source_files("css"))
    assert set(re.findall(r"--vscode-descriptionForeground, ([^)]+)\)", sheets)) == {palette["ink"]}
    assert set(re.findall(r"--llm-accent: .*--vscode-focusBorder, ([^)]+)\)", sheets)) == {
        palette["accent"]
    }


def test_views_and_kinds_are_those_that_the_browser_imports():
    said = browser_files.read_json("attention/views.json")
    assert tuple(said["views"]) == selection.VIEWS
    assert tuple(said["segments"]) == selection.SEGMENTS
    assert selection.KINDS == tuple(said["kinds"]) == CAPTURED_KINDS
    module = _assets.module("attention/attention_explorer")
    assert module.count("const VOCABULARY = ") == 1
    assert '"cross": "Alignment"' in module
