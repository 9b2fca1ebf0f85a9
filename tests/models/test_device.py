"""Devices and their memory, and what may be imported before work begins."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from llm_magics.errors import InputError
from llm_magics.models.manager import device
from llm_magics.models.manager.device import (
    check_device,
    choose_device,
    default_dtype,
    describe_bytes,
    memory,
)


def test_the_device_is_what_there_is():
    expected = (
        "cuda"
        if torch.cuda.is_available()
        else "mps"
        if torch.backends.mps.is_available()
        else "cpu"
    )
    assert choose_device() == expected
    assert default_dtype("cpu") == torch.float32
    assert default_dtype("mps") == torch.float16


def test_a_device_is_checked_against_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [check_device(name) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]
    for name in ("cuda:2", "tpu", "", "cuda:x"):
        with pytest.raises(InputError, match="cpu, cuda:0, cuda:1"):
            check_device(name)


def test_free_memory_is_part_of_the_whole():
    free, total = memory("cpu")
    assert 0 < free <= total


def test_the_limit_of_a_container_counts_as_all_there_is(tmp_path, monkeypatch):
    limits = {
        "/sys/fs/cgroup/memory.max": 1_000_000,
        "/sys/fs/cgroup/memory.current": 600_000,
    }
    monkeypatch.setattr(device, "_number", limits.get)
    monkeypatch.setattr(device, "_reclaimable", lambda: 50_000)
    assert memory("cpu") == (450_000, 1_000_000)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "unknown"),
        (0, "0 bytes"),
        (999, "999 bytes"),
        (12_345, "12 kB"),
        (1_940_000_000, "1.9 GB"),
        (300_000_000, "300 MB"),
    ],
)
def test_byte_counts_are_written_for_people(count, text):
    assert describe_bytes(count) == text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_memory_counts_what_torch_only_caches_as_free():
    before = memory("cuda")[0]
    block = torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
    assert memory("cuda")[0] <= before - block.nbytes
    del block
    assert memory("cuda")[0] >= before - (8 << 20)


@pytest.mark.parametrize(
    "name", ["models", "models.reference", "models.catalog", "models.folder.hub_cache"]
)
def test_light_modules_import_nothing_heavy(name):
    script = f"""
import sys
import llm_magics.{name}
heavy = ("torch", "transformers", "numpy", "huggingface_hub", "ipywidgets", "anywidget", "tokenizers")
print([module for module in heavy if module in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
