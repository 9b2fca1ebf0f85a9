"""`%models panel` over the real manager."""

import pytest

import llm_magics
from llm_magics.session import current_session


@pytest.fixture
def panel(cells):
    return cells.run("%models panel")


def row(panel):
    (only,) = panel.models
    return only


def test_load_pin_unpin_and_unload_are_those_of_the_magic(panel, tiny_model):
    panel.act("load", str(tiny_model), dtype="float32")
    line = row(panel)
    assert (line["name"], line["dtype"], line["state"], line["leases"]) == (
        str(tiny_model),
        "float32",
        "idle",
        0,
    )
    (cpu,) = [device for device in panel.devices if device["name"] == line["device"]]
    assert cpu["held_bytes"] == line["bytes"] == current_session().manager.rows()[0].bytes > 0
    assert cpu["budget_bytes"] > cpu["held_bytes"]
    panel.act("pin", str(tiny_model))
    assert (row(panel)["pinned"], row(panel)["state"]) == (True, "pinned")
    with current_session().manager.lease(str(tiny_model)):
        panel.refresh()
        assert (row(panel)["leases"], row(panel)["state"], row(panel)["pinned"]) == (
            1,
            "in use",
            True,
        )
        with pytest.raises(Exception, match="in use"):
            panel.act("unload", str(tiny_model))
    panel.act("unpin", str(tiny_model))
    assert row(panel)["pinned"] is False
    panel.act("unload", str(tiny_model))
    assert panel.models == []
    assert panel.summary.startswith("no model is loaded")


def test_the_plan_says_what_a_load_would_take(panel, tiny_model):
    panel._show_plan(str(tiny_model), {})
    assert "memory needed: " in panel.plan
    assert "none, it is on this machine" in panel.plan
    panel._show_plan("no/such model", {})
    assert "is not a model reference" in panel.plan


def test_a_module_of_the_notebook_is_offered_and_can_be_loaded(cells, tiny_model):
    manager = current_session().manager
    with manager.lease(str(tiny_model)) as leased:
        cells.shell.user_ns["mine"] = (leased.module, leased.tokenizer)
    manager.unload(str(tiny_model))
    panel = cells.run("%models panel")
    assert ["mine", "mine", "notebook variable"] in panel.offers
    panel.act("load", "mine")
    assert row(panel)["name"] == "variable:mine"


def test_a_model_behind_an_endpoint_is_a_row_that_takes_no_memory_here(panel):
    with current_session().manager.lease("openai:far", endpoint="http://127.0.0.1:9/v1"):
        panel.refresh()
        assert (row(panel)["name"], row(panel)["bytes"]) == ("openai:far", 0)
        assert row(panel)["device"] not in [device["name"] for device in panel.devices]


def test_it_opens_from_python_and_says_so(cells):
    assert "model_panel()" in str(cells.run("%models panel --code"))
    assert llm_magics.model_panel().choices["dtype"] == ["float32", "bfloat16", "float16", "int8"]
    assert "takes no model" in cells.refusal("%models panel embedded:en-de")
