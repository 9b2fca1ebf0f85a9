"""A translation as it stands in the page."""

from __future__ import annotations

import nbformat
import pytest

pytestmark = pytest.mark.browser

PAINTED = """() => [...document.querySelectorAll('.jp-RenderedHTML td span')]
  .filter(word => getComputedStyle(word).backgroundColor.includes('41, 121, 209')).map(word => word.textContent)"""


@pytest.mark.timeout(300)
def test_pointing_at_a_target_word_lights_the_source_words_it_looked_at(notebook):
    opened = notebook(
        ["%load_ext llm_magics", "%%translate --from en --to de\nMy sister lives in Berlin."]
    )
    page = opened.page
    opened.run_all()
    page.wait_for_selector(".jp-RenderedHTML td span.t0", timeout=120_000)
    page.mouse.move(5, 5)
    page.wait_for_function(f"() => ({PAINTED})().length === 0")
    page.locator(".jp-RenderedHTML td span.t0").first.hover()
    page.wait_for_function(f"() => ({PAINTED})().length > 0")
    lit = page.evaluate(PAINTED)
    assert set(lit) <= {"My", "sister", "lives", "in", "Berlin", "Berlin.", "."}


@pytest.mark.timeout(300)
def test_a_saved_notebook_holds_the_last_curve_as_a_picture_and_the_translation_as_text(notebook):
    """What a viewer without a kernel shows: the static picture, as an image."""
    opened = notebook(
        [
            "%load_ext llm_magics",
            "result = %train --recipe number-words --name short --epochs 0.05",
            "%translate --from en --to de Good morning.",
        ]
    )
    page = opened.page
    opened.run_all()
    page.wait_for_selector(".jp-RenderedHTML td span", timeout=180_000)
    opened.command("docmanager:save")
    opened.command("kernelmenu:shutdown")

    saved = nbformat.read(opened.lab["root"] / opened.name, as_version=4)
    bundles = [
        output["data"]
        for cell in saved.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    curve = next(data for data in bundles if "application/vnd.jupyter.widget-view+json" in data)
    assert 'src="data:image/svg+xml;base64,' in curve["text/html"]
    assert "short" in curve["text/plain"]
    assert any("morning" in data.get("text/html", "") for data in bundles)
