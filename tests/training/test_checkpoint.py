"""Checkpoints: whole or absent, and never wrong numbers."""

from __future__ import annotations

import os
import random

import pytest
import torch

from llm_magics.errors import CheckpointError
from llm_magics.nn import Seq2SeqModel
from llm_magics.training.run import checkpoint


def trained(seed: int = 0) -> tuple[Seq2SeqModel, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = Seq2SeqModel(12, 12, 8, 2, 1, 1, 16, shared_embeddings=True)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(2):
        model(torch.randint(0, 12, (2, 4)), torch.randint(0, 12, (2, 3))).sum().backward()
        optimizer.step()
    return model, optimizer


@pytest.fixture
def saved(tmp_path):
    model, optimizer = trained()
    return checkpoint.save(tmp_path, 7, model, optimizer, {"note": "hi"}), model, optimizer


def test_everything_comes_back_to_the_bit(saved):
    path, model, optimizer = saved
    other, other_optimizer = trained(seed=1)
    state = checkpoint.load(path, other, other_optimizer)
    assert (state["step"], state["note"]) == (7, "hi")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    mine, theirs = optimizer.state_dict(), other_optimizer.state_dict()
    assert mine["param_groups"] == theirs["param_groups"]
    for index, values in mine["state"].items():
        for key, value in values.items():
            assert torch.equal(value, theirs["state"][index][key])


def test_every_flipped_bit_and_every_truncation_is_noticed(saved):
    path, *_ = saved
    rng = random.Random(0)
    for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
        whole = (path / name).read_bytes()
        for _ in range(40):
            broken = bytearray(whole)
            position = rng.randrange(len(broken))
            broken[position] ^= 1 << rng.randrange(8)
            (path / name).write_bytes(broken)
            with pytest.raises(CheckpointError, match=name.split(".")[0]):
                checkpoint.verify(path)
            (path / name).write_bytes(whole[:position])
            with pytest.raises(CheckpointError, match=name.split(".")[0]):
                checkpoint.verify(path)
        (path / name).write_bytes(whole)
    checkpoint.verify(path)


def test_a_broken_newest_checkpoint_falls_back_to_the_one_before(saved, tmp_path):
    path, model, optimizer = saved
    newer = checkpoint.save(tmp_path, 9, model, optimizer, {})
    assert checkpoint.latest_valid(tmp_path) == (newer, [])
    (newer / "manifest.json").unlink()
    found, problems = checkpoint.latest_valid(tmp_path)
    assert found == path
    assert "manifest.json is missing" in problems[0]


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_failed_save_leaves_the_old_checkpoint_and_no_leftover(
    saved, tmp_path, monkeypatch, failing
):
    path, model, optimizer = saved

    def fail(*_args):
        raise OSError(28, "No space left on device")

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(type(tmp_path), "rename", fail)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, 8, model, optimizer, {})
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    checkpoint.verify(path)


def test_pruning_keeps_the_newest_and_the_best(tmp_path):
    model, optimizer = trained()
    for step in range(1, 7):
        checkpoint.save(tmp_path, step, model, optimizer, {})
    checkpoint.prune(tmp_path, keep_last=2, keep_step=3)
    assert [int(p.name[-8:]) for p in checkpoint.list_checkpoints(tmp_path)] == [3, 5, 6]


def test_the_checkpoint_of_another_model_is_refused_with_a_reason(saved):
    path, *_ = saved
    with pytest.raises(CheckpointError, match="another model or recipe"):
        checkpoint.load(path, Seq2SeqModel(12, 12, 16, 2, 1, 1, 16))
