"""transformers models: one attention function between the model and the one it uses, for whoever is
tapping it.

The function is registered with transformers' AttentionInterface. It calls what the model would have
called, so the output is what it was, and tells the taps of this thread.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from llm_magics.attention.layer import Layer
from llm_magics.attention.masks import Outside, split
from llm_magics.attention.packed import kept
from llm_magics.attention.recorder import Recorder
from llm_magics.errors import AttentionError

__all__ = ["Tap", "follows_interface", "tapped"]

_PREFIX = "llm_magics_"
_taps = threading.local()  # .active: the taps of this thread, outermost first
_lock = threading.Lock()
_borrowed: dict[int, tuple[int, list[tuple[nn.Module, str]]]] = {}
"""id of a module → how many contexts tap it, and what to restore when the last one ends."""


@dataclass(eq=False)
class Tap:
    """What one context wants to know, or to change, of the attention of one model."""

    kinds: dict[int, str]
    """id of an attention module → its kind."""
    recorder: Recorder | None = None
    silenced: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    """(kind, layer) → heads whose output is set to zero."""
    seen: dict[str, int] = field(default_factory=dict)
    """Kind → layers that ran in this pass."""
    awaited: tuple[str, int, Tensor] | None = None
    """Kind, layer and output of the call whose projection comes next."""

    def seat(self, module: nn.Module) -> tuple[str, int] | None:
        """(kind, layer) of the call that is made now; None for a module of another model.

        The layer is the number of the call in the pass: a module may be shared by several layers.
        """
        kind = self.kinds.get(id(module))
        if kind is None:
            return None
        self.seen[kind] = self.seen.get(kind, 0) + 1
        return kind, self.seen[kind] - 1


def follows_interface(module: nn.Module) -> bool:
    """Whether a transformers model asks the AttentionInterface for its attention function."""
    return bool(module._can_set_attn_implementation())


@contextmanager
def tapped(module: nn.Module, tap: Tap) -> Iterator[None]:
    """While the block runs, forward passes of this thread through `module` go through the tap."""
    if not hasattr(_taps, "active"):
        _taps.active = []
    with ExitStack() as stack:
        _borrow(module)
        stack.callback(_give_back, module)
        for part in _models(module):
            kinds = {tap.kinds[id(inner)] for inner in part.modules() if id(inner) in tap.kinds}
            stack.callback(part.register_forward_pre_hook(partial(_begin_pass, tap, kinds)).remove)
        if tap.recorder is not None and tap.recorder.values:
            for part in module.modules():
                if isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D":
                    stack.callback(
                        part.register_forward_pre_hook(partial(_find_projection, tap)).remove
                    )
        _taps.active.append(tap)
        stack.callback(_taps.active.remove, tap)
        yield


def _begin_pass(tap: Tap, kinds: set[str], *_: Any) -> None:
    for kind in kinds:
        tap.seen[kind] = 0


def _models(module: nn.Module) -> list[nn.Module]:
    """The parts that have an attention implementation of their own, outermost first."""
    return [part for part in module.modules() if hasattr(part, "set_attn_implementation")]


def _borrow(module: nn.Module) -> None:
    with _lock:
        count, before = _borrowed.get(id(module), (0, []))
        if not count:
            before = [(part, part.config._attn_implementation) for part in _models(module)]
            if any(name.startswith(_PREFIX) for _, name in before):
                before = []  # a larger model that this one is a part of is tapped already
        _borrowed[id(module)] = (count + 1, before)
        for part, name in before if not count else []:
            part.set_attn_implementation(_registered("eager" if name == "eager" else "sdpa"))


def _give_back(module: nn.Module) -> None:
    with _lock:
        count, before = _borrowed.pop(id(module))
        if count > 1:
            _borrowed[id(module)] = (count - 1, before)
            return
        for part, name in before:
            part.set_attn_implementation(name)


def _registered(implementation: str) -> str:
    """The name under which transformers knows our function around this implementation."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask, sdpa_mask

    name = _PREFIX + implementation
    AttentionInterface.register(name, partial(_attend, implementation))
    AttentionMaskInterface.register(name, sdpa_mask if implementation == "sdpa" else eager_mask)
    return name


def _attend(
    implementation: str,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **settings: Any,
) -> tuple[Tensor, Tensor | None]:
    """transformers' attention function: query (B, H, T, K), key (B, Hkv, S, K) → output (B, T, H,
    Kv), weights or None."""
    output, weights = _own_function(implementation, module)(
        module, query, key, value, attention_mask, **settings
    )
    for tap in getattr(_taps, "active", ()):
        seat = tap.seat(module)
        if seat is None:
            continue
        if tap.recorder is not None:
            tap.recorder.add(
                *seat,
                _layer(
                    implementation,
                    tap.recorder,
                    module,
                    query,
                    key,
                    value,
                    attention_mask,
                    settings,
                ),
            )
        if heads := tap.silenced.get(seat):
            output = silent(output, heads, *seat)
        if tap.recorder is not None:
            tap.awaited = (*seat, output)
    return output, weights


def silent(output: Tensor, heads: list[int], kind: str, layer: int) -> Tensor:
    """Output (B, T, H, Kv) with these heads at zero; AttentionError for a head that is not
    there."""
    if max(heads) >= output.shape[2] or min(heads) < 0:
        raise AttentionError(
            f"layer {layer} of the {kind} attention has heads 0 to {output.shape[2] - 1}; "
            f"asked to silence {', '.join(map(str, heads))}"
        )
    return output.index_fill(2, torch.tensor(heads, device=output.device), 0.0)


def _own_function(
    implementation: str, module: nn.Module
) -> Callable[..., tuple[Tensor, Tensor | None]]:
    """The attention function that the model uses when nobody taps it."""
    from transformers import AttentionInterface

    if implementation != "eager":
        return AttentionInterface()[implementation]
    for cls in type(module).__mro__:  # every modelling file has an eager function of its own
        function = getattr(sys.modules.get(cls.__module__), "eager_attention_forward", None)
        if function is not None:
            return function
    raise AttentionError(
        f"{type(module).__name__} has no eager attention that could be called; load the model with "
        "attn_implementation='sdpa'"
    )


def _layer(
    implementation: str,
    recorder: Recorder,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    settings: dict[str, Any],
) -> Layer:
    row, queries, keys = recorder.batch_row, query.shape[-2], key.shape[-2]
    hidden, bias = None, settings.get("position_bias")
    bias = None if bias is None else bias[row if len(bias) > 1 else 0].detach()  # (H or 1, T, S)
    if mask is not None:
        hidden, added = recorder.masks.once(split, mask[row if len(mask) > 1 else 0, ..., :keys])
        bias = bias if added is None else added if bias is None else bias + added
    elif implementation == "sdpa" and queries > 1 and _is_causal(module, settings):
        hidden = Outside.causal(
            queries, queries
        )  # keys behind the last query's are the empty part of a cache
    scaling = settings.get("scaling")
    return Layer(
        kept(query[row]),
        kept(key[row]),
        1 / math.sqrt(query.shape[-1]) if scaling is None else scaling,
        hidden,
        bias,
        settings.get("softcap"),
        settings.get("s_aux"),
        value[row].detach().clone() if recorder.values else None,
    )


def _is_causal(module: nn.Module, settings: dict[str, Any]) -> bool:
    given = settings.get("is_causal")
    return getattr(module, "is_causal", True) if given is None else given


def _find_projection(tap: Tap, linear: nn.Module, args: tuple[Any, ...]) -> None:
    """The layer that is given the heads' output as it stands is the output projection, whatever its
    name."""
    if tap.awaited is None or not args or not isinstance(args[0], Tensor):
        return
    kind, index, output = tap.awaited  # (B, T, H, Kv)
    if args[0].data_ptr() != output.data_ptr() or args[0].numel() != output.numel():
        return
    weight = (
        linear.weight.detach() if type(linear).__name__ == "Conv1D" else linear.weight.detach().T
    )  # (H·Kv, D)
    tap.recorder.projected(kind, index, weight.unflatten(0, output.shape[2:]))  # (H, Kv, D)
    tap.awaited = None
