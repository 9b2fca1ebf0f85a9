"""The attention explorer in real Chromium without Jupyter: its browser half talks to the Python
half by two functions."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from llm_magics.widgets import _assets
from llm_magics.widgets.attention.attention_explorer import AttentionExplorer

pytestmark = pytest.mark.browser

_SPEC = importlib.util.spec_from_file_location(
    "synthetic_attention", Path(__file__).parents[1] / "widgets" / "synthetic_attention.py"
)
synthetic = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(synthetic)

ROOT = ".llm-attention-explorer"
STATE = ("title", "sources", "tokens", "atlases", "step_names", "selection", "can_predict", "live")
# The part of anywidget's model that the browser half uses; answers are fetched, as threads may give
# them.
MODEL = """
const bytes = text => new DataView(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer);
const listeners = {};
const tell = (event, ...args) => (listeners[event] ?? []).forEach(callback => callback(...args));
window.start = state => {
  state.atlases = state.atlases.map(all => all.map(bytes));
  window.sent = [];
  window.model = {
    get: name => state[name],
    set: (name, value) => { state[name] = value; tell(`change:${name}`); },
    save_changes: () => window.saved(JSON.stringify(state.selection)),
    send: question => { window.sent.push(question); window.ask(JSON.stringify(question)); },
    on: (event, callback) => (listeners[event] ??= []).push(callback),
    off: (event, callback) => (listeners[event] = listeners[event].filter(one => one !== callback)),
  };
  setInterval(async () => {
    for (const [content, buffers] of JSON.parse(await window.poll())) tell("msg:custom", content, buffers.map(bytes));
  }, 15);
  window.halves.render({ model: window.model, el: document.body.appendChild(document.createElement("div")) });
};
"""


PIXELS = """canvas => { const { width, height } = canvas;
    const d = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    let sum = 0; for (let i = 0; i < d.length; i++) sum = (sum * 31 + d[i]) >>> 0; return sum; }"""
# How many colours there are in a part of a canvas that is all map.
COLOURS = """canvas => { const w = canvas.width, h = canvas.height;
    const d = canvas.getContext('2d').getImageData(w * .6 | 0, h * .6 | 0, w * .3 | 0, h * .3 | 0).data;
    return new Set(new Uint32Array(d.buffer)).size; }"""


class ExplorerPage:
    """An explorer in a page of its own, connected to its Python half."""

    def __init__(self, page, view: AttentionExplorer, theme: str) -> None:
        self.page, self.view = page, view
        self._answers: SimpleQueue[tuple] = (
            SimpleQueue()
        )  # slow answers come from a thread while it is read
        view._answers._send = lambda content, buffers: self._answers.put((content, buffers))
        page.expose_function("ask", lambda question: self._ask(json.loads(question)))
        page.expose_function("poll", self._poll)
        page.expose_function("saved", self._saved)
        dark = theme == "dark"
        page.set_content(
            f"<!doctype html><meta charset=utf-8><style>{_assets.style('attention/attention_explorer')}"
            f"body {{ background: {'#111' if dark else '#fff'}; color: "
            f"{'#ddd' if dark else '#222'}; "
            f"--jp-layout-color1: {'#1b1b1b' if dark else '#fff'}; margin: 12px "
            f"}}</style><body></body>"
        )
        module = _assets.module("attention/attention_explorer").replace(
            "export default", "window.halves ="
        )
        page.add_script_tag(content=module + MODEL, type="module")
        page.wait_for_function("() => window.start")
        state = {name: getattr(view, name) for name in STATE}
        state["atlases"] = [
            [base64.b64encode(atlas).decode() for atlas in all_] for all_ in view.atlases
        ]
        page.evaluate("state => window.start(state)", state)
        page.wait_for_selector(f"{ROOT}[data-view]")

    def _ask(self, question: dict) -> None:
        assert self.view._answers.receive(question), question

    def _poll(self) -> str:
        taken = []
        with contextlib.suppress(Empty):
            while True:
                taken.append(self._answers.get_nowait())
        return json.dumps(
            [
                [content, [base64.b64encode(buffer).decode() for buffer in buffers]]
                for content, buffers in taken
            ]
        )

    def _saved(self, selection: str) -> None:
        self.view.selection = json.loads(selection)

    def select(self, **parts: object) -> None:
        """Set the selection from Python, as a cell would, and wait until it is drawn."""
        self.view.selection = parts
        self.page.evaluate(
            "selection => window.model.set('selection', selection)", self.view.selection
        )
        if "view" in parts:
            self.page.wait_for_selector(f"{ROOT}[data-view='{parts['view']}']")

    def find(self, selector: str):
        return self.page.locator(f"{ROOT} {selector}")

    def shown(self, selector: str) -> str:
        return self.find(selector).inner_text()

    def wait(self, condition: str) -> None:
        self.page.wait_for_function(f"() => {condition}", timeout=60_000)

    def chosen(self, **parts: object) -> None:
        """Wait until Python's selection has these parts."""
        for _ in range(200):
            if all(self.view.selection[name] == value for name, value in parts.items()):
                return
            self.page.wait_for_timeout(25)
        raise AssertionError({name: self.view.selection[name] for name in parts})

    def wait_for_head(self, key: str) -> None:
        self.page.wait_for_selector(f"{ROOT} .llm-map[data-head='{key}']:visible", timeout=60_000)

    def pixels(self, selector: str) -> int:
        """A number made of all pixels of a canvas, to tell pictures apart."""
        return self.find(selector).evaluate(PIXELS)

    def wait_for_other_pixels(self, selector: str, before: int) -> None:
        """Wait until a canvas shows another picture: it is drawn after the words beside it."""
        for _ in range(400):
            if self.pixels(selector) != before:
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"{selector} still shows the same picture")


@pytest.fixture
def explore(chromium):
    """A function that opens an explorer in a page; the page must neither fail nor ask the network
    for anything."""
    contexts, errors = [], []

    def make(sources, theme="light", size=(1200, 900), **about) -> ExplorerPage:
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "request",
            lambda sent: (
                None if sent.url.startswith(("data:", "blob:")) else errors.append(sent.url)
            ),
        )
        return ExplorerPage(page, AttentionExplorer(sources, **about), theme)

    yield make
    for context in contexts:
        context.close()
    assert not errors, errors


def test_a_head_is_clicked_pointed_at_zoomed_and_marked(explore):
    source = synthetic.SyntheticSource(40, 2, 4)
    page = explore([source])
    page.wait_for_head("0/self/1/0")
    page.find("[role=gridcell]").nth(2).click()
    page.wait_for_head("0/self/0/2")
    page.chosen(layer=0, head=2)

    canvas = page.find(".llm-map:visible").first
    box = canvas.bounding_box()
    page.page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] - 4)  # the last cell
    page.wait(
        f"document.querySelector('{ROOT} .llm-value b')?.innerText === "
        f"'{source.weights(0, 2)[39, 39]:.4f}'"
    )

    page.page.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] - 4)
    page.chosen(rows=[39], columns=[39])
    whole = float(canvas.get_attribute("data-cell"))
    page.page.mouse.wheel(0, -400)
    page.wait(f"document.querySelector('{ROOT} .llm-map').dataset.cell > {whole * 1.5}")
    page.page.keyboard.press("0")
    page.wait(f"document.querySelector('{ROOT} .llm-map').dataset.cell == {whole}")

    page.page.keyboard.down("Shift")
    page.page.mouse.move(box["x"] + box["width"] - 4 - 3 * whole, box["y"] + box["height"] - 4)
    page.page.mouse.down()
    page.page.mouse.move(
        box["x"] + box["width"] - 4, box["y"] + box["height"] - 4 - 2 * whole, steps=4
    )
    page.page.mouse.up()
    page.page.keyboard.up("Shift")
    page.chosen(rows=[37, 38, 39], columns=[36, 37, 38, 39])
    assert page.view.map(selected=True).shape == (3, 4)


def test_everything_can_be_done_from_the_keyboard(explore):
    page = explore([synthetic.SyntheticSource(12, 2, 3)], predict=synthetic.predict)
    keys = page.page.keyboard
    page.wait_for_head("0/self/1/0")
    page.find("[role=gridcell][tabindex='0']").focus()
    keys.press("ArrowRight")
    keys.press("ArrowUp")
    page.wait_for_head("0/self/0/1")
    keys.press(" ")
    page.chosen(heads=[[0, 1]])
    keys.press("s")
    page.page.wait_for_selector(f"{ROOT} .llm-prediction >> nth=1")
    page.chosen(silenced=[["self", 0, 1]])
    assert page.find(".llm-prediction").nth(1).locator("li").first.inner_text().split() == [
        "mat",
        "0.5",
        "−0.2",
    ]
    assert page.find("[data-silenced='true']").count() == 1
    assert "with one head silent: mat 0.5" in page.find(".llm-spoken").text_content()
    keys.press("s")
    page.page.wait_for_function(f"() => !document.querySelector('{ROOT} .llm-prediction')")

    keys.press("Enter")  # into the map
    page.wait("document.activeElement.classList.contains('llm-map')")
    for key in ("ArrowDown", "ArrowDown", "Enter", "ArrowRight", "ArrowDown", "Enter"):
        keys.press(key)
    page.chosen(rows=[1, 2], columns=[0, 1])
    keys.press("+")
    page.wait(f"document.querySelector('{ROOT} .llm-map').dataset.cell > 26")
    keys.press("Escape")  # all of the map, then back to the heads
    keys.press("Escape")
    page.wait("document.activeElement.getAttribute('role') === 'gridcell'")
    focusable = page.find("[role=gridcell][tabindex='0']")
    assert focusable.count() == 1
    assert page.find("[role=tab][aria-selected='true']").first.inner_text() == "Map"


def test_tiles_of_a_long_text_are_asked_for_only_where_one_looks(explore):
    source = synthetic.SyntheticSource(1500, 1, 1, thumb=16, with_atlas=False)
    page = explore([source])
    page.wait_for_head("0/self/0/0")
    page.page.wait_for_selector(f"{ROOT} .llm-heads[data-whole='true']")
    assert "tile" not in {question["want"] for question in page.page.evaluate("() => window.sent")}
    canvas = page.find(".llm-map:visible").first
    box = canvas.bounding_box()
    page.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = page.pixels(".llm-map:visible >> nth=0")
    for _ in range(5):
        page.page.keyboard.press("+")
    page.wait(f"document.querySelector('{ROOT} .llm-map').dataset.pieces > 1")
    tiles = [
        question
        for question in page.page.evaluate("() => window.sent")
        if question["want"] == "tile"
    ]
    assert {tile["level"] for tile in tiles} <= {0, 1}
    finest = {(tile["row"], tile["column"]) for tile in tiles if tile["level"] == 0}
    assert finest <= {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}, "of 6 × 6"
    page.wait_for_other_pixels(".llm-map:visible >> nth=0", before)


def test_lines_have_a_colour_and_a_name_for_each_head_and_follow_one_token(explore):
    page = explore([synthetic.SyntheticSource(12, 2, 8)])
    page.select(view="lines", heads=[[0, i] for i in range(8)])
    page.wait(f"document.querySelectorAll('{ROOT} .llm-chip').length === 7")
    colours = page.find(".llm-chip i").evaluate_all("all => all.map(one => one.style.background)")
    assert len(set(colours)) == 7
    assert page.find(".llm-chip").all_inner_texts() == ["L1·H0", *(f"L0·H{i}" for i in range(6))]
    assert "2 more marked" in page.shown(".llm-head-legend")
    page.select(heads=[])
    all_lines = page.pixels(".llm-links:visible")
    page.find(".llm-links:visible").focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.page.keyboard.press(key)
    page.wait(
        f"document.querySelector('{ROOT} .llm-view-lines "
        ".llm-value').innerText.startsWith('the "
        "looks at')"
    )
    page.chosen(rows=[1])
    page.wait_for_other_pixels(".llm-links:visible", all_lines)


def test_lines_of_a_long_text_scroll_to_the_token_that_was_marked(explore):
    page = explore([synthetic.SyntheticSource(200, 1, 1, thumb=8)])
    page.select(view="lines", rows=[150])
    page.wait(
        f"document.querySelector('{ROOT} .llm-view-lines "
        ".llm-value').innerText.includes('looks "
        "at')"
    )
    top, height = page.find(".llm-view-lines .llm-scroller").evaluate(
        "one => [one.scrollTop, one.clientHeight]"
    )
    assert top <= 150 * 19 < top + height
    assert height < 200 * 19


def test_a_neuron_shows_how_one_weight_comes_about(explore):
    source = synthetic.SyntheticSource(12, 2, 3)
    page = explore([source])
    page.select(view="neuron", rows=[5], columns=[2])
    page.page.wait_for_selector(f"{ROOT} .llm-sum:visible")
    assert float(page.find(".llm-sum").get_attribute("data-weight")) == pytest.approx(
        source.weights(1, 0)[5, 2]
    )
    page.find(".llm-bars").focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowUp")
    page.wait(
        f"Math.abs(document.querySelector('{ROOT} .llm-sum').dataset.weight - "
        f"{source.weights(1, 0)[4, 3]}) < 1e-6"
    )
    page.chosen(rows=[4], columns=[3])


def test_the_alignment_wraps_and_a_text_from_the_right_begins_there(explore):
    source = synthetic.SyntheticSource(
        kind="cross",
        layers=1,
        heads=2,
        rows=["the", "cat", "sat", "on", "the", "mat"] * 8,
        columns=["القطة", "تجلس", "على", "السجادة"] * 8,
    )
    page = explore([source])
    page.select(view="cross")
    page.wait(f"document.querySelector('{ROOT} .llm-view-cross canvas').dataset.bands > 1")
    page.find(".llm-links:visible").focus()
    page.page.keyboard.press("ArrowDown")
    page.wait(
        f"document.querySelector('{ROOT} .llm-view-cross "
        ".llm-value').innerText.startsWith('the "
        "looks at')"
    )


def test_equal_heads_leave_nothing_when_subtracted(explore):
    page = explore(
        [synthetic.SyntheticSource(12, 2, 3) for _ in range(2)], step_names=["step 0", "step 100"]
    )
    page.select(view="diff", against=[0, 1, 0])
    planes = page.find(".llm-view-diff canvas")
    for plane in range(3):
        page.wait(
            f"document.querySelectorAll('{ROOT} .llm-view-diff "
            f"canvas')[{plane}].dataset.pieces "
            "=== '1'"
        )
    assert planes.nth(2).evaluate(COLOURS) == 1
    assert planes.nth(0).evaluate(COLOURS) > 3
    assert page.find(".llm-plane-name").all_inner_texts() == [
        "L1·H0 · step 100",
        "L1·H0 · step 0",
        "difference",
    ]
    page.select(against=[0, 0, 1])
    page.wait(
        f"document.querySelectorAll('{ROOT} .llm-plane-name')[1].innerText.startsWith('L0·H1')"
    )
    page.wait(f"({COLOURS})(document.querySelectorAll('{ROOT} .llm-view-diff canvas')[2]) > 3")


def test_the_slider_goes_through_training_steps_or_through_written_tokens(explore):
    steps = ["step 0", "step 50", "step 100"]
    page = explore(
        [synthetic.SyntheticSource(12, 2, 3, seed=i) for i in range(3)], step_names=steps
    )
    page.select(view="steps")
    page.find(".llm-steps input").focus()
    page.page.keyboard.press("Home")
    page.wait_for_head("0/self/1/0")
    page.chosen(source=0)
    assert page.shown(".llm-steps output") == "step 0"

    written = explore([synthetic.SyntheticSource(12, 2, 3, first_step=4)])
    written.select(view="steps")
    written.wait_for_head("0/self/1/0")
    last = written.pixels(".llm-map:visible >> nth=0")
    written.find(".llm-steps input").focus()
    written.page.keyboard.press("Home")
    written.wait(f"document.querySelector('{ROOT} .llm-steps output').innerText === 'step 1: on'")
    written.chosen(step=4)
    written.wait_for_other_pixels(".llm-map:visible >> nth=0", last)


def test_heads_are_sorted_and_filtered_by_a_measure(explore):
    source = synthetic.SyntheticSource(12, 2, 4)
    page = explore([source])
    page.select(view="overview")
    page.find(".llm-measure select").select_option("diagonal")
    values = source.measure("diagonal", "self")
    order = sorted(range(8), key=lambda i: -values[i])
    page.wait(f"document.querySelector('{ROOT} [role=gridcell]').dataset.place == {order[0]}")
    assert (
        page.find("[role=gridcell]").evaluate_all(
            "all => all.map(one => Number(one.dataset.place))"
        )
        == order
    )
    page.find(".llm-measure input[type=number]").fill(f"{values[order[2]] - 1e-4}")
    page.wait(f"document.querySelectorAll('{ROOT} [role=gridcell]').length === 3")
    page.chosen(sort="diagonal")


def test_a_text_pair_filter_shows_its_part_of_the_map(explore):
    page = explore([synthetic.SyntheticSource(20, 1, 2, segments=[0] * 12 + [1] * 8)])
    page.wait_for_head("0/self/0/0")
    whole = float(page.find(".llm-map:visible").first.get_attribute("data-cell"))
    page.find("select[aria-label='parts of the text pair']").select_option("BB")
    page.wait(f"document.querySelector('{ROOT} .llm-map').dataset.cell > {whole}")
    page.chosen(segment="BB")


def test_an_error_of_the_model_is_shown_and_another_head_still_works(explore):
    source = synthetic.SyntheticSource(12, 2, 3)
    picture = source.picture

    def broken(kind, layer, head):
        if head == 1:
            raise RuntimeError("out of memory")
        return picture(kind, layer, head)

    source.picture = broken
    page = explore([source])
    page.wait_for_head("0/self/1/0")
    page.find("[role=gridcell]").nth(1).click()
    page.wait(f"document.querySelector('{ROOT} .llm-note').innerText.includes('out of memory')")
    page.find("[role=gridcell]").nth(2).click()
    page.wait_for_head("0/self/0/2")
    assert page.shown(".llm-note") == ""


def test_a_saved_page_is_interactive_without_a_kernel_or_a_network(chromium, tmp_path):
    view = AttentionExplorer([synthetic.SyntheticSource(64, 2, 3)], title="saved <b>")
    view.measure("diagonal")
    file = view.save(tmp_path / "map.html")
    context = chromium.new_context()
    page, errors, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.on("request", lambda sent: asked.append(sent.url))
    try:
        page.goto(file.as_uri())
        page.wait_for_selector(f"{ROOT} .llm-map[data-head='0/self/1/0']:visible")
        assert page.locator(f"{ROOT} .llm-title").inner_text() == "saved <b>"
        page.locator(f"{ROOT} [role=gridcell]").nth(2).click()
        page.wait_for_selector(f"{ROOT} .llm-map[data-head='0/self/0/2']:visible")
        page.locator(f"{ROOT} [data-name=lines]").click()
        page.wait_for_selector(f"{ROOT} .llm-links:visible")
        page.locator(f"{ROOT} .llm-measure select").select_option("diagonal")
        page.wait_for_function(
            f"() => document.querySelector('{ROOT} .llm-about').innerText.includes('mean of w')"
        )
        assert page.locator(f"{ROOT} .llm-silence").is_hidden()
        assert "all 6 heads in full resolution" in page.locator("body > p").inner_text()
    finally:
        context.close()
    assert not errors
    assert asked == [file.as_uri()]
