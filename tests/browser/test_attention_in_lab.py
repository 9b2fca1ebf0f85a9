"""The attention explorer in real JupyterLab, on the translator that ships with the package."""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from PIL import Image

from llm_magics.display.raster import COLOURS

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from execute import to_html  # nbconvert as `make demo` uses it

pytestmark = pytest.mark.browser

ROOT = ".llm-attention-explorer"
CELLS = [
    "%load_ext llm_magics",
    "view = %attention embedded:en-de The cat sleeps on the sofa.\nview",
]


@pytest.mark.timeout(400)
def test_heads_are_chosen_and_silenced_and_the_page_reloaded(notebook):
    opened = notebook(CELLS)
    page = opened.page
    opened.run_all()
    page.wait_for_selector(f"{ROOT}[data-view='map'] canvas", timeout=120_000)
    assert opened.python("view.selection['kind']") == "cross"

    page.locator(f"{ROOT} .llm-cells button").nth(2).click()
    page.wait_for_function(
        "() => document.querySelectorAll('.llm-cells button[aria-selected=true]').length === 1"
    )
    assert opened.python("(view.selection['layer'], view.selection['head'])") == (0, 2)

    page.locator(f"{ROOT} .llm-silence").click()
    page.wait_for_selector(f"{ROOT} .llm-predictions .llm-prediction", timeout=60_000)
    assert opened.python("view.selection['silenced']") == [["cross", 0, 2]]
    shown = page.locator(f"{ROOT} .llm-predictions").inner_text()
    assert "all heads · its own words" in shown
    assert "one head silent · its own words" in shown

    for name in ("overview", "lines", "cross", "neuron"):
        page.locator(f"{ROOT} .llm-tabs").first.locator(f"[data-name={name}]").click()
        page.wait_for_selector(f"{ROOT}[data-view='{name}']")
    assert opened.python("view.selection['view']") == "neuron"

    opened.command("docmanager:save")
    page.reload(wait_until="domcontentloaded")
    page.wait_for_selector(f"{ROOT}[data-view='neuron']", timeout=60_000)
    assert opened.python("view.selection['silenced']") == [["cross", 0, 2]]


@pytest.mark.timeout(400)
def test_a_picture_of_the_view_stays_in_the_saved_notebook_and_in_its_page(
    notebook, lab, chromium, tmp_path
):
    opened = notebook(CELLS)
    opened.run_all()
    opened.page.wait_for_selector(f"{ROOT} canvas", timeout=120_000)
    opened.command("docmanager:save")
    saved = nbformat.read(lab["root"] / opened.name, as_version=4)
    html = saved.cells[1].outputs[0]["data"]["text/html"]
    picture = base64.b64decode(re.search(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", html)[1])
    assert picture.decode() == opened.python("view.static_svg(192)")
    assert "application/vnd.jupyter.widget-view+json" in saved.cells[1].outputs[0]["data"]
    weights = opened.python("view.map().tolist()")
    file = tmp_path / "saved.html"
    file.write_text(to_html(saved), encoding="utf-8")
    assert_cells_have_the_colours_of_their_weights(chromium, file, picture, weights)


def assert_cells_have_the_colours_of_their_weights(chromium, file, picture, weights):
    """The picture in nbconvert's page, where neither a script nor the network runs, pixel by pixel
    at the cells' centres."""
    page = chromium.new_page(
        java_script_enabled=False, offline=True, viewport={"width": 1200, "height": 900}
    )
    try:
        page.goto(file.as_uri())
        shown = Image.open(
            io.BytesIO(page.locator("img[src^='data:image/svg+xml']").screenshot())
        ).convert("RGB")
    finally:
        page.close()
    svg = ElementTree.fromstring(picture)
    left, top, width, height = (
        float(next(svg.iter("{http://www.w3.org/2000/svg}image")).get(name))
        for name in ("x", "y", "width", "height")
    )
    scale = shown.width / float(svg.get("viewBox").split()[2])
    off = []
    for i, row in enumerate(weights):
        for j, weight in enumerate(row):
            at = (
                scale * (left + width * (j + 0.5) / len(row)),
                scale * (top + height * (i + 0.5) / len(weights)),
            )
            *colour, opacity = COLOURS[int(255 * weight**0.5 + 0.5)]
            expected = [round(255 + (part - 255) * opacity / 255) for part in colour]
            off.append(
                max(
                    abs(a - b)
                    for a, b in zip(shown.getpixel(tuple(map(int, at))), expected, strict=True)
                )
            )
    assert len(off) > 50
    assert max(off) <= 3
    assert len(shown.getcolors(shown.width * shown.height)) > 20, "and it is no empty picture"
