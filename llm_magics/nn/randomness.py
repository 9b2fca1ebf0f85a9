"""Randomness of one's own: torch's generator is shared by all threads, so what another cell draws
would change a training."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["Dropout", "drawing_from", "initialised_from"]

_own = threading.local()


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """In this thread every `Dropout` draws from `generator` (on the device of its input), not from
    torch's global one."""
    before = getattr(_own, "generator", None)
    _own.generator = generator
    try:
        yield
    finally:
        _own.generator = before


class Dropout(nn.Module):
    """In training each element is zero with probability p, and otherwise divided by 1 - p; a copy
    of the input in evaluation. As `torch.nn.Dropout`, but see `drawing_from`. Source: Srivastava et
    al. 2014."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout must be from 0 to below 1, not {p}")
        self.p = p

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape → the same shape."""
        if not self.training or self.p == 0:
            return x
        generator = getattr(_own, "generator", None)
        kept = torch.empty_like(x).bernoulli_(1 - self.p, generator=generator)
        return x * kept.div_(1 - self.p)


class _Initialising(TorchFunctionMode):
    """Gives every draw into a tensor the generator."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        draws = func in _DRAWS or (
            getattr(func, "__module__", "") == "torch.nn.init"
            and "generator" in inspect.signature(func).parameters
        )
        if draws and kwargs.get("generator") is None:
            kwargs["generator"] = self.generator
        return func(*args, **kwargs)


_DRAWS = {Tensor.uniform_, Tensor.normal_, Tensor.bernoulli_, Tensor.exponential_}


def initialised_from(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """`build()`, whose weights are a function of the seed alone; torch's global generator is
    neither read nor changed."""
    with _Initialising(torch.Generator().manual_seed(seed)):
        return build()
