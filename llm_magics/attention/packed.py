"""What of a forward pass is kept, in as little memory as its maps allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["EXACT_TOKENS", "Packed", "kept", "unpacked"]

EXACT_TOKENS = 1_024
"""Queries and keys of longer texts are kept in 16 bits a number, those of shorter ones as they
are."""


@dataclass(frozen=True, eq=False)
class Packed:
    """A tensor (H, T, K) of float32 in 16 bits a number: x_htk ≈ level_htk · scale_ht, scale_ht =
    max_k |x_htk| / 32,767.

    Half of float32's memory with a tenth of float16's error: on MiniLM-L6 and 512 tokens, where
    scores reach 81, weights are off by 0.0002 at most and 1 in 9,000 by one of 255 levels.
    """

    levels: Tensor
    """(H, T, K) int16"""
    scale: Tensor
    """(H, T, 1) float32"""

    @classmethod
    def of(cls, tensor: Tensor) -> Packed:
        """The tensor, packed."""
        scale = (
            tensor.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / 32_767
        )
        return cls((tensor / scale).round_().to(torch.int16), scale)

    @property
    def shape(self) -> torch.Size:
        """(H, T, K)"""
        return self.levels.shape

    @property
    def nbytes(self) -> int:
        """The memory it takes."""
        return self.levels.nbytes + self.scale.nbytes

    def __getitem__(self, place: Any) -> Tensor:
        """Some heads and tokens, float32: packed[head, start:stop] is (stop - start, K)."""
        return self.levels[place] * self.scale[place]


def kept(tensor: Tensor) -> Tensor | Packed:
    """A tensor (H, T, K) of a pass without its gradient, and without the larger one it may be a
    part of.

    That may be a fused QKV, or a batch. More than 1,024 tokens are packed.
    """
    tensor = tensor.detach()
    if tensor.dtype == torch.float32 and tensor.shape[1] > EXACT_TOKENS:
        return Packed.of(tensor)
    is_part = tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size()
    return tensor.clone(memory_format=torch.contiguous_format) if is_part else tensor


def unpacked(tensor: Tensor | Packed) -> Tensor:
    """The whole tensor, (H, T, K)."""
    return tensor[:] if isinstance(tensor, Packed) else tensor
