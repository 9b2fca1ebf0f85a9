"""Capture: run a model as it is, and note what every attention layer was given.

Our own models are observed through `MultiHeadAttention.observer`; transformers models through an attention function
registered with its AttentionInterface, which computes the output with SDPA as before.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from llm_magics.attention.store import Layer
from llm_magics.errors import AttentionError
from llm_magics.nn.additive_attention import AdditiveAttention
from llm_magics.nn.attention import AttentionCall, MultiHeadAttention, causal_mask

__all__ = ["capture"]

Captured = dict[str, list[Layer]]
"""Kind → layers, for the first row of the batch."""

_NAME = "llm_magics_capture"
_active = threading.local()  # .sink: called with (module, Layer) while this thread captures


@contextmanager
def capture(module: nn.Module) -> Iterator[Captured]:
    """While the block runs, forward passes of `module` fill the dictionary, in the order of the layers.

    The model's outputs are what they would be without; its attention implementation is restored however the block
    ends. Batch size 1 is expected: only the first row is kept. Raises AttentionError where a model does not let
    its attention be seen.
    """
    captured: Captured = {}
    own = [(name, part) for name, part in module.named_modules() if isinstance(part, MultiHeadAttention)]
    additive = [part for part in module.modules() if isinstance(part, AdditiveAttention)]
    with (_observe_own(own, captured) if own else _observe_additive(additive[0], captured) if additive else
          _observe_transformers(module, captured)):
        yield captured
    if not captured:
        raise AttentionError(f"{type(module).__name__} computes attention in its own way and showed none; "
                             "models that follow transformers' AttentionInterface can be looked into")


def kind_of(name: str) -> str:
    """What kind of attention a module of this dotted name computes, in an encoder-decoder model."""
    parts = name.lower()
    if any(mark in parts for mark in ("cross", "encoder_attn", "encdec")):
        return "cross"
    if parts.startswith("decoder") or ".decoder" in parts:
        return "decoder"
    return "encoder"


@contextmanager
def _observe_own(own: list[tuple[str, MultiHeadAttention]], captured: Captured) -> Iterator[None]:
    def observer(kind: str) -> Callable[[AttentionCall], None]:
        return lambda call: captured.setdefault(kind, []).append(_own_layer(call))

    kinds = {name: kind_of(name) for name, _ in own}
    for name, part in own:
        part.observer = observer(kinds[name] if "cross" in kinds.values() else "self")
    try:
        yield
    finally:
        for _, part in own:
            part.observer = None


@contextmanager
def _observe_additive(attention: AdditiveAttention, captured: Captured) -> Iterator[None]:
    """One call a decoder step: the steps' weights become one cross-attention map."""
    steps: list[Tensor] = []
    attention.observer = lambda weights: steps.append(weights[0].detach())
    try:
        yield
    finally:
        attention.observer = None
        if steps:
            weights = torch.stack(steps)[None]  # (1, T, S)
            # There are no queries and keys to keep; softmax(log w · I) = w gives the store what it computes with.
            keys = torch.eye(weights.shape[-1], device=weights.device)[None]
            captured["cross"] = [Layer(weights.clamp(min=1e-30).log(), keys, 1.0)]


def _own_layer(call: AttentionCall) -> Layer:
    hidden = None if call.hidden is None else call.hidden[0, 0]  # (T, S) or (1, S)
    if call.causal:
        future = causal_mask(call.query.shape[-2], call.query.device)
        hidden = future if hidden is None else future | hidden
    return Layer(call.query[0].detach(), call.key[0].detach(), call.scaling, hidden)


@contextmanager
def _observe_transformers(module: nn.Module, captured: Captured) -> Iterator[None]:
    config = getattr(module, "config", None)
    if type(module).__module__.startswith("llm_magics.nn."):
        raise AttentionError(f"{type(module).__name__} computes no attention, so there is none to see; of the models "
                             "trained here transformers do, and recurrent translators with model.attention = 'additive'")
    if config is None or not hasattr(module, "set_attn_implementation"):
        raise AttentionError(f"{type(module).__name__} is neither one of our models nor a transformers model")
    _register()
    encoder_decoder = bool(getattr(config, "is_encoder_decoder", False))
    kinds = {id(part): kind_of(name) if encoder_decoder else "self" for name, part in module.named_modules()}
    before = config._attn_implementation
    _active.sink = lambda part, layer: captured.setdefault(kinds.get(id(part), "self"), []).append(layer)
    try:
        module.set_attn_implementation(_NAME)
        yield
    except ValueError as error:
        raise AttentionError(f"{type(module).__name__} does not take another attention function: {error}") from None
    finally:
        _active.sink = None
        module.set_attn_implementation(before)


def _register() -> None:
    """Tell transformers about our attention function (again and again does no harm)."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)


def _attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
            scaling: float | None = None, dropout: float = 0.0, **settings: Any) -> tuple[Tensor, None]:
    """transformers' attention function: notes query (B, H, T, K), key (B, Hkv, S, K), bias and mask, then SDPA."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if settings.get("softcap") is not None or settings.get("s_aux") is not None:
        raise AttentionError(f"{type(module).__name__} caps its scores or has attention sinks, which SDPA cannot "
                             "compute; its maps are not supported yet")
    sink = getattr(_active, "sink", None)
    if sink is not None:
        sink(module, _layer(module, query, key, attention_mask, scaling, settings))
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **settings)


def _layer(module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float | None,
           settings: dict[str, Any]) -> Layer:
    hidden, bias = None, settings.get("position_bias")
    bias = None if bias is None else bias[0].detach()  # (H or 1, T, S)
    is_causal = settings.get("is_causal")
    if mask is not None:
        first = mask[0, ..., : key.shape[-2]]  # (1 or H, T, S)
        if mask.dtype == torch.bool:
            hidden = ~first  # SDPA's True means "may attend"
        else:
            bias = first if bias is None else bias + first
    elif (getattr(module, "is_causal", False) if is_causal is None else is_causal) and query.shape[-2] > 1:
        size, keys = query.shape[-2], key.shape[-2]
        hidden = torch.ones(size, keys, dtype=torch.bool, device=query.device).triu(keys - size + 1)
    factor = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling
    return Layer(query[0].detach(), key[0].detach(), factor, hidden, bias)
