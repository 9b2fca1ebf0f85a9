"""Models at an endpoint, against a real `transformers serve` process with a small chat model built
on the spot."""

import importlib.util
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from llm_magics.errors import EndpointError, ModelNotFound
from llm_magics.models.generate.generate import generate
from llm_magics.models.manager.manager import ModelManager

pytest.importorskip("fastapi", reason="needs transformers[serving]")
pytest.importorskip("openai", reason="needs transformers[serving]")


def _load(name, file):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(file))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def served(models, tmp_path_factory):
    """(address, folder of the model) of a server of the tiny chat model, which it calls
    tiny-chat."""
    root = tmp_path_factory.mktemp("serve")
    (root / "tiny-chat").symlink_to(models("llama"), target_is_directory=True)
    port = _load("badly_behaved", "badly_behaved.py").free_port()
    program = "from transformers.cli.transformers import main; main()"
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_HOME": str(root / "hf")}
    with (root / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-c",
                program,
                "serve",
                "tiny-chat",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--device",
                "cpu",
            ],
            cwd=root,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(server, f"http://127.0.0.1:{port}/health", root / "log")
        yield f"http://127.0.0.1:{port}/v1", models("llama")
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(server, url, log):
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(
        f"transformers serve did not start: {log.read_text(errors='replace')[-2000:]}"
    )


@pytest.mark.slow
def test_answers_of_transformers_serve_equal_those_of_the_same_model_loaded_here(served):
    url, folder = served
    prompts = ["the cat sleeps", "a dog runs in the park"]
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    manager = ModelManager(device="cpu", endpoint=url)
    try:
        with manager.lease(folder) as here:
            expected = generate(here, chats, max_new_tokens=12)
        seen = []
        with manager.lease("openai:tiny-chat") as remote:
            found = generate(
                remote, chats, max_new_tokens=12, on_text=lambda *news: seen.append(news)
            )
            drawing = {"do_sample": True, "temperature": 0.9, "top_p": 0.9, "seed": 5}
            drawn, again = (
                generate(remote, chats[:1], max_new_tokens=12, extra=drawing)[0].text
                for _ in range(2)
            )
        assert any(one.text.strip() for one in expected)
        assert [one.text.strip() for one in found] == [one.text.strip() for one in expected]
        assert [one.n_source_tokens for one in found] == [one.n_source_tokens for one in expected]
        assert all(one.finished and one.n_new_tokens <= 12 for one in found)
        assert {index for index, _, final in seen if final} == {0, 1}
        assert drawn == again
        with (
            pytest.raises((EndpointError, ModelNotFound), match="other"),
            manager.lease("openai:other") as remote,
        ):
            generate(remote, chats[:1])
    finally:
        manager.close()
