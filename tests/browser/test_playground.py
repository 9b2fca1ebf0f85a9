"""The playground in JupyterLab: type, press, see the result; stop; all of it while a cell runs."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

PANEL = ".llm-playground"
LONG = "\\n".join(
    f"The old house number {i} stands near the river and nobody knows why." for i in range(3000)
)


@pytest.mark.timeout(400)
def test_text_is_translated_while_a_cell_runs_and_a_long_one_is_stopped(notebook):
    opened = notebook(
        [
            (
                "%load_ext llm_magics\nimport time\npanel = %translate --panel --model "
                "embedded:en-de\npanel"
            ),
            "while not panel.result: time.sleep(.05)\nprint('cell', 'ended')",
        ]
    )
    page = opened.page
    opened.run_all(wait=False)
    box = page.locator(f"{PANEL} textarea").first
    box.wait_for(timeout=120_000)
    box.fill("<b>Good</b> morning, my friend. The cat sleeps on the sofa.")
    page.locator(f"{PANEL} .llm-run").click()
    page.wait_for_selector(f"{PANEL}[data-status=done] .llm-result td", timeout=120_000)
    page.wait_for_function(
        "() => document.querySelector('.jp-Notebook').innerText.includes('cell ended')",
        timeout=30_000,
    )
    assert "<b>Good</b>" in page.locator(f"{PANEL} .llm-result").inner_text(), (
        "text is never markup"
    )
    assert "hover" not in page.locator(f"{PANEL} .llm-spoken").inner_text(), (
        "a style sheet is not read aloud"
    )
    assert opened.python("panel.result.target_language") == "de"
    assert (
        opened.python("panel.result.sentences[-1].target")
        in page.locator(f"{PANEL} .llm-result").inner_text()
    )

    to = page.locator(f"{PANEL} input[aria-label^='to:']")
    to.fill("germ")
    page.locator(f"{PANEL} .llm-offers li >> text=German").first.click()
    assert to.input_value() == "German"
    page.wait_for_function(
        f"() => document.querySelector('{PANEL} .llm-copy code').textContent.includes('--to de')"
    )
    assert opened.python("panel.values") == {"to": "de", "model": "embedded:en-de"}

    opened.python("1", f'panel.texts = {{"text": "{LONG}"}}')
    page.wait_for_function(f"() => document.querySelector('{PANEL} textarea').value.length > 9999")
    box.press("Control+Enter")
    page.wait_for_selector(
        f"{PANEL}[data-status=running] .llm-result [role=progressbar]", timeout=60_000
    )
    page.locator(f"{PANEL} .llm-stop").click()
    page.wait_for_selector(f"{PANEL}[data-status=stopped]", timeout=60_000)
    assert opened.python("panel.result.interrupted") is True
    assert "incomplete" in page.locator(f"{PANEL} .llm-note").inner_text()

    to.fill("fren")
    page.locator(f"{PANEL} .llm-offers li >> text=French").first.click()
    opened.python(
        "1", 'panel.texts = {"text": "Set from Python."}'
    )  # while the edit of the form is on its way
    page.wait_for_function(
        f"() => document.querySelector('{PANEL} .llm-copy code').textContent.includes('--to fr')"
    )
    assert opened.python("(panel.texts, panel.values['to'])") == (
        {"text": "Set from Python."},
        "fr",
    )
    assert (box.input_value(), to.input_value()) == ("Set from Python.", "French")
    page.locator(f"{PANEL} .llm-example").first.click()
    page.locator(f"{PANEL} .llm-run").click()
    page.wait_for_selector(f"{PANEL}[data-status=done]", timeout=60_000)
