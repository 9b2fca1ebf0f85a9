"""Each page of docs/how_to_add is true: its blocks, applied to a copy of the package, add what it
says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "docs" / "how_to_add").glob("*.md") if path.stem != "index")
BLOCK = re.compile(
    r"^(?P<how>(?:A new file|In|Then)\b[^\n]*)\n\n```\w+\n(?P<text>.*?)^```$", re.M | re.S
)
INSERT = re.compile(r"In `([^`]+)`, (before|after) `([^`]+)`")
NEW = re.compile(r"A new file `([^`]+)`")


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the package and the browser halves, without weights but those of the fairy tales."""
    skipped = shutil.ignore_patterns("__pycache__", "node_modules", "??-??")
    for folder in ("llm_magics", "widgets"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skipped)
    return tmp_path


def apply(page: Path, copy: Path) -> list[str]:
    """Write what the page says into the copy; returns what is to be run."""
    to_run = []
    for how, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if new := NEW.match(how):
            path = copy / new[1]
            assert not path.exists(), f"{new[1]} is there already"
            path.write_text(text, encoding="utf-8")
        elif insert := INSERT.match(how):
            name, where, line = insert.groups()
            source = (copy / name).read_text(encoding="utf-8")
            assert source.count(line + "\n") == 1, f"{name} no longer has the line {line!r}"
            both = text + line + "\n" if where == "before" else line + "\n" + text
            (copy / name).write_text(source.replace(line + "\n", both), encoding="utf-8")
        else:
            assert how.startswith("Then"), f"{page.name}: what is to be done with: {how}"
            to_run.append(text)
    return to_run


def run(code: str, copy: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "LLM_MAGICS_HOME": str(copy / "home"),
        "HF_HUB_OFFLINE": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_adds_what_it_says(page, copy):
    to_run = apply(page, copy)
    assert to_run, "a page ends with what can then be done"
    done = run("\n".join(to_run), copy)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_without_its_change_the_last_block_of_a_page_fails(page, copy):
    code = [text for how, text in BLOCK.findall(page.read_text("utf-8")) if how.startswith("Then")]
    assert run("\n".join(code), copy).returncode != 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_code_of_a_page_is_left_out(page):
    text = page.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) == len(re.findall(r"^```\w+$", text, re.M))


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "how_to_add" / "index.md").read_text(encoding="utf-8")
    assert {page.stem for page in PAGES} <= set(index.split())
