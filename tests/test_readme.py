"""The README's code runs, and what it points at exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.timeout(600)
def test_the_tour_runs_cell_by_cell(tmp_path, monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("LLM_MAGICS_HOME", str(tmp_path))
    shell = InteractiveShell.instance()
    cells = blocks("ipython")
    assert len(cells) >= 5
    try:
        for cell in cells:
            assert shell.run_cell(cell).success, cell
    finally:
        shell.run_line_magic("unload_ext", "llm_magics")


def test_the_python_examples_run(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_MAGICS_HOME", str(tmp_path))
    found = blocks("python")
    assert found
    for block in found:
        exec(compile(block, "README.md", "exec"), {})


def test_every_file_and_folder_the_readme_names_exists():
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    tree = re.findall(r"^    (\S+/)(?:\s|$)", README, re.MULTILINE)
    assert links
    for name in [*links, *tree]:
        assert (ROOT / name).exists(), name


def test_the_commands_of_the_readme_are_targets_of_the_makefile():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert {"demo", "test"} <= set(commands)
    assert set(commands) <= set(targets)


def test_the_readme_fits_on_one_screen():
    assert len(README.split()) <= 700
    assert len(blocks("ipython")) == 5


def test_every_file_that_a_page_of_the_docs_names_exists():
    for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]:
        if "_build" in page.parts:
            continue
        for name in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / name).exists(), f"{page.name}: {name}"
