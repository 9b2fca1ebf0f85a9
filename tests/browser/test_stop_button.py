"""The stop button while the cell still runs: what no other notebook trainer has."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.timeout(400)
def test_the_stop_button_ends_the_training_and_keeps_the_model(notebook):
    opened = notebook(
        [
            "%load_ext llm_magics",
            "result = %train --recipe number-words --name stopped --epochs 50",
            "print('usable as', result.model, result.reason)",
        ]
    )
    page = opened.page
    opened.run_all(wait=False)
    page.wait_for_function(
        "() => Number(document.querySelector('.llm-training-panel .llm-bar')"
        "?.getAttribute('aria-valuenow')) >= 3",
        timeout=180_000,
    )
    page.locator(".llm-training-panel .llm-stop").click()
    page.wait_for_function(
        (
            "() => document.querySelector('.jp-Notebook').innerText.includes('usable as "
            "run:stopped "
            "stopped')"
        ),
        timeout=180_000,
    )
    assert opened.python("result.steps") < 5_000
    assert opened.python("(result.folder / 'model' / 'model.safetensors').is_file()") is True


@pytest.mark.timeout(400)
def test_markup_in_the_text_is_shown_and_never_run(notebook):
    attack = (
        "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> Tom "
        "sleeps."
    )
    opened = notebook(
        [
            "%load_ext llm_magics",
            f"%%translate --from en --to de\n{attack}",
            f"%attention embedded:en-de {attack}",
        ]
    )
    page = opened.page
    opened.run_all()
    explorer = page.locator(".llm-attention-explorer")
    explorer.locator("canvas.llm-map[data-head]").wait_for(timeout=120_000)
    explorer.locator(".llm-tabs").first.locator(
        "[data-name=neuron]"
    ).click()  # shows tokens as text, not on a canvas
    page.wait_for_selector(".llm-attention-explorer[data-view='neuron']")
    assert page.evaluate("() => window.hacked") is None
    assert page.locator(".jp-OutputArea script").count() == 0
    assert page.locator(".jp-OutputArea img[onerror]").count() == 0
    assert "window.hacked = 1" in page.locator(".jp-RenderedHTML").first.inner_text()
    explorer.get_by_text(
        "key of </s>"
    ).first.wait_for()  # a token that reads like a tag, once the kernel has answered
