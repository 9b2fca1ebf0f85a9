"""Linear layers as plain functions, by the kernel that is fastest for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["linear_of"]

_LARGE = 2**20
"""Weights from which oneDNN pays; below it, its call costs more than it saves."""
_ROWS = 4


def linear_of(layer: Any) -> Callable[[Any], Any]:
    """The layer as a function, without the calls around `Module.forward`; a layer of another kind as it is.

    On a CPU torch multiplies float32 by MKL, which on processors of AMD is far behind oneDNN for a whole vocabulary
    (34 rows, 58,101 x 512, one core of an EPYC with AVX-512: 47 ms and 31 ms).
    """
    import torch
    from torch.nn.functional import linear

    if type(layer) is not torch.nn.Linear:
        return layer
    weight, bias = layer.weight, layer.bias
    fused = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
    if fused is None or weight.device.type != "cpu" or weight.dtype != torch.float32 or weight.numel() < _LARGE:
        return lambda hidden: linear(hidden, weight, bias)

    def large(hidden: Any) -> Any:
        if len(hidden) < _ROWS:
            return linear(hidden, weight, bias)
        return fused(hidden, weight, bias, "none", [], "")

    return large
