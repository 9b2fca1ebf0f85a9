"""Every example notebook runs in a real kernel, and its page needs no network."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))
from execute import execute, headlines, to_html  # noqa: E402 - the same code that `make demo` runs

NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request):
    return request.param, execute(request.param)


@pytest.mark.timeout(900)
def test_notebooks_run_to_their_last_cell_without_an_error(executed):
    path, notebook = executed
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    errors = "".join(
        output.text
        for output in outputs
        if output.output_type == "stream" and output.name == "stderr"
    )
    assert "UsageError" not in errors
    assert outputs, path


def test_the_page_shows_results_and_static_pictures_and_loads_nothing(executed):
    path, notebook = executed
    page = to_html(notebook)
    assert not re.findall(
        r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]+"', page
    )
    assert "application/vnd.jupyter.widget-state+json" not in page
    if path.stem.startswith(("attention_", "look_inside")):
        shown = [
            output
            for cell in notebook.cells
            for output in cell.get("outputs", [])
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
        ]
        assert len(re.findall(r'<img[^>]+src="data:image/svg\+xml;base64,', page)) == len(shown) > 0
    if path.stem == "quickstart":
        assert page.count("data:image/svg+xml;base64,") >= 3  # one curve, two maps
        assert "embedded:en-de" in page


def test_the_trained_model_of_the_quickstart_reads_numbers_it_never_saw(executed):
    path, notebook = executed
    if path.stem != "quickstart":
        pytest.skip("only the quickstart trains")
    lines = headlines(notebook)
    scores = [
        float(found[1]) for line in lines if (found := re.search(r"exact_match ([\d.]+)", line))
    ]
    assert len(scores) == 1, lines
    assert scores[0] >= 95


def test_notebooks_are_committed_without_outputs():
    import nbformat

    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs"), f"{path.name}: clear the outputs before committing"
            assert cell.get("execution_count") is None
