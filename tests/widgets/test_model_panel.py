"""The Python half of the model panel, over a keeper that a test steers."""

import threading

import pytest

from llm_magics.display.html import render
from llm_magics.display.memory import DeviceMemory, ModelInMemory
from llm_magics.widgets.model_panel import ModelPanel

CHOICES = {"dtype": ["float32", "bfloat16"], "device": ["cpu"]}


def model(name="a", **given):
    return ModelInMemory(
        **{
            "name": name,
            "task": "translate",
            "device": "cpu",
            "dtype": "float32",
            "bytes": 250,
            "size": "250 B",
            "parameters": "60",
            "state": "idle",
            "leases": 0,
            "pinned": False,
            "uses": 1,
            "idle_s": 5.0,
            "colour": 0,
            **given,
        }
    )


class Keeping:
    """Loads at once, unless it is told to wait; refuses the model "bad"."""

    def __init__(self):
        self.models, self.asked, self.may = {}, [], threading.Event()
        self.may.set()
        self.done = threading.Semaphore(0)

    def look(self):
        held = sum(one.bytes for one in self.models.values())
        cpu = DeviceMemory("cpu", 1000, held, 100, f"{held} B of 1 kB")
        return [cpu], list(self.models.values()), f"{len(self.models)} models"

    def act(self, action, reference, options):
        self.asked.append((action, reference, dict(options)))
        try:
            self.may.wait(10)
            if reference == "bad":
                raise RuntimeError("there is no model\n'bad'")
            if action == "unload":
                del self.models[reference]
            else:
                self.models[reference] = model(reference, pinned=action == "pin")
        finally:
            self.done.release()

    def plan(self, reference, options):
        if reference == "bad":
            raise RuntimeError("no such thing")
        self.done.release()
        return f"{reference} takes 250 B"

    def offers(self):
        return [["a", "a", "here"]]


@pytest.fixture
def keeper():
    return Keeping()


@pytest.fixture
def panel(keeper):
    return ModelPanel(keeper, CHOICES)


def send(panel, **message):
    panel._handle_custom_msg(message, [])


def settled(panel, name, wanted):
    """Waits for a trait that another thread sets."""
    seen = threading.Event()

    def look(_=None):
        if wanted(getattr(panel, name)):
            seen.set()

    panel.observe(look, name)
    look()
    assert seen.wait(10), getattr(panel, name)


def test_buttons_load_pin_and_unload_and_the_models_follow(panel, keeper):
    send(panel, do="load", reference=" a ", options={"dtype": "bfloat16"})
    settled(panel, "models", lambda models: [one["name"] for one in models] == ["a"])
    assert keeper.asked == [("load", "a", {"dtype": "bfloat16"})]
    assert panel.devices[0]["held_bytes"] == 250
    send(panel, do="pin", reference="a")
    settled(panel, "models", lambda models: models[0]["pinned"])
    send(panel, do="unload", reference="a")
    settled(panel, "models", lambda models: models == [])
    settled(panel, "working", lambda number: number == 0)


def test_work_under_way_is_shown_and_a_look_is_answered_meanwhile(panel, keeper, monkeypatch):
    sent = []
    monkeypatch.setattr(panel, "send", lambda message, buffers=None: sent.append(message))
    keeper.may.clear()
    send(panel, do="load", reference="a")
    settled(panel, "working", lambda number: number == 1)
    send(panel, do="look")
    assert sent[0]["looked"] is True
    assert sent[0]["now_s"] > 1e9
    keeper.may.set()
    settled(panel, "working", lambda number: number == 0)


def test_what_fails_stands_in_one_line_and_is_raised_from_python(panel):
    send(panel, do="load", reference="bad")
    settled(panel, "notice", lambda text: text == "there is no model 'bad'")
    with pytest.raises(RuntimeError):
        panel.act("load", "bad")
    assert panel.working == 0
    panel.act("load", "a")
    assert panel.notice == ""


def test_a_plan_is_shown_and_so_is_why_there_is_none(panel):
    send(panel, do="plan", reference="a", options={})
    settled(panel, "plan", lambda text: text == "a takes 250 B")
    send(panel, do="plan", reference="bad", options={})
    settled(panel, "plan", lambda text: text == "no such thing")
    send(panel, do="plan", reference="", options={})
    settled(panel, "plan", lambda text: text == "")


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": "close"},
        {"do": "load"},
        {"do": "load", "reference": " "},
        {"do": "unload", "reference": 3},
        "load",
        None,
        {"do": "load", "reference": "a", "options": {"dtype": "float8"}},
        {"do": "load", "reference": "a" * 5000},
        {"do": "load", "reference": "a", "options": {"trust-remote-code": "float32"}},
        {"do": ["load"], "reference": "a"},
    ],
)
def test_any_other_message_does_nothing(panel, keeper, message):
    panel._handle_custom_msg(message, [])
    assert (keeper.asked, panel.working) == ([], 0)


def test_looking_again_changes_nothing_while_nothing_happens(panel, keeper):
    keeper.models["a"] = model()
    panel.refresh()
    changes = []
    panel.observe(changes.append, ["models", "devices", "summary"])
    panel.refresh()
    assert changes == []
    keeper.models["a"] = model(idle_s=0.0)
    panel.refresh()
    assert [change["name"] for change in changes] == ["models"]


def test_the_bundle_holds_view_bars_table_and_text(panel, keeper):
    keeper.models = {"x": model("<b>x</b>"), "y": model("y", bytes=0)}
    panel.refresh()
    data, _ = panel._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.model_id
    assert "<b>x" not in data["text/html"]
    assert "width:25.000%" in data["text/html"]
    assert "width:10.000%" in data["text/html"], "what something else has taken"
    assert data["text/html"] == render(panel.static_node())
    assert data["text/plain"].startswith("cpu: 250 B of 1 kB\n")
    assert "5 s ago" in data["text/plain"]
