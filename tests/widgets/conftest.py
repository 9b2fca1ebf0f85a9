"""A real kernel, spoken to as a front end speaks to it."""

import importlib.util
import queue
from pathlib import Path

import pytest


class Kernel:
    """`run` code in the kernel and see what it publishes; `click` sends a widget message as a
    button does."""

    def __init__(self, client):
        self.client = client

    def start(self, code):
        return self.client.execute(code)

    def finish(self, request):
        """All messages the kernel published for `request`, until it is idle."""
        messages = []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") == request:
                messages.append(message)
                if (
                    message["msg_type"] == "status"
                    and message["content"]["execution_state"] == "idle"
                ):
                    return messages

    def run(self, code):
        """What `code` printed; an error in it fails the test."""
        return self.text(self.finish(self.start(code)))

    def text(self, messages):
        errors = [message["content"] for message in messages if message["msg_type"] == "error"]
        assert not errors, "\n".join(errors[0]["traceback"])
        return "".join(
            message["content"]["text"] for message in messages if message["msg_type"] == "stream"
        ).strip()

    def click(self, model_id, content, subshell=None):
        message = self.client.session.msg(
            "comm_msg", {"comm_id": model_id, "data": {"method": "custom", "content": content}}
        )
        if subshell:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def wait_for(self, wanted, timeout_s=20):
        """The first published message that `wanted` accepts."""
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=timeout_s)
            except queue.Empty:
                pytest.fail("the kernel did not publish what was waited for")
            if wanted(message):
                return message

    def new_subshell(self):
        """A subshell such as JupyterLab opens for widget messages."""
        self.client.control_channel.send(self.client.session.msg("create_subshell_request", {}))
        return self.client.get_control_msg(timeout=20)["content"]["subshell_id"]


@pytest.fixture(scope="module")
def kernel():
    jupyter_client = pytest.importorskip("jupyter_client")
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3")
    try:
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture(scope="session")
def synthetic():
    """The module of sources that no model made."""
    place = Path(__file__).parent / "synthetic_attention.py"
    spec = importlib.util.spec_from_file_location("synthetic_attention", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
