"""The training panel in JupyterLab: tabs, the slider, a page that is loaded again, and the buttons
of a running cell."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

PANEL = ".llm-training-panel"
FEED = """
import base64, math, random, threading, time
from llm_magics.magics.training.train_view import NotebookView
from llm_magics.training.run.events import *

LAYERS = ("source_embedding", "encoder.layers.0", "encoder.layers.1", "decoder.layers.0", "decoder.layers.1", "generator")
SOURCE, TARGET = "a man on a ladder </s>".split(), "<s> ein mann auf einer leiter".split()

def events(total=400):
    r = random.Random(0)
    yield RunStarted("play", 0, total, 1000, 900, 100, "cpu")
    for step in range(1, total + 1):
        p = step / total
        yield StepDone(step, total, step / 100, 1 + 4 * math.exp(-5 * p) + r.gauss(0, .1), 1e-3 * p, 1 + r.random(), 2000.0,
                       step * .1, .08)
        if step % 10 == 0:
            norms = [math.exp(-i - 3 * p * (i == 1)) for i in range(6)]
            yield LayersSeen(step, LAYERS, (None, *[.01] * 5), (None, *[1 + p] * 5), tuple(norms))
        if step % 50 == 0:
            yield Evaluated(step, step / 100, 1.1 + 4 * math.exp(-5 * p), {"bleu": 40 * p, "chrf": 60 * p})
            done = " ".join(TARGET[1:1 + step // 80])
            yield Sampled(step, (Sample("a man on a ladder", done, "ein mann auf einer leiter"),
                                 Sample("<b>two</b>", "zwei", "zwei")))
            maps = bytes(int(255 * math.exp(-abs(i - j) * 2 * p)) for _ in range(4) for i in range(6) for j in range(6))
            yield AttentionSeen(step, "cross", tuple(TARGET), tuple(SOURCE), 2, 2, base64.b64encode(maps).decode())
    yield Finished("completed", total, 40.0, {"bleu": 40.0})
"""
PLAY = (
    FEED
    + """
view = NotebookView("play")
for event in events():
    view.on_event(event)
    if isinstance(event, StepDone):
        time.sleep(.004)
view.close("finished")
"""
)
PICTURE = """canvas => { const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0; for (let i = 0; i < d.length; i++) sum = (sum * 31 + d[i]) >>> 0; return sum; }"""


def tab(page, name: str) -> None:
    page.locator(f"{PANEL} [role=tab]", has_text=name).first.click()


def points(page) -> int:
    return int(page.locator(f"{PANEL} canvas.llm-chart").first.get_attribute("data-points") or 0)


def slide(page, to: int) -> None:
    page.locator(f"{PANEL} .llm-steps input").evaluate(
        (
            "(slider, to) => { slider.value = to; slider.dispatchEvent(new Event('input', "
            "{bubbles: "
            "true})); }"
        ),
        to,
    )


@pytest.mark.timeout(400)
def test_every_tab_shows_its_part_and_the_slider_goes_through_the_steps(notebook):
    opened = notebook([PLAY])
    page = opened.page
    opened.run_all(wait=False)
    page.wait_for_selector(f"{PANEL} .llm-status[data-status='finished']", timeout=120_000)
    assert points(page) == 400 + 8
    names = page.locator(f"{PANEL} [role=tab]:visible").all_inner_texts()
    assert names == ["Loss", "Metrics", "Rate", "Layers", "Samples", "Attention"]

    tab(page, "Metrics")
    assert page.locator(f"{PANEL} .llm-chart-name:visible").all_inner_texts() == ["bleu", "chrf"]
    tab(page, "Layers")
    page.wait_for_selector(f"{PANEL} canvas.llm-layer-map[data-layers='6']")
    page.locator(f"{PANEL} canvas.llm-layer-map").first.focus()
    page.keyboard.press("End")
    assert (
        "source_embedding step 400 · gradient norm 1 ·"
        in page.locator(f"{PANEL} .llm-layers .llm-readout").inner_text()
    )

    tab(page, "Samples")
    assert "ein mann auf einer leiter" in page.locator(f"{PANEL} .llm-samples").inner_text()
    slide(page, 1)
    table = page.locator(f"{PANEL} .llm-samples tbody")
    assert table.locator("tr").first.locator("td").nth(1).inner_text().strip() == "ein"
    assert table.locator("mark").all_inner_texts() == ["ein"], (
        "the word that is new since the step before"
    )
    assert "<b>two</b>" in table.inner_text(), "text is never markup"

    tab(page, "Attention")
    page.wait_for_selector(f"{PANEL} canvas.llm-attention[data-step='100']")
    early = page.locator(f"{PANEL} canvas.llm-attention").evaluate(PICTURE)
    slide(page, 7)
    page.wait_for_selector(f"{PANEL} canvas.llm-attention[data-step='400']")
    assert page.locator(f"{PANEL} canvas.llm-attention").evaluate(PICTURE) != early
    slide(page, 0)
    page.locator(f"{PANEL} .llm-play").click()
    page.wait_for_selector(f"{PANEL} canvas.llm-attention[data-step='400']", timeout=60_000)


@pytest.mark.timeout(400)
def test_a_page_that_is_loaded_again_shows_all_of_it_and_goes_on(notebook):
    """The feed runs in a thread, so the shell is free when the page asks."""
    opened = notebook(
        [
            FEED
            + """
view, go_on = NotebookView("play"), threading.Event()
def play():
    for event in events():
        view.on_event(event)
        if getattr(event, "step", 0) == 200 and isinstance(event, AttentionSeen):
            go_on.wait(120)
        if isinstance(event, StepDone):
            time.sleep(.004)
    view.close("finished")
threading.Thread(target=play, daemon=True).start()
"""
        ]
    )
    page = opened.page
    opened.run_all(wait=False)
    page.wait_for_selector(f"{PANEL} canvas.llm-chart", timeout=60_000)
    page.wait_for_function(
        f"() => document.querySelector('{PANEL} canvas.llm-chart').dataset.points >= 190",
        timeout=60_000,
    )
    opened.command("docmanager:save")
    opened.open()
    page.wait_for_selector(f"{PANEL} canvas.llm-chart", timeout=60_000)
    page.wait_for_function(
        f"() => document.querySelector('{PANEL} canvas.llm-chart').dataset.points >= 190",
        timeout=30_000,
    )
    tab(page, "Attention")
    assert page.locator(f"{PANEL} .llm-steps output").inner_text().endswith("of 4")
    opened.python("go_on.set()")
    page.wait_for_selector(f"{PANEL} .llm-status[data-status='finished']", timeout=60_000)
    assert page.locator(f"{PANEL} .llm-steps output").inner_text() == "step 400 · 8 of 8"
    tab(page, "Loss")
    page.wait_for_function(
        f"() => document.querySelector('{PANEL} canvas.llm-chart').dataset.points == 408",
        timeout=30_000,
    )


@pytest.mark.timeout(400)
def test_finished_runs_are_shown_beside_each_other_and_can_be_hidden(notebook):
    opened = notebook(
        [
            FEED
            + """
from llm_magics.magics.training.train_view import comparison_panel
panel = comparison_panel({"small": events(200), "<b>large": events(400)})
panel"""
        ]
    )
    page = opened.page
    opened.run_all()
    page.wait_for_function(
        f"() => document.querySelector('{PANEL} canvas.llm-chart')?.dataset.points == {204 + 408}",
        timeout=60_000,
    )
    runs = page.locator(f"{PANEL} .llm-runs button")
    assert runs.all_inner_texts() == ["small", "<b>large"]
    assert not page.locator(f"{PANEL} .llm-levers").is_visible()
    runs.first.click()
    page.wait_for_selector(f"{PANEL} canvas.llm-chart[data-points='408']")
    assert runs.first.get_attribute("aria-pressed") == "false"

    tab(page, "Samples")
    assert page.locator(f"{PANEL} .llm-steps output").inner_text() == "step 200 · 4 of 4"
    page.locator(f"{PANEL} .llm-which select").select_option("<b>large")
    page.wait_for_function(
        f"() => document.querySelector('{PANEL} .llm-steps output').innerText.endsWith('of 8')"
    )
    html = opened.python("panel._repr_mimebundle_()[0]['text/html']")
    assert html.count("<img") == 2, "loss and metrics without a kernel"
    assert "predicted by small" in html


@pytest.mark.timeout(600)
def test_every_button_works_while_the_cell_runs(notebook):
    opened = notebook(
        [
            "%load_ext llm_magics",
            "result = %train --recipe number-words --name buttons --epochs 50",
            "print('usable as', result.model, result.reason)",
        ]
    )
    page = opened.page
    opened.run_all(wait=False)
    reached(page, 3)

    # Pause: the steps stand still. A checkpoint is saved before.
    press(page, "pause")
    page.wait_for_selector(f"{PANEL} .llm-status[data-status='paused']", timeout=60_000)
    page.wait_for_timeout(600)
    still = step_of(page)
    page.wait_for_timeout(1500)
    assert step_of(page) == still
    assert page.locator(f"{PANEL} .llm-pause").inner_text() == "Resume"

    # Resume: they go on.
    press(page, "pause")
    page.wait_for_selector(f"{PANEL} .llm-status[data-status='running']", timeout=60_000)
    reached(page, still + 5)

    # The learning rate is halved twice, and the curve has a mark.
    press(page, "slower")
    press(page, "slower")
    page.wait_for_function(
        f"() => document.querySelector('{PANEL} .llm-rate output').innerText === '× 0.25' && "
        f"document.querySelector('{PANEL} .llm-rate output').dataset.waiting === 'false'",
        timeout=60_000,
    )

    # A checkpoint now.
    before = page.locator(f"{PANEL} .llm-note").last.inner_text()
    press(page, "checkpoint")
    page.wait_for_function(
        (
            f"before => [...document.querySelectorAll('{PANEL} .llm-note')].at(-1).innerText !== "
            "before"
        ),
        arg=before,
        timeout=60_000,
    )
    assert "checkpoint at step" in page.locator(f"{PANEL} .llm-note").last.inner_text()

    # Stop: the cell ends and the next one runs.
    press(page, "stop")
    page.wait_for_function(
        (
            "() => document.querySelector('.jp-Notebook').innerText.includes('usable as "
            "run:buttons "
            "stopped')"
        ),
        timeout=180_000,
    )
    page.wait_for_selector(f"{PANEL} .llm-status[data-status='interrupted']", timeout=30_000)
    assert not page.locator(f"{PANEL} .llm-levers").is_visible()

    # The run's own record says the same.
    events = "__import__('llm_magics').current_session().find_run('buttons').events()"
    names = opened.python(f"[type(event).__name__ for event in {events}]")
    assert (
        names.index("Paused")
        < names.index("Resumed")
        < names.index("RateChanged")
        < names.index("Finished")
    )
    assert (
        opened.python(
            f"[event.factor for event in {events} if type(event).__name__ == 'RateChanged']"
        )[-1]
        == 0.25
    )


def step_of(page) -> int:
    return int(page.locator(f"{PANEL} .llm-bar").first.get_attribute("aria-valuenow") or 0)


def reached(page, step: int) -> None:
    page.wait_for_function(
        (
            f"step => Number(document.querySelector('{PANEL} "
            ".llm-bar')?.getAttribute('aria-valuenow')) >= step"
        ),
        arg=step,
        timeout=180_000,
    )


def press(page, name: str) -> None:
    page.locator(f"{PANEL} .llm-{name}:not(:disabled)").click()
