"""The Python half of the playground, with work that a test steers."""

import threading

import pytest
import traitlets

from llm_magics.display.html import el, render
from llm_magics.widgets.playground import Playground

FORM = {
    "task": "shout",
    "about": "Say it louder.",
    "boxes": [{"name": "text", "label": "Text"}],
    "examples": [],
    "fields": [
        {
            "name": "how",
            "kind": "text",
            "help": "how loud",
            "choices": [],
            "hint": "HOW",
            "default": "",
        }
    ],
}


class Shouting:
    """Work that says the text in capitals, once it may; `seen` is what it was asked for."""

    def __init__(self, wait=False):
        self.seen, self.started, self.go_on = [], threading.Semaphore(0), threading.Event()
        if not wait:
            self.go_on.set()

    def run(self, texts, values, screen):
        self.seen.append((texts["text"], dict(values)))
        self.started.release()
        while not self.go_on.wait(0.01):
            if screen.stopping():
                screen.keep("HALF")
                raise KeyboardInterrupt("stopped; the result is incomplete")
        if not texts["text"]:
            raise ValueError("there is no text\nat all")
        screen.show(el("p", {}, texts["text"]))
        return texts["text"].upper()

    def describe(self, texts, values):
        return {
            "magic": f"%%shout\n{texts['text']}",
            "note": "two" if "two" in values.values() else "",
        }

    def code(self, texts, values):
        return f"shout({texts['text']!r})"

    def offers(self):
        return {"how": [["loud", "loud", ""]]}


@pytest.fixture
def work():
    return Shouting()


@pytest.fixture
def panel(work):
    return Playground(FORM, work, texts={"text": "hello"})


def send(panel, *, edit=1, **message):
    panel._handle_custom_msg({**message, "edit": edit}, [])


def test_a_run_gives_the_result_and_shows_it(panel):
    assert panel.run() == panel.result == "HELLO"
    assert (panel.status, panel.note) == ("done", "")
    assert "HELLO" in str(panel.shown)


def test_an_error_is_raised_by_run_and_stands_in_one_line_in_the_panel(panel):
    panel.texts = {"text": ""}
    with pytest.raises(ValueError, match="no text"):
        panel.run()
    assert (panel.status, panel.note) == ("failed", "there is no text at all")
    panel.texts = {"text": "again"}
    assert panel.run() == "AGAIN"
    assert panel.error is None


def test_the_buttons_run_what_the_form_holds_and_stop_it():
    work = Shouting(wait=True)
    panel = Playground(FORM, work)
    send(panel, do="run", texts={"text": "hi"}, values={"how": "loud"})
    assert work.started.acquire(timeout=10)
    assert (panel.status, panel.running) == ("running", True)
    assert not panel.wait(0.01)
    send(panel, do="stop")
    assert panel.wait(10)
    assert work.seen == [("hi", {"how": "loud"})]
    assert (panel.status, panel.note, panel.result) == (
        "stopped",
        "stopped; the result is incomplete",
        "HALF",
    )


def test_a_stop_that_comes_before_the_work_has_begun_is_not_lost():
    panel = Playground(FORM, Shouting(wait=True))
    panel.start()
    panel.stop()
    assert panel.wait(10)
    assert panel.status == "stopped"


def test_of_several_requests_the_last_one_counts():
    work = Shouting(wait=True)
    panel = Playground(FORM, work)
    for text in ("a", "ab", "abc"):
        send(panel, do="run", texts={"text": text}, values={})
    assert work.started.acquire(timeout=10)
    work.go_on.set()
    assert panel.wait(10)
    assert (panel.status, panel.result, work.seen[-1][0]) == ("done", "ABC", "abc")
    assert len(work.seen) <= 2


def test_an_edit_changes_texts_values_and_the_cell_and_runs_nothing(panel, work):
    send(panel, do="edit", texts={"text": "bye"}, values={"how": "two"})
    assert (panel.texts, panel.values) == ({"text": "bye"}, {"how": "two"})
    assert (panel.magic, panel.note, work.seen) == ("%%shout\nbye", "two", [])
    assert panel.code == "shout('bye')"


def test_an_edit_tells_only_what_was_changed(panel):
    panel.values = {"how": "loud"}
    send(panel, do="edit", texts={"text": "bye"}, values={}, edit=3)
    assert (panel.texts, panel.values, panel.heard) == ({"text": "bye"}, {"how": "loud"}, 3)
    panel.texts = {"text": "set from Python meanwhile"}
    send(panel, do="edit", texts={}, values={"how": ""}, edit=4)
    assert (panel.texts, panel.values, panel.heard) == (
        {"text": "set from Python meanwhile"},
        {},
        4,
    )


def test_what_an_edit_changes_goes_out_in_one_message_with_its_number(panel, monkeypatch):
    sent = []
    monkeypatch.setattr(panel, "send_state", lambda key=None: sent.append(set(key)))
    send(panel, do="edit", texts={"text": "bye"}, values={"how": "loud"}, edit=5)
    assert [names for names in sent if "heard" in names] == [
        names for names in sent if "texts" in names
    ]
    assert {"texts", "values", "heard"} <= sent[-1]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": "dance"},
        {"do": "run"},
        {"do": "run", "texts": {"other": "x"}, "values": {}},
        {"do": "run", "texts": {"text": 3}, "values": {}},
        {"do": "run", "texts": {"text": "x"}, "values": {"nothing": "x"}},
        {"do": "edit", "texts": {"text": "x"}, "values": ["how"]},
        {"do": "run", "texts": {"text": "x" * 6_000_000}, "values": {}},
        {"do": "run", "texts": {"text": "x"}, "values": {}, "edit": None},
        {"do": "run", "texts": {"text": "x"}, "edit": True},
    ],
)
def test_any_other_message_changes_nothing(panel, work, message):
    panel._handle_custom_msg({"edit": 1, **message}, [])
    assert panel.wait(10)
    assert (panel.texts, work.seen, panel.status, panel.heard) == (
        {"text": "hello"},
        [],
        "ready",
        0,
    )


def test_the_code_is_sent_when_it_is_asked_for_and_a_reason_where_there_is_none(panel, monkeypatch):
    sent = []
    monkeypatch.setattr(panel, "send", lambda message, buffers=None: sent.append(message))
    send(panel, do="code")
    monkeypatch.setattr(panel._work, "code", lambda *_: 1 / 0)
    send(panel, do="code")
    assert sent == [{"code": "shout('hello')"}, {"code": "# division by zero"}]


def test_offers_are_asked_for_again(panel, monkeypatch):
    monkeypatch.setattr(panel._work, "offers", lambda: {"how": [["soft", "soft", ""]]})
    send(panel, do="offers")
    assert panel.offers == {"how": [["soft", "soft", ""]]}


def test_a_text_without_a_box_is_refused(panel):
    with pytest.raises(traitlets.TraitError, match="there is text"):
        panel.texts = {"words": "x"}


def test_the_bundle_holds_view_page_and_text_and_escapes_what_was_typed(panel):
    panel.texts = {"text": "<script>x</script> \ud800"}
    panel.run()
    data, _ = panel._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.model_id
    assert "<script" not in data["text/html"]
    assert "&lt;script&gt;" in data["text/html"]
    assert data["text/plain"].startswith("%%shout\n")
    assert "\ud800" not in data["text/plain"] + data["text/html"]
    assert render(panel.static_node()) == data["text/html"]
