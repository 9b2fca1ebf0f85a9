"""The pages build without a network and without a warning, and ask no other machine for anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import llm_magics

ROOT = Path(__file__).parents[2]
pytest.importorskip("myst_nb", reason="pip install 'llm-magics-notebook[docs]'")


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """The pages, of a copy of the sources; no notebook is executed, since test_examples does."""
    copy = tmp_path_factory.mktemp("clone")
    skipped = shutil.ignore_patterns("_build", ".ipynb_checkpoints")
    for folder in ("docs", "examples"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=skipped)
    environment = {
        **os.environ,
        "LLM_MAGICS_DOCS_NOTEBOOKS": "",
        "PYTHONPATH": str(ROOT),
        "http_proxy": "http://127.0.0.1:9",  # whoever asks the network is refused
        "https_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", "html"],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return copy / "html"


def test_the_reference_has_every_public_function(pages):
    shown = (pages / "api.html").read_text(encoding="utf-8")
    for name in set(llm_magics.__all__) - {"errors", "__version__"}:
        assert f'id="llm_magics.{name}"' in shown, name


def test_every_page_and_example_is_there_and_loads_nothing_from_elsewhere(pages):
    for path in (ROOT / "docs").rglob("*.md"):
        if "_build" in path.parts:
            continue
        assert (pages / path.relative_to(ROOT / "docs")).with_suffix(".html").is_file()
    for path in (ROOT / "examples").glob("*.ipynb"):
        shown = (pages / "examples" / f"{path.stem}.html").read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=.https?:", shown), path.stem
