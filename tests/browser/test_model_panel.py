"""The model panel in JupyterLab: load, pin and unload while a cell runs."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

PANEL = ".llm-model-panel"
CELL = """%load_ext llm_magics
import time
import llm_magics
from llm_magics.models.manager.manager import ModelManager
llm_magics.current_session().manager = ModelManager(budget_bytes={"cpu": 64_000_000})
%models panel"""


@pytest.mark.timeout(400)
def test_models_are_loaded_pinned_and_unloaded_while_a_cell_runs(notebook):
    opened = notebook([CELL, "while True: time.sleep(.05)"])
    page = opened.page
    opened.run_all(wait=False)
    field = page.locator(f"{PANEL} .llm-load-row input")
    field.wait_for(timeout=120_000)
    for name in ("embedded:en-fr", "embedded:en-de"):
        field.fill(name)
        page.locator(f"{PANEL} .llm-offers li >> text={name}").first.wait_for()
        field.press("Enter")
        page.wait_for_function(
            (
                f"() => document.querySelector('{PANEL} .llm-plan').textContent.includes('memory "
                "needed')"
            ),
            timeout=60_000,
        )
        page.locator(f"{PANEL} .llm-load").click()
        page.wait_for_selector(f"{PANEL} tbody tr[data-state=idle] >> text={name}", timeout=60_000)
    assert page.locator(f"{PANEL} .llm-memory i[data-colour]").count() == 2
    first = page.locator(f"{PANEL} tbody tr", has_text="embedded:en-de")
    first.locator(".llm-pin").click()
    page.wait_for_selector(f"{PANEL} tr[data-state=pinned] .llm-pin[aria-pressed=true]")
    page.locator(f"{PANEL} tbody tr", has_text="embedded:en-fr").locator(".llm-unload").click()
    page.wait_for_function(
        f"() => document.querySelectorAll('{PANEL} tbody tr').length === 1", timeout=30_000
    )
    field.fill("no/such model at all")
    page.locator(f"{PANEL} .llm-load").click()
    page.locator(f"{PANEL} .llm-note", has_text="is not a model reference").wait_for(timeout=30_000)
    page.locator(
        ".jp-Notebook .jp-InputPrompt", has_text="[*]"
    ).wait_for()  # all of it while the cell ran
    field.fill("embedded:en-fr")
    field.press("Enter")
    page.locator(f"{PANEL} .llm-load").click()
    page.wait_for_function(
        f"() => document.querySelectorAll('{PANEL} tbody tr').length === 2", timeout=30_000
    )
    opened.command("kernelmenu:interrupt")
    page.wait_for_function(
        "() => !document.querySelector('.jp-Notebook').innerText.includes('[*]')", timeout=30_000
    )
    rows = opened.python(
        "[(row.name, row.state) for row in "
        "__import__('llm_magics').current_session().manager.rows()]"
    )
    assert sorted(rows) == [("embedded:en-de", "pinned"), ("embedded:en-fr", "idle")]
