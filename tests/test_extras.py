"""Every hint to install an extra names this project's distribution and an extra that it has."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from llm_magics.extras import DISTRIBUTION, install_hint

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HINT = re.compile(r"pip install (['\"]?)(llm[\w.-]*)((?:\[[^\]]*\])?)(['\"]?)")
HISTORY = {"CHANGELOG.md"}  # what was true then


def texts() -> list[Path]:
    """The files of the repository that people read or run."""
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml", "*.ipynb", "*.js"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in tracked.stdout.split() if name not in HISTORY]


def test_the_distribution_is_the_one_of_pyproject():
    assert PROJECT["name"] == DISTRIBUTION


def test_a_hint_is_quoted_for_every_shell():
    assert install_hint("tune", "lora") == "pip install 'llm-magics-notebook[tune,lora]'"


def test_every_written_hint_names_the_distribution_and_extras_that_exist():
    found = 0
    for path in texts():
        written = path.read_text(encoding="utf-8").replace("\\", "")  # escapes of JSON and regex
        for opening, name, extras, closing in HINT.findall(written):
            found += 1
            assert name == DISTRIBUTION, f"{path.name}: pip install {name}"
            wanted = {extra for extra in extras.strip("[]").split(",") if extra}
            assert wanted <= set(PROJECT["optional-dependencies"]), f"{path.name}: {extras}"
            assert not extras or opening == closing != "", f"{path.name}: {extras} is not quoted"
    assert found > 10


def test_every_hint_made_in_the_code_asks_for_an_extra_that_exists():
    made = set()
    for path in (ROOT / "llm_magics").rglob("*.py"):
        made |= set(re.findall(r"install_hint\(['\"](\w+)['\"]", path.read_text(encoding="utf-8")))
    assert {"fast", "tune", "lora"} <= made
    assert made <= set(PROJECT["optional-dependencies"])
