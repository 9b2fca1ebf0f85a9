"""A shell with the extension loaded, an own empty home for runs, and a tiny translation model."""

from __future__ import annotations

import os
import queue
import time

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

SENTENCES = [
    "The cat sleeps.",
    "A dog runs in the park.",
    "Where is the station?",
    "He said: it's {fine}!",
    "— \"'",
]


class Cells:
    """Runs cells and says what came of them."""

    def __init__(self, shell):
        self.shell = shell
        self.output = None

    def run(self, cell):
        """The value of the cell; raises what the cell raised."""
        with capture_output() as self.output:
            outcome = self.shell.run_cell(cell, store_history=False)
        outcome.raise_error()
        return outcome.result

    def refusal(self, cell):
        """The one line of a UsageError, which must be of exactly that class and be shown as one
        line."""
        with capture_output() as self.output:
            outcome = self.shell.run_cell(cell, store_history=False)
        error = outcome.error_in_exec
        assert type(error) is UsageError, f"{error!r} in place of a UsageError"
        assert self.output.stderr.strip().splitlines() == [f"UsageError: {error}"]
        return str(error)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_MAGICS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def cells(home):
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "llm_magics")
    yield Cells(shell)
    shell.run_line_magic("unload_ext", "llm_magics")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of an English to German model with random weights: real code, meaningless
    words."""
    import torch

    from llm_magics.models.folder.native import save_native
    from llm_magics.nn.transformer import Seq2SeqModel
    from llm_magics.training.data.tokenizer import train_tokenizer
    from llm_magics.training.recipe.recipe import Tokenizer

    tokenizer = train_tokenizer(SENTENCES * 3, Tokenizer(vocab_size=320))
    size = tokenizer.get_vocab_size()
    arguments = {
        "src_vocab_size": size,
        "tgt_vocab_size": size,
        "d_model": 16,
        "nhead": 2,
        "num_encoder_layers": 2,
        "num_decoder_layers": 1,
        "dim_feedforward": 32,
        "dropout": 0.0,
        "norm_first": True,
    }
    torch.manual_seed(12)
    module = Seq2SeqModel(**arguments)
    with torch.no_grad():  # far enough from the end mark that something is written
        for weight in module.parameters():
            weight.mul_(3 if weight.dim() > 1 else 1)
        module.decoder.norm.bias.copy_(-module.target_embedding.weight[:3].sum(0))
    return save_native(
        tmp_path_factory.mktemp("model") / "tiny",
        module,
        arguments=arguments,
        task="translate",
        source_language="en",
        target_language="de",
        source_tokenizer=tokenizer,
    )


class Kernel:
    """Runs cells in a kernel and collects what a notebook would keep of them."""

    def __init__(self, manager, client, home):
        self.manager, self.client, self.home = manager, client, home

    def start(self, cell):
        return self.client.execute(cell, store_history=True)

    def finish(self, message_id, *, until=None, timeout_s=180):
        """(reply, outputs, updates); `until(outputs, updates)` may be called on every message."""
        outputs, updates = [], []
        end = time.monotonic() + timeout_s
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            if message["parent_header"].get("msg_id") != message_id:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                break
            if kind == "update_display_data":
                updates.append(content)
            elif kind in ("display_data", "execute_result", "stream", "error"):
                outputs.append({"kind": kind, **content})
            if until is not None:
                until(outputs, updates)
        return self.reply(message_id, end), outputs, updates

    def reply(self, message_id, end):
        while True:
            try:
                reply = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError("the kernel did not answer") from None
            if reply["parent_header"].get("msg_id") == message_id:
                return reply["content"]

    def run(self, cell, **how):
        return self.finish(self.start(cell), **how)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    pytest.importorskip("ipykernel", reason="needs a kernel")
    from jupyter_client.manager import start_new_kernel

    folder = tmp_path_factory.mktemp("kernel")
    env = {
        **os.environ,
        "LLM_MAGICS_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
        "IPYTHONDIR": str(folder / "ipython"),
    }
    manager, client = start_new_kernel(env=env, cwd=os.fspath(folder))
    kernel = Kernel(manager, client, folder / "home")
    reply, outputs, _ = kernel.run("%load_ext llm_magics")
    assert reply["status"] == "ok"
    assert outputs == []
    yield kernel
    client.stop_channels()
    manager.shutdown_kernel(now=True)
