"""What only a GPU can show. Skipped without CUDA."""

from __future__ import annotations

import pytest
import torch

from llm_magics.models.generation import generate
from llm_magics.models.manager import ModelManager
from llm_magics.training.events import Finished
from llm_magics.training.loop import train
from llm_magics.training.recipe import load_recipe
from llm_magics.training.runs import create_run

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]
SENTENCES = ["Good morning.", "My sister lives in Berlin.", "Please close the window before you go."]


def test_the_device_is_cuda_when_there_is_one():
    manager = ModelManager()
    try:
        with manager.lease("embedded:en-de") as loaded:
            assert loaded.device.startswith("cuda")
            assert next(loaded.module.parameters()).is_cuda
    finally:
        manager.close()


def test_cuda_writes_what_the_cpu_writes_in_float32():
    manager = ModelManager()
    try:
        with manager.lease("embedded:en-de", device="cpu", dtype="float32") as on_cpu, \
             manager.lease("embedded:en-de", device="cuda", dtype="float32") as on_cuda:
            expected = [done.text for done in generate(on_cpu, SENTENCES)]
            assert [done.text for done in generate(on_cuda, SENTENCES)] == expected
    finally:
        manager.close()


def test_unloading_gives_the_memory_back():
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    manager = ModelManager()
    with manager.lease("embedded:en-de", device="cuda"):
        assert torch.cuda.memory_allocated() > before
    manager.unload("embedded:en-de")
    torch.cuda.empty_cache()
    assert torch.cuda.memory_allocated() <= before * 1.01 + 1_000_000
    manager.close()


def test_the_number_words_recipe_reaches_its_result_on_cuda(tmp_path):
    run = create_run(tmp_path, load_recipe("number-words"))
    end = list(train(run, device="cuda"))[-1]
    assert isinstance(end, Finished)
    assert end.metrics["exact_match"] >= 95
