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


def select_head(page, view, layer: int, head: int):
    cell = view.locator(f'[role="gridcell"][data-key$="/{layer}/{head}"]')
    return cell if cell.count() else view.locator('[role="gridcell"]').nth(layer * 4 + head)


@pytest.mark.timeout(900)
def test_quickstart_trains_live_maps_answer_clicks_and_a_reload_keeps_both(notebook):
    opened = notebook(QUICKSTART)
    page = opened.page
    opened.run_all(wait=False)

    # The curve moves while the cell runs.
    page.wait_for_selector(".llm-training-panel canvas.llm-chart", timeout=180_000)
    page.wait_for_function("() => Number(document.querySelector('.llm-training-panel .llm-bar')"
                           "?.getAttribute('aria-valuenow')) >= 3", timeout=180_000)
    curve = page.locator(".llm-training-panel canvas.llm-chart").first
    step, picture = step_of(page), curve.evaluate(DRAWN)
    page.wait_for_function("s => Number(document.querySelector('.llm-training-panel .llm-bar')"
                           ".getAttribute('aria-valuenow')) > s + 5", arg=step, timeout=60_000)
    assert curve.evaluate(DRAWN) != picture

    # The training ends well, and the notebook to its last cell.
    page.wait_for_selector(".llm-attention-map >> nth=1", timeout=600_000)
    page.wait_for_function("() => document.querySelectorAll('.jp-RenderedHTML table').length > 0", timeout=120_000)
    text = page.locator(".jp-Notebook").inner_text()
    score = re.search(r"exact match ([\d.]+)", text)
    assert score, text[-2000:]
    assert float(score[1]) >= 95
    assert "Traceback" not in text
    assert "UsageError" not in text

    # A click on a head enlarges it, and Python knows.
    view = page.locator(".llm-attention-map").first
    large = view.locator("canvas.llm-map")
    view.scroll_into_view_if_needed()
    before = large.evaluate(DRAWN)
    current = view.locator('[role="gridcell"][aria-selected="true"]').first.get_attribute("data-key")
    other = view.locator(f'[role="gridcell"]:not([data-key="{current}"])').last
    chosen = other.get_attribute("data-key")
    other.click()
    page.wait_for_function("([canvas, before]) => { const d = canvas.getContext('2d')"
                           ".getImageData(0, 0, canvas.width, canvas.height).data; let sum = 0; "
                           "for (let i = 0; i < d.length; i++) sum = (sum * 31 + d[i]) >>> 0; return sum !== before; }",
                           arg=[large.element_handle(), before], timeout=30_000)
    selected = view.locator('[role="gridcell"][aria-selected="true"]').first.get_attribute("data-key")
    assert selected == chosen != current

    # Saved and loaded again: the curve is whole and the map is there.
    opened.command("docmanager:save")
    opened.open()
    page.wait_for_selector(".llm-training-panel canvas.llm-chart", timeout=60_000)
    page.wait_for_selector(".llm-attention-map canvas.llm-map", timeout=60_000)
    assert step_of(page) > step + 5
    again = page.locator(".llm-attention-map").first
    page.wait_for_function("key => [...document.querySelectorAll('.llm-attention-map')][0]"
                           ".querySelector('[role=gridcell][aria-selected=true]')?.dataset.key === key",
                           arg=chosen, timeout=30_000)
    assert again.locator('[role="gridcell"]').count() > 1
