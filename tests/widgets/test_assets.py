import re
import shutil
import subprocess

import pytest

from llm_magics.widgets import _assets

NAMES = ["training_panel", "attention_explorer"]
STYLED = ["model_panel", "next_word", "playground", "training_panel", "tuning_board"]
"""Widgets whose sheet imports the common one."""


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
    own = f".llm-{name.replace('_', '-')}"
    for selectors in re.findall(r"([^{}]+)\{[^{}]*\}", sheet):
        for selector in selectors.split(","):
            assert selector.strip().startswith(own), selector


@pytest.mark.parametrize("name", STYLED)
def test_what_a_style_sheet_imports_stands_before_it_for_that_widget_alone(name):
    sheet, own = _assets.style(name), f".llm-{name.replace('_', '-')}"
    assert sheet.startswith(f"{own} {{\n  --llm-ink: ")
    assert f"{own} [hidden] {{ display: none !important; }}" in " ".join(sheet.split())
    assert (f"{own} .llm-offers {{" in sheet) == (name in ("model_panel", "playground"))
    assert not re.search(r"@import|llm-widget|/\*", sheet)
    written = (_assets._CHECKOUT / f"{name}.css").read_text(encoding="utf-8")
    assert not re.search(r"--llm-(ink|muted|line|accent):", written)  # said once, in common.css


def test_a_missing_browser_half_says_what_to_do():
    with pytest.raises(FileNotFoundError, match="install llm_magics again"):
        _assets.module("no_such_widget")
