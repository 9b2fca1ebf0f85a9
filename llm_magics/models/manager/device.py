"""Which device to compute on, how much memory it has, and in which number format."""

from __future__ import annotations

import os
from pathlib import Path

from llm_magics.errors import InputError

__all__ = [
    "check_device",
    "choose_device",
    "default_dtype",
    "describe_bytes",
    "devices",
    "empty_cache",
    "memory",
]


def choose_device() -> str:
    """ "cuda", "mps" or "cpu": the fastest device there is."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def devices() -> list[str]:
    """The devices of this machine: "cpu", then "cuda:0" and so on, then "mps"."""
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return there + (["mps"] if torch.backends.mps.is_available() else [])


def check_device(device: str) -> str:
    """`device`, once it is sure that this machine has it. Raises InputError, with the devices there
    are."""
    there = devices()
    kinds = {name.partition(":")[0] for name in there}
    if device in {*there, *kinds, *(f"{kind}:0" for kind in kinds)}:
        return device
    raise InputError(f"there is no device {device!r} on this machine; there is: {', '.join(there)}")


def default_dtype(device: str):
    """The `torch.dtype` weights are kept in on a device.

    float32 where it costs no speed to keep it (CPU); on accelerators bfloat16, or float16 where the
    device has no bfloat16.
    """
    import torch

    kind = device.partition(":")[0]
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float16 if kind == "mps" else torch.float32


def memory(device: str) -> tuple[int, int]:
    """(free, total) bytes of a device: what a new model could take now, and all there is.

    On the CPU a container's own limit counts, because the kernel is killed at that limit, not at
    the machine's.
    """
    kind, _, index = device.partition(":")
    if kind == "cuda":
        import torch

        free, total = torch.cuda.mem_get_info(int(index or 0))
        # What torch holds in its cache but does not use is free for the next model.
        cached = torch.cuda.memory_reserved(int(index or 0)) - torch.cuda.memory_allocated(
            int(index or 0)
        )
        return free + cached, total
    if kind == "mps":
        import torch

        total = torch.mps.recommended_max_memory()
        return max(0, total - torch.mps.current_allocated_memory()), total
    return _host_memory()


def _host_memory() -> tuple[int, int]:
    free, total = _machine_memory()
    for limit_file, used_file in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        limit, used = _number(limit_file), _number(used_file)
        if limit is not None and used is not None and limit < total:
            total, free = limit, min(free, max(0, limit - used + _reclaimable()))
    return free, total


def _machine_memory() -> tuple[int, int]:
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        kilobytes = [int(fields[name].split()[0]) for name in ("MemAvailable", "MemTotal")]
        return kilobytes[0] * 1024, kilobytes[1] * 1024
    except (OSError, KeyError, ValueError):
        # Not Linux; ipykernel depends on psutil, so it is there wherever a notebook is.
        import psutil

        machine = psutil.virtual_memory()
        return machine.available, machine.total


def _reclaimable() -> int:
    """Bytes of file cache that a container's usage counts but the system gives back when asked."""
    for path in ("/sys/fs/cgroup/memory.stat", "/sys/fs/cgroup/memory/memory.stat"):
        try:
            fields = dict(line.split() for line in Path(path).read_text().splitlines())
        except (OSError, ValueError):
            continue
        return int(fields.get("inactive_file", fields.get("total_inactive_file", 0)))
    return 0


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):  # no such control group, or the word "max"
        return None


def empty_cache(device: str) -> None:
    """Gives memory of unloaded models back to the device (and, on Linux, heap pages to the
    system)."""
    import gc

    kind = device.partition(":")[0]
    if kind in ("http", "https"):  # an endpoint: nothing of it was here
        return
    gc.collect()
    if kind in ("cuda", "mps"):
        import torch

        getattr(torch, kind).empty_cache()
    elif os.name == "posix":
        _trim_heap()


def _trim_heap() -> None:
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def describe_bytes(count: int | None) -> str:
    """A byte count for people: "1.9 GB", "300 MB", "12 kB"; "unknown" for None."""
    if count is None:
        return "unknown"
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return (
                f"{count / size:.1f} {unit}" if count < 10 * size else f"{count / size:.0f} {unit}"
            )
    return f"{count} bytes"
