"""Attention of a few queries over many keys, by the kernel that is fastest for it."""

from __future__ import annotations

from typing import Any

__all__ = ["as_bias", "attend"]


def attend(query: Any, keys: Any, values: Any, bias: Any, scale: float) -> Any:
    """softmax(scale Q Kᵀ + bias) V: query (n, H, b, K), keys and values (n, H, T, K), bias None or
    broadcast to (n, H, b, T).

    torch's fused kernel goes through the heads one by one, two tiny products each; where b is a
    beam or a few, the batched products are faster (34 sources, 60 keys, one core of an EPYC with
    AVX-512: 0.83 ms and 0.50 ms).
    """
    import torch

    if query.device.type != "cpu" or query.dtype != torch.float32:
        return torch.nn.functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=bias, scale=scale
        )
    scores = (query * scale) @ keys.transpose(2, 3)  # (n, H, b, T)
    if bias is not None:
        scores += bias
    return scores.softmax(-1) @ values


def as_bias(mask: Any, dtype: Any) -> Any:
    """A mask, True = seen, as what is added to scores; None where all is seen."""
    import torch

    if bool(mask.all()):
        return None
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)
