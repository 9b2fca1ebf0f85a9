"""A search in real JupyterLab: small curves that move, and a button each that works while the cell
runs."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the extra [tune]")
pytestmark = pytest.mark.browser

NOTEBOOK = """import torch
torch.manual_seed(0)
module = torch.nn.Linear(1, 1)
rows = [(x, 2 * x + 1) for x in torch.rand(32, 1)]
held_out = [(x, 2 * x + 1) for x in torch.rand(8, 1)]
%load_ext llm_magics"""
CELL = """%%tune --name searched --trials 6 --out result
model = "module"
data = "rows"
validation = "held_out"
loss = "mse"
[set]
schedule.epochs = {epochs}
batch.rows = 8
evaluation.every_steps = 20
evaluation.watch_every = 0
[pruning]
kind = "none"
[search]
"optimizer.lr" = [0.003, 0.01, 0.1]
"optimizer.weight_decay" = [0.0, 0.1]"""


@pytest.mark.timeout(400)
def test_one_trial_is_stopped_by_its_button_and_the_others_go_on(notebook):
    opened = notebook(
        [NOTEBOOK, CELL.replace("{epochs}", "60"), "print('searched:', result.reason)"]
    )
    page = opened.page
    opened.run_all(wait=False)
    page.wait_for_selector(
        ".llm-tuning-board .llm-trial[data-state='queued'] .llm-stop:visible", timeout=180_000
    )
    last = page.locator(".llm-tuning-board .llm-trial").nth(5)
    last.locator(".llm-stop").click()
    page.wait_for_function(
        "() => document.querySelector('.jp-Notebook').innerText.includes('searched: completed')",
        timeout=180_000,
    )
    states = page.locator(".llm-tuning-board .llm-trial").evaluate_all(
        "cards => cards.map((card) => card.dataset.state)"
    )
    assert states == ["complete"] * 5 + ["skipped"]
    assert page.locator(".llm-tuning-board .llm-trial[data-best='true']").count() == 1
    curves = page.locator(".llm-tuning-board .llm-trial canvas")
    drawn = curves.evaluate_all("all => all.map((one) => Number(one.dataset.points))")
    assert min(drawn[:5]) > 3
    assert page.locator(".llm-tuning-board .llm-stop:visible").count() == 0
    page.locator(".llm-parallel").focus()
    page.keyboard.press("Home")
    readout = page.locator(".llm-tuning-board .llm-readout").inner_text()
    assert "★ best" in readout
    assert page.locator(".llm-trial[data-pointed='true'][data-best='true']").count() == 1
    assert opened.python("result.settings['optimizer.lr']") == 0.1
