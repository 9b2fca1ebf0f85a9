"""Linear layers by the kernel that is fastest for them.

On a CPU torch multiplies float32 by MKL, which on processors of AMD reaches half the speed of
oneDNN, or less (one core of an EPYC with AVX-512, 512 x 512: 0.20 ms and 0.12 ms for 34 rows, 9.9
ms and 4.5 ms for 2,000; a vocabulary of 58,101 x 512: 7.3 ms and 5.0 ms for one row, 30 ms and 15
ms for 34).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

__all__ = ["faster_linear", "linear_of", "linears_of"]

_WORK = 2**20
"""Multiplications from which oneDNN pays; below it, its call costs more than it saves."""


def linear_of(layer: Any) -> Callable[[Any], Any]:
    """The layer as a function, without the calls around `Module.forward`; a layer of another kind
    as it is."""
    import torch

    from llm_magics.models.folder.precision import is_int8, vocabulary

    if is_int8(layer):
        return vocabulary(layer)
    if type(layer) is not torch.nn.Linear:
        return layer
    weight, bias = layer.weight, layer.bias
    return lambda hidden: _product(hidden, weight, bias)


def linears_of(*layers: Any) -> Callable[[Any], Sequence[Any]]:
    """Layers that read the same as one function, which returns what each of them does; those of
    int8 become one product."""
    from llm_magics.models.folder.precision import is_int8, joined

    if all(map(is_int8, layers)):
        whole, sizes = joined(*layers), [layer.out_features for layer in layers]
        return lambda hidden: whole(hidden).split(sizes, -1)
    functions = [linear_of(layer) for layer in layers]
    return lambda hidden: [function(hidden) for function in functions]


def faster_linear() -> AbstractContextManager[Any]:
    """Inside it the layers that somebody else's code calls in this thread are computed as
    `linear_of` does.

    Not where gradients are wanted. Every call of torch inside costs about a microsecond more.
    """
    return _mode()()


def _product(hidden: Any, weight: Any, bias: Any = None) -> Any:
    """hidden (…, in) @ weight (out, in)ᵀ + bias."""
    import torch

    work = hidden.numel() * weight.shape[0]
    if work < _WORK or not _onednn() or not _is_plain(hidden) or not _is_plain(weight):
        return torch.nn.functional.linear(hidden, weight, bias)
    return _onednn()(hidden, weight, bias, "none", [], "")


def _is_plain(tensor: Any) -> bool:
    import torch

    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and tensor.is_contiguous()


@cache
def _onednn() -> Any:
    """oneDNN's linear layer, None where this torch has none."""
    import torch

    return (
        getattr(torch.ops.mkldnn, "_linear_pointwise", None)
        if torch.backends.mkldnn.is_available()
        else None
    )


@cache
def _mode() -> Any:
    import torch
    from torch.overrides import TorchFunctionMode

    linear = torch.nn.functional.linear

    class FasterLinear(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func is linear and not torch.is_grad_enabled():
                return _product(*args, **(kwargs or {}))
            return func(*args, **(kwargs or {}))

    return FasterLinear
