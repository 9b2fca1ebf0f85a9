"""The next word in real Chromium without Jupyter, over a small language model of ours trained on
the spot."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from queue import Empty, SimpleQueue

import pytest

from llm_magics.widgets import _assets
from llm_magics.widgets.next_word import NextWord

pytestmark = pytest.mark.browser

LINES = ["the cat sleeps on the sofa and the dog runs in the park"] * 40
ROOT = ".llm-next-word"
BYTES = ("figures", "chances")
# The part of anywidget's model that the browser half uses; what Python changes is fetched, as
# threads change it.
MODEL = """
const bytes = text => new DataView(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer);
const listeners = {};
window.start = state => {
  const take = values => {
    for (const name of ["figures", "chances"]) if (name in values) values[name] = bytes(values[name]);
    const changed = Object.keys(values).filter(name => name in BYTES || values[name] !== state[name]);
    Object.assign(state, values);
    for (const name of changed) (listeners[`change:${name}`] ?? []).forEach(callback => callback());
  };
  const BYTES = { figures: 1, chances: 1 };
  take(state);
  const model = {
    get: name => state[name],
    set: (name, value) => take({ [name]: value }),
    save_changes: () => window.saved(state.selected),
    send: wish => window.wish(JSON.stringify(wish)),
    on: (event, callback) => (listeners[event] ??= []).push(callback),
    off: (event, callback) => (listeners[event] = listeners[event].filter(one => one !== callback)),
  };
  setInterval(async () => { for (const values of JSON.parse(await window.poll())) take(values); }, 15);
  window.halves.render({ model, el: document.body.appendChild(document.createElement("div")) });
};
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a language model that has learnt one sentence."""
    import torch

    from llm_magics.models.folder.native import save_native
    from llm_magics.nn import RecurrentLanguageModel
    from llm_magics.training.data.tokenizer import train_tokenizer
    from llm_magics.training.recipe.recipe import Tokenizer

    raw = train_tokenizer(LINES, Tokenizer(kind="word", vocab_size=40, min_frequency=1))
    ids = torch.tensor([[*raw.encode(LINES[0]).ids, 2] * 2])  # 2 ends a text
    arguments = {
        "vocab_size": raw.get_vocab_size(),
        "embedding_size": 16,
        "hidden_size": 32,
        "dropout": 0.0,
    }
    torch.manual_seed(0)
    module = RecurrentLanguageModel(**arguments)
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-2)
    for _ in range(80):
        loss = torch.nn.functional.cross_entropy(module(ids[:, :-1])[0], ids[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5
    return str(
        save_native(
            tmp_path_factory.mktemp("sentence") / "model",
            module,
            arguments=arguments,
            task="language-model",
            source_tokenizer=raw,
        )
    )


def plain(values):
    return {
        name: base64.b64encode(value).decode() if name in BYTES else value
        for name, value in values.items()
    }


@pytest.fixture
def shown(chromium, model):
    """(page, view): the view of a text, drawn in a page of its own and connected to Python."""
    from llm_magics import next_word

    view = next_word("the cat sleeps", model=model, count=5)
    names = [name for name in NextWord.class_own_traits(sync=True) if not name.startswith("_")]
    news: SimpleQueue[dict] = SimpleQueue()  # the view's thread adds to it while it is read
    chosen_there = (
        threading.local()
    )  # what the page itself has set is no news to it: Jupyter's echoes change nothing either

    def heard(change: dict) -> None:
        if change["name"] != "selected" or not getattr(chosen_there, "now", False):
            news.put({change["name"]: change["new"]})

    def save(selected: int) -> None:
        chosen_there.now = True
        view.selected = selected
        chosen_there.now = False

    view.observe(heard, names=names)

    def poll() -> str:
        merged: dict = {}
        with contextlib.suppress(Empty):
            while True:
                merged |= news.get_nowait()
        return json.dumps([plain(merged)] if merged else [])

    page = chromium.new_page(viewport={"width": 900, "height": 600})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.expose_function("wish", lambda wish: view._received(view, json.loads(wish), []))
    page.expose_function("poll", poll)
    page.expose_function("saved", save)
    page.set_content(
        "<!doctype html><meta "
        f"charset=utf-8><style>{_assets.style('next_word')}</style><body></body>"
    )
    page.add_script_tag(
        content=_assets.module("next_word").replace("export default", "window.halves =") + MODEL,
        type="module",
    )
    page.wait_for_function("() => window.start")
    page.evaluate(
        "state => window.start(state)", plain({name: getattr(view, name) for name in names})
    )
    yield page, view
    page.close()
    assert not errors, errors


def candidate(page, word):
    return page.locator(f"{ROOT} .llm-candidates button", has_text=word)


def wait_for_text(page, text):
    page.wait_for_function(
        (
            "text => document.querySelector('.llm-next-word .llm-text').innerText.replace('…', "
            "'').trim() === text"
        ),
        arg=text,
        timeout=60_000,
    )


def test_clicks_and_keys_go_on_replace_and_undo(shown):
    page, view = shown
    page.wait_for_selector(f"{ROOT} .llm-candidates button")
    assert page.locator(f"{ROOT} .llm-heading").inner_text() == "What comes next"
    assert "on" in page.locator(f"{ROOT} .llm-candidates button").first.inner_text()

    candidate(page, "·on").click()
    wait_for_text(page, "the cat sleeps on")
    assert view.text == "the cat sleeps on"

    page.locator(f"{ROOT} [data-place='1']").click()
    assert "In place of cat" in page.locator(f"{ROOT} .llm-heading").inner_text().replace("·", "")
    assert view.selected == 1
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.activeElement.dataset.place") == "2"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("() => document.activeElement.querySelector('bdi').textContent").replace(
        "·", ""
    )
    page.keyboard.press("Enter")
    wait_for_text(page, f"the {chosen} sleeps on")
    assert page.evaluate("() => document.activeElement.closest('.llm-candidates') !== null"), (
        "the keyboard keeps its place"
    )
    assert view.result.source_text == f"the {chosen} sleeps on"

    page.get_by_role("button", name="Undo").click()
    wait_for_text(page, "the cat sleeps on")
    page.keyboard.press("Enter")
    wait_for_text(page, "the cat sleeps")
    assert page.evaluate("() => document.activeElement.textContent") == "Redo"
    page.get_by_role("button", name="Redo").click()
    wait_for_text(page, "the cat sleeps on")

    page.get_by_role("button", name="Edit the text").click()
    page.locator(f"{ROOT} textarea").fill("the sofa sleeps <b>")
    page.locator(f"{ROOT} .llm-candidates button").first.click()
    page.wait_for_function(
        "() => document.querySelectorAll('.llm-next-word [data-place]').length === 6"
    )
    page.get_by_role("button", name="Undo").click()
    wait_for_text(page, "the cat sleeps on")
    assert page.locator(f"{ROOT} textarea").input_value() == "the sofa sleeps <b>", (
        "what is being typed is not lost"
    )
    page.locator(f"{ROOT} textarea").focus()
    page.keyboard.press("Control+Enter")
    wait_for_text(page, "the sofa sleeps <b>")
    assert page.locator(f"{ROOT} .llm-text b").count() == 0
    shades = page.locator(f"{ROOT} .llm-text [data-shade='3'], {ROOT} .llm-text [data-shade='2']")
    assert shades.count() >= 1  # nobody has read that before

    view.text = "the dog"  # from Python
    wait_for_text(page, "the dog")
    assert page.locator(f"{ROOT} textarea").input_value() == "the dog"
    page.locator(f"{ROOT} textarea").fill(" ")
    page.keyboard.press("Control+Enter")
    page.wait_for_function(
        "() => document.querySelector('.llm-status').textContent.includes('no text')",
        timeout=60_000,
    )
    assert view.text == "the dog"
