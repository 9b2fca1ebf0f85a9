"""What only a GPU can show. Skipped without CUDA."""

from __future__ import annotations

import pytest
import torch

from llm_magics.models.generate.generate import generate
from llm_magics.models.manager.manager import ModelManager
from llm_magics.training.recipe.recipe import load_recipe
from llm_magics.training.run.control import Control
from llm_magics.training.run.events import BatchSplit, Finished, LayersSeen, StepDone
from llm_magics.training.run.loop import train
from llm_magics.training.runs.runs import create_run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]
SENTENCES = [
    "Good morning.",
    "My sister lives in Berlin.",
    "Please close the window before you go.",
]


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
        with (
            manager.lease("embedded:en-de", device="cpu", dtype="float32") as on_cpu,
            manager.lease("embedded:en-de", device="cuda", dtype="float32") as on_cuda,
        ):
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


SHORT = {"schedule.max_steps": 40, "evaluation.every_steps": 20}


def losses(tmp_path, name, **settings):
    run = create_run(
        tmp_path, load_recipe("number-words").with_settings({**SHORT, **settings}), name
    )
    return [event.loss for event in train(run, device="cuda") if isinstance(event, StepDone)]


def test_bfloat16_products_train_about_as_float32_does(tmp_path):
    low, exact = (
        losses(tmp_path, name, **{"compute.precision": name}) for name in ("bfloat16", "float32")
    )
    assert low != exact  # it is another arithmetic
    assert low[-1] == pytest.approx(exact[-1], rel=0.1)


def test_a_compiled_loss_is_the_same_loss(tmp_path):
    compiled, plain = (
        losses(
            tmp_path,
            f"compile-{on}",
            **{"compute.compile": on, "compute.precision": "float32", "model.dropout": 0.0},
        )
        for on in (True, False)
    )
    assert compiled == pytest.approx(plain, rel=1e-2)


def test_a_resumed_run_follows_the_uninterrupted_one_on_cuda(tmp_path):
    whole = losses(tmp_path, "whole")
    run, control = (
        create_run(tmp_path, load_recipe("number-words").with_settings(SHORT), "broken"),
        Control(),
    )
    first = []
    for event in train(run, device="cuda", control=control):
        if isinstance(event, StepDone):
            first.append(event.loss)
            if event.step == 11:
                control.stop()
    rest = [event.loss for event in train(run, device="cuda") if isinstance(event, StepDone)]
    assert first + rest == pytest.approx(whole, rel=1e-3)


def test_memory_that_runs_out_on_cuda_splits_the_batch(tmp_path):
    """The fraction of memory that this process may take is set so low that whole batches do not
    fit."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    run = create_run(
        tmp_path,
        load_recipe("number-words").with_settings(
            {
                **SHORT,
                "batch.tokens": 400_000,
                "model.d_model": 512,
                "schedule.max_steps": 2,
                "schedule.epochs": 100,
            }
        ),
    )
    torch.cuda.set_per_process_memory_fraction(4 * 2**30 / total)
    try:
        events = list(train(run, device="cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any(isinstance(event, BatchSplit) for event in events)
    assert events[-1].reason == "completed"


def test_the_layers_are_seen_on_cuda(tmp_path):
    run = create_run(
        tmp_path, load_recipe("number-words").with_settings({**SHORT, "evaluation.watch_every": 10})
    )
    seen = [event for event in train(run, device="cuda") if isinstance(event, LayersSeen)]
    assert [event.step for event in seen] == [10, 20, 30, 40]
    assert all(norm > 0 for norm in seen[-1].gradient_norm)
