"""The quickstart as a person sees it: in JupyterLab, in a browser, without any network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"
DRAWN = """canvas => { const c = canvas.getContext('2d'); const d = c.getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0; for (let i = 0; i < d.length; i++) sum = (sum * 31 + d[i]) >>> 0; return sum; }"""


def step_of(page) -> int:
    value = page.locator(".llm-training-panel .llm-bar").first.get_attribute("aria-valuenow")
    return int(value or 0)


@pytest.mark.timeout(900)
def test_quickstart_trains_live_maps_answer_clicks_and_a_reload_keeps_both(notebook):
    opened = notebook(QUICKSTART)
    page = opened.page
    opened.run_all(wait=False)

    # The curve moves while the cell runs.
    page.wait_for_selector(".llm-training-panel canvas.llm-chart", timeout=180_000)
    page.wait_for_function(
        "() => Number(document.querySelector('.llm-training-panel .llm-bar')"
        "?.getAttribute('aria-valuenow')) >= 3",
        timeout=180_000,
    )
    curve = page.locator(".llm-training-panel canvas.llm-chart").first
    step, picture = step_of(page), curve.evaluate(DRAWN)
    page.wait_for_function(
        "s => Number(document.querySelector('.llm-training-panel .llm-bar')"
        ".getAttribute('aria-valuenow')) > s + 5",
        arg=step,
        timeout=60_000,
    )
    assert curve.evaluate(DRAWN) != picture

    # The training ends well, and the notebook to its last cell.
    page.wait_for_selector(".llm-attention-explorer >> nth=1", timeout=600_000)
    page.wait_for_function(
        "() => document.querySelectorAll('.jp-RenderedHTML table').length > 0", timeout=120_000
    )
    text = page.locator(".jp-Notebook").inner_text()
    score = re.search(r"exact match ([\d.]+)", text)
    assert score, text[-2000:]
    assert float(score[1]) >= 95
    assert "Traceback" not in text
    assert "UsageError" not in text

    # A click on a head enlarges it, and Python knows.
    view = page.locator(".llm-attention-explorer").first
    view.scroll_into_view_if_needed()
    large = view.locator("canvas.llm-map:visible").first
    page.wait_for_function(
        "canvas => canvas.dataset.head", arg=large.element_handle(), timeout=30_000
    )
    before, picture = large.get_attribute("data-head"), large.evaluate(DRAWN)
    heads = view.locator(".llm-cells [role=gridcell]")
    other = heads.nth(0 if heads.first.get_attribute("aria-selected") == "false" else 1)
    other.click()
    page.wait_for_function(
        "([canvas, before]) => canvas.dataset.head && canvas.dataset.head !== before",
        arg=[large.element_handle(), before],
        timeout=30_000,
    )
    chosen = large.get_attribute("data-head")
    assert other.get_attribute("aria-selected") == "true"
    assert large.evaluate(DRAWN) != picture

    # Saved and loaded again: the curve is whole and the map is there.
    opened.command("docmanager:save")
    opened.open()
    page.wait_for_selector(".llm-training-panel canvas.llm-chart", timeout=60_000)
    page.wait_for_selector(
        f".llm-attention-explorer canvas.llm-map[data-head='{chosen}']", timeout=60_000
    )
    assert step_of(page) > step + 5
    assert (
        page.locator(".llm-attention-explorer").first.locator(".llm-cells [role=gridcell]").count()
        > 1
    )
