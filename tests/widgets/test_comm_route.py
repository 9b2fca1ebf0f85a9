"""Buttons must work while a cell runs, wherever the front end sends its messages."""

import logging

import pytest

from llm_magics.widgets.comm_route import ignored, keep_front_end_route

BUSY = """
import time
end = time.monotonic() + 15
while not panel.stop_requested and time.monotonic() < end:
    panel.add("train", int(1000 * (end - time.monotonic())), 1.0)
    panel.flush()
    time.sleep(0.02)
print(panel.stop_requested)
"""


@pytest.fixture
def running(kernel):
    """A cell that runs until its widget's stop button is pressed; gives the request and the
    widget's id."""
    if not kernel.run(
        "import ipykernel.comm.comm as c; print(hasattr(c.BaseComm, '_reply_subshell_for') or '')"
    ):
        pytest.skip("this ipykernel does not route comms to subshells")
    model_id = kernel.run(
        "from llm_magics.widgets.training.training_panel import TrainingPanel\npanel = TrainingPanel('x')\n"
        "print(panel.model_id)"
    )
    request = kernel.start(BUSY)
    kernel.wait_for(lambda message: message["msg_type"] == "comm_msg")
    return request, model_id


@pytest.mark.parametrize("front_end", ["sends to the main shell", "sends to a subshell"])
def test_a_click_arrives_while_the_cell_runs(kernel, running, front_end):
    request, model_id = running
    subshell = kernel.new_subshell() if front_end == "sends to a subshell" else None
    kernel.click(model_id, {"do": "stop"}, subshell)
    assert kernel.text(kernel.finish(request)) == "True"


def test_one_subshell_of_ours_serves_every_widget(kernel):
    count = "from llm_magics.widgets import comm_route\nprint(comm_route._own_subshell)"
    ids = [kernel.run(f"w{i} = TrainingPanel('x')\nprint(w{i}.model_id)") for i in range(2)]
    owners = set()
    for model_id in ids:
        kernel.finish(kernel.click(model_id, {"do": "stop"}))
        owners.add(kernel.run(count))
    assert len(owners) == 1


def test_without_a_kernel_nothing_is_changed():
    class Widget:
        comm = object()

    assert keep_front_end_route(Widget()) is False


def test_an_unknown_message_is_logged_once(caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            ignored(object(), {"run": "rm"})
    assert len(caplog.records) == 1
    assert "run" in caplog.text
