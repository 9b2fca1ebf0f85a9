"""A module's shapes without its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

__all__ = ["outline"]


class _SkipInitialisation(TorchFunctionMode):
    """Leaves out `torch.nn.init`: on the meta device it computes nothing, but imports the compiler
    (1.4 s)."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def outline(build: Callable[..., nn.Module], **arguments: Any) -> nn.Module:
    """`build(**arguments)` on the meta device: parameters have shapes and take no memory."""
    with torch.device("meta"), _SkipInitialisation():
        return build(**arguments)
