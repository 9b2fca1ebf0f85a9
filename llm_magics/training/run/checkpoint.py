"""Checkpoints without pickle: safetensors and JSON, a manifest with hashes, one rename.

    checkpoint-00001200/
      model.safetensors      the weights
      optimizer.safetensors  the optimizer's tensors, "<parameter index>.<name>"
      state.json             step, position in the epoch, settings of the optimizer, best loss, …
      manifest.json          sha256 of every file; written last

A checkpoint is written into a temporary folder, synced, and renamed: it is there whole, or not at
all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import torch

from llm_magics.errors import CheckpointError

__all__ = [
    "latest_valid",
    "list_checkpoints",
    "load",
    "prune",
    "save",
    "verify",
    "weights",
    "with_shared_names",
]

_PREFIX = "checkpoint-"


def save(
    folder: Path,
    step: int,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
) -> Path:
    """Write the checkpoint of `step` under `folder`, or leave `folder` as it was; returns its
    path."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    final, temporary = (
        folder / f"{_PREFIX}{step:08d}",
        folder / f".tmp-{os.getpid()}-{uuid.uuid4().hex}",
    )
    temporary.mkdir()
    try:
        save_file(_unshared(model), temporary / "model.safetensors")
        tensors, settings = _split(optimizer.state_dict())
        save_file(tensors, temporary / "optimizer.safetensors")
        _write(temporary / "state.json", {**state, "step": step, "optimizer": settings})
        _write(
            temporary / "manifest.json", {f.name: _sha256(f) for f in sorted(temporary.iterdir())}
        )
        for file in temporary.iterdir():
            _sync(file)
        _sync(temporary)
        if (
            final.exists()
        ):  # the same step again, after a resume from it; a rename cannot replace a filled folder
            final.rename(folder / f"{temporary.name}-old")
        temporary.rename(final)
        _sync(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def load(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> dict[str, Any]:
    """Put the checkpoint's weights (and optimizer state) in place; returns state.json. Raises
    CheckpointError."""
    from safetensors.torch import load_file

    verify(path)
    state = json.loads((path / "state.json").read_text())
    try:
        model.load_state_dict(with_shared_names(load_file(path / "model.safetensors"), model))
        if optimizer is not None:
            optimizer.load_state_dict(
                _joined(load_file(path / "optimizer.safetensors"), state["optimizer"])
            )
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path.name} is of another model or recipe: {str(error).splitlines()[0][:200]}"
        ) from None
    return state


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights alone, verified."""
    from safetensors.torch import load_file

    verify(path)
    return load_file(path / "model.safetensors")


def verify(path: Path) -> None:
    """Raise CheckpointError naming the first file that is missing, extra or changed."""
    try:
        manifest = json.loads((path / "manifest.json").read_text())
    except (OSError, ValueError):
        raise CheckpointError(f"{path.name}: manifest.json is missing or unreadable") from None
    found = {f.name for f in path.iterdir()} - {"manifest.json"}
    for name in sorted(found | set(manifest)):
        if name not in found or manifest.get(name) != _sha256(path / name):
            raise CheckpointError(
                f"{path.name}: {name} is missing, extra or changed since it was written"
            )


def list_checkpoints(folder: Path) -> list[Path]:
    """Every checkpoint folder, oldest step first; not verified."""
    return sorted(folder.glob(f"{_PREFIX}*")) if folder.is_dir() else []


def latest_valid(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that agrees with its manifest, and what was wrong with newer ones."""
    problems = []
    for path in reversed(list_checkpoints(folder)):
        try:
            verify(path)
            return path, problems
        except CheckpointError as error:
            problems.append(str(error))
    return None, problems


def prune(folder: Path, keep_last: int, keep_step: int | None) -> None:
    """Remove all but the newest `keep_last` checkpoints and the one of `keep_step` (the best)."""
    for path in list_checkpoints(folder)[: -max(1, keep_last)]:
        if path.name != f"{_PREFIX}{keep_step or 0:08d}":
            shutil.rmtree(path, ignore_errors=True)
    for leftover in folder.glob(".tmp-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _unshared(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state dict with each shared tensor once (safetensors refuses aliases)."""
    seen: dict[int, str] = {}
    result = {}
    for name, tensor in model.state_dict().items():
        if seen.setdefault(tensor.data_ptr(), name) == name or tensor.numel() == 0:
            result[name] = tensor.detach().contiguous().cpu()
    return result


def with_shared_names(
    stored: dict[str, torch.Tensor], model: torch.nn.Module
) -> dict[str, torch.Tensor]:
    """`stored` with the names of shared tensors filled in again."""
    first: dict[int, str] = {}
    for name, tensor in model.state_dict().items():
        key = first.setdefault(tensor.data_ptr(), name)
        if name not in stored and key in stored:
            stored[name] = stored[key]
    return stored


def _split(state: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors = {
        f"{index}.{name}": value.contiguous().cpu()
        for index, values in state["state"].items()
        for name, value in values.items()
        if isinstance(value, torch.Tensor)
    }
    plain = {
        str(index): {
            name: value for name, value in values.items() if not isinstance(value, torch.Tensor)
        }
        for index, values in state["state"].items()
    }
    return tensors, {"param_groups": state["param_groups"], "plain": plain}


def _joined(tensors: dict[str, torch.Tensor], settings: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {
        int(index): dict(values) for index, values in settings["plain"].items()
    }
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    groups = [
        {
            name: tuple(value)
            if isinstance(value, list) and name != "params"
            else value  # JSON has no tuples
            for name, value in group.items()
        }
        for group in settings["param_groups"]
    ]
    return {"state": state, "param_groups": groups}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
