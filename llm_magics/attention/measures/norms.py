"""Value-weighted norms: how much of a key's vector a head really adds, where the weight alone
misleads.

A head's output at i, after the output projection, is Σ_j α_ij f(x_j) with

    f(x_j) = v_j W_O   (D,)     v_j (Kv,) the value at j, W_O (Kv, D) the head's part of the output projection

so ‖α_ij f(x_j)‖ = α_ij ‖f(x_j)‖ is what j contributes to i. A sink takes much weight with a short
f. Source: Kobayashi et al. 2020, "Attention is Not Only a Weight", section 3, arXiv 2004.10102.
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_magics.attention.layer import Layer, MapLayer
from llm_magics.errors import AttentionError

if TYPE_CHECKING:
    from llm_magics.attention.store import AttentionStore

__all__ = ["norm_lens", "value_norms"]


def value_norms(layer: Layer | MapLayer) -> Tensor:
    """‖f(x_j)‖ of every head and key: (H, S) float32. AttentionError where values were not
    captured."""
    if isinstance(layer, MapLayer):
        raise AttentionError("this model shows its weights only, not the values that they weigh")
    if layer.value is None:
        raise AttentionError("the values were not captured; explore the text with values=True")
    if layer.project is None:
        raise AttentionError(
            "the layer's output projection was not found, so the norm of what a head adds is not "
            "known"
        )
    return torch.stack(
        [
            (layer.value[layer.key_head(head)].float() @ layer.project[head].float()).norm(dim=-1)
            for head in range(layer.heads)
        ]
    )


def norm_lens(store: AttentionStore) -> AttentionStore:
    """The store seen by norm: every weight is α_ij ‖f(x_j)‖ / Σ_k α_ik ‖f(x_k)‖, so rows sum to 1
    like any map's.

    A map by norm is softmax(scores + ln ‖f(x_j)‖): the same queries and keys with one more bias a
    key, and as small. Needs a store captured with `values=True`; AttentionError without.
    """
    return replace(
        store,
        title=f"{store.title}, by norm",
        panels=[
            replace(panel, layers=[_by_norm(layer) for layer in panel.layers])
            for panel in store.panels
        ],
    )


def _by_norm(layer: Layer | MapLayer) -> Layer:
    norms = value_norms(layer)  # (H, S)
    bias = (
        norms.clamp(min=torch.finfo(norms.dtype).tiny).log()[:, None].expand(-1, layer.size[0], -1)
    )  # (H, T, S), no copies
    if layer.bias is not None:
        bias = layer.bias.float() + bias
    return replace(layer, bias=bias, sinks=None)  # a sink has no value, so it has no norm
