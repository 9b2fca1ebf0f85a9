"""Weights of 8 bits: linear layers that keep int8 weights and read float32 activations, on the CPU.

A weight row w of one output is kept as round(w / s), s = max|w| / 127; the activations of a call
are quantised to 8 bits by their own range while it is computed ("dynamic quantisation", by torch's
kernels: FBGEMM or oneDNN on x86, QNNPACK on ARM). Norms, embeddings and attention stay float32. The
range is that of the whole call, so what a text becomes may differ in the last digits with the texts
beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from llm_magics.errors import InputError

__all__ = [
    "INT8",
    "is_int8",
    "joined",
    "load_itemsize",
    "packed_size",
    "quantise",
    "vocabulary",
]

INT8 = "int8"
_SMALLEST = 2**12
"""Layers with fewer weights stay as they are: the calls around the kernel cost more than it
saves."""
_JOINED: WeakKeyDictionary[Any, tuple[list[Any], Callable[[Any], Any]]] = WeakKeyDictionary()
"""First layer → (packed weights of all, the layers as one function)."""


_WIDE: WeakKeyDictionary[Any, tuple[Any, Any]] = WeakKeyDictionary()
"""Layer of a vocabulary → (its packed weights, the same packed for oneDNN)."""
_VOCABULARY, _ROWS = 2**14, 16
"""Outputs from which a layer is one of a whole vocabulary, and rows from which oneDNN pays for
it."""


def load_itemsize(dtype: Any) -> int:
    """Bytes a weight takes at most while a model is loaded in this `torch.dtype`: int8 is made from
    float32."""
    import torch

    return 4 if dtype == torch.int8 else dtype.itemsize


def quantise(module: Any) -> None:
    """Puts int8 layers in the place of the linear layers of a module on the CPU, one by one.

    Raises InputError where torch has no such kernels.
    """
    import torch

    if torch.backends.quantized.engine == "none":
        raise InputError("this build of torch has no int8 kernels: use --precision fp32 or bf16")
    layer_class, projection = _layer_class(), _projection()
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            kind = type(child)
            if kind not in (torch.nn.Linear, projection) or child.weight.numel() < _SMALLEST:
                continue
            weight = child.weight.detach()
            setattr(
                parent,
                name,
                layer_class(weight if kind is torch.nn.Linear else weight.t(), child.bias),
            )


def is_int8(layer: Any) -> bool:
    """Whether it is a layer that `quantise` made."""
    return type(layer).__name__ == "Int8Linear" and hasattr(layer, "packed")


def joined(*layers: Any) -> Callable[[Any], Any]:
    """int8 layers that read the same, as one function whose outputs stand one behind the other, bit
    by bit the same.

    The input is quantised once. The joined weights are made at the first call and kept as long as
    the first layer.
    """
    import torch

    packed = [layer.packed for layer in layers]
    known = _JOINED.get(layers[0])
    if known is not None and all(one is other for one, other in zip(known[0], packed, strict=True)):
        return known[1]
    weights, biases = zip(*map(torch.ops.quantized.linear_unpack, packed), strict=True)
    scales = torch.cat([weight.q_per_channel_scales() for weight in weights])
    zeros = torch.zeros(len(scales), dtype=torch.long)
    values = torch.cat([weight.int_repr() for weight in weights])
    biases = [
        torch.zeros(len(weight)) if bias is None else bias
        for weight, bias in zip(weights, biases, strict=True)
    ]
    whole = torch.ops.quantized.linear_prepack(
        torch._make_per_channel_quantized_tensor(values, scales, zeros, 0),
        torch.cat(biases),
    )
    reduced = layers[0].reduced

    def function(hidden: Any) -> Any:
        return torch.ops.quantized.linear_dynamic(hidden, whole, reduced)

    _JOINED[layers[0]] = (packed, function)
    return function


def vocabulary(layer: Any) -> Callable[[Any], Any]:
    """The int8 layer of a whole vocabulary as a function, by oneDNN where there are many rows.

    One core of an EPYC with VNNI, 58,101 x 512: 10.0 ms by FBGEMM and 7.0 by oneDNN for 96 rows,
    2.5 and 2.2 for 16, but 0.74 and 0.93 for one. The weights are kept twice from the first call on
    that has many rows.
    """
    import torch

    if (
        layer.out_features < _VOCABULARY
        or "onednn" not in torch.backends.quantized.supported_engines
        or layer.reduced
    ):
        return layer

    def function(hidden: Any) -> Any:
        return (
            layer(hidden)
            if len(hidden) < _ROWS
            else torch.ops.quantized.linear_dynamic(hidden, _wide(layer), False)
        )

    return function


def _wide(layer: Any) -> Any:
    import torch

    known = _WIDE.get(layer)
    if known is not None and known[0] is layer.packed:
        return known[1]
    default, torch.backends.quantized.engine = torch.backends.quantized.engine, "onednn"
    try:
        packed = torch.ops.quantized.linear_prepack(
            *torch.ops.quantized.linear_unpack(layer.packed)
        )
    finally:
        torch.backends.quantized.engine = default
    _WIDE[layer] = (layer.packed, packed)
    return packed


def packed_size(module: Any) -> tuple[int, int]:
    """(weights, bytes) that int8 layers hold outside of parameters and buffers; (0, 0) where there
    are none."""
    layers = [part for part in module.modules() if is_int8(part)]
    counts = [part.in_features * part.out_features for part in layers]
    return sum(counts), sum(counts) + sum(8 * part.out_features for part in layers)


def _projection() -> Any:
    """GPT-2's linear layer, whose weight is the transposed one."""
    from transformers.pytorch_utils import Conv1D

    return Conv1D


@cache
def _layer_class() -> Any:
    import torch

    class Int8Linear(torch.nn.Module):
        """y = W x + b with W (out, in) in int8, one scale per row; x and y float32, (..., in) and
        (..., out)."""

        def __init__(self, weight: Any, bias: Any) -> None:
            super().__init__()
            self.out_features, self.in_features = weight.shape
            scales = weight.abs().amax(1).clamp(min=1e-12).double() / 127
            zeros = torch.zeros(self.out_features, dtype=torch.long)
            with (
                warnings.catch_warnings()
            ):  # of a future release; linear_prepack takes nothing else in this one
                warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
                rounded = torch.quantize_per_channel(
                    weight.contiguous(), scales, zeros, 0, torch.qint8
                )
            bias = None if bias is None else bias.detach().clone()
            self.packed = torch.ops.quantized.linear_prepack(rounded, bias)
            self.reduced = not _adds_in_32_bits()

        def forward(self, hidden: Any) -> Any:
            return torch.ops.quantized.linear_dynamic(hidden, self.packed, self.reduced)

        def weight(self) -> Any:
            """The weights, as int8 with their scales: a method, as in torch's own quantised layers,
            which T5 reckons with."""
            return torch.ops.quantized.linear_unpack(self.packed)[0]

        def extra_repr(self) -> str:
            return f"in_features={self.in_features}, out_features={self.out_features}"

    return Int8Linear


@cache
def _adds_in_32_bits() -> bool:
    """Whether products of 8 bits are summed without overflow (VNNI); without it activations get 7
    bits."""
    import torch

    known = getattr(torch.cpu, "_is_vnni_supported", None) or getattr(
        torch.cpu, "_is_avx512_vnni_supported", None
    )
    return bool(known and known())
