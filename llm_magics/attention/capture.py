"""Capture: run a model as it is, and note what every attention layer was given. Silence: take heads
out of it.

Our own models are observed through `MultiHeadAttention.observer`; transformers models through an
attention function between them and their own (`interface`); those that ask for no attention
function, through the maps they can return.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from llm_magics.attention.interface import Tap, follows_interface, silent, tapped
from llm_magics.attention.layer import Layer, MapLayer
from llm_magics.attention.masks import Outside, compact, dense
from llm_magics.attention.packed import kept
from llm_magics.attention.recorder import Captured, Recorder
from llm_magics.errors import AttentionError
from llm_magics.nn.additive_attention import AdditiveAttention
from llm_magics.nn.attention import AttentionCall, MultiHeadAttention

__all__ = ["Captured", "Head", "capture", "silence"]

Head = tuple[str, int, int]
"""(kind, layer, head); the kinds are "encoder", "decoder" and "cross", or "self" where there is one
stack."""

_RETURNED = {
    "attentions": "self",
    "encoder_attentions": "encoder",
    "decoder_attentions": "decoder",
    "cross_attentions": "cross",
}


@contextmanager
def capture(
    module: nn.Module, *, silenced: Collection[Head] = (), values: bool = False, batch_row: int = 0
) -> Iterator[Captured]:
    """When the block ends, the dictionary holds the attention layers of the last forward pass of
    `module` in it.

    Steps of a generation with a cache are put together to one pass. The model's outputs are what
    they would be without; its attention implementation is restored however the block ends.
    silenced: heads to take out, see `silence`. values: keep values and output projections too.
    batch_row: the row of the batch that is kept.

    Raises AttentionError where a model does not let its attention be seen.
    """
    captured: Captured = {}
    with ExitStack() as stack:
        stack.enter_context(silence(module, silenced))
        stack.enter_context(_observed(module, Recorder(batch_row, values), captured))
        yield captured
    if not captured:
        raise AttentionError(
            f"{type(module).__name__} computed no attention that could be seen; run it inside "
            "the block, in this thread, on a model that computes attention when it is called"
        )


@contextmanager
def silence(module: nn.Module, heads: Collection[Head]) -> Iterator[None]:
    """While the block runs, the output of these heads is zero: as if their rows of W_O were.

    Raises AttentionError for a head that the model does not have, and for models that do not let
    heads be taken out.
    """
    wanted: dict[tuple[str, int], list[int]] = {}
    for kind, layer, head in heads:
        wanted.setdefault((kind, layer), []).append(head)
    if not wanted:
        yield
        return
    tap = Tap(_kinds(module), silenced=wanted)
    own = _own_attention(module)
    if not own and (
        not hasattr(module, "set_attn_implementation") or not follows_interface(module)
    ):
        raise AttentionError(
            f"{type(module).__name__} computes attention in its own way, so its heads cannot be "
            "silenced; models that follow transformers' AttentionInterface can be changed so"
        )
    with _own_silenced(own, wanted) if own else tapped(module, tap):
        yield
    if (
        not own
        and tap.seen
        and (
            missing := [
                f"{kind} {layer}" for kind, layer in wanted if layer >= tap.seen.get(kind, 0)
            ]
        )
    ):
        there = ", ".join(f"{kind} layers 0 to {number - 1}" for kind, number in tap.seen.items())
        raise AttentionError(
            f"there is no layer {', '.join(missing)} to silence; the model has {there}"
        )


def kind_of(name: str) -> str:
    """What kind of attention a module of this dotted name computes, in an encoder-decoder model."""
    parts = name.lower()
    if any(mark in parts for mark in ("cross", "encoder_attn", "encdec")):
        return "cross"
    if parts.startswith("decoder") or ".decoder" in parts:
        return "decoder"
    return "encoder"


def _kinds(module: nn.Module) -> dict[int, str]:
    is_pair = bool(getattr(getattr(module, "config", None), "is_encoder_decoder", False))
    return {id(part): kind_of(name) if is_pair else "self" for name, part in module.named_modules()}


def _observed(
    module: nn.Module, recorder: Recorder, captured: Captured
) -> AbstractContextManager[None]:
    """The way this model can be looked at."""
    if own := _own_attention(module):
        return _observe_own(own, recorder, captured)
    additive = [part for part in module.modules() if isinstance(part, AdditiveAttention)]
    if additive:
        return _observe_additive(additive[0], captured)
    if type(module).__module__.startswith("llm_magics.nn."):
        raise AttentionError(
            f"{type(module).__name__} computes no attention, so there is none to see; of the "
            "models trained here transformers do, and recurrent translators with model.attention "
            "= 'additive'"
        )
    if not hasattr(module, "config") or not hasattr(module, "set_attn_implementation"):
        raise AttentionError(
            f"{type(module).__name__} is neither one of our models nor a transformers model"
        )
    if follows_interface(module):
        return _observe_interface(module, recorder, captured)
    return _observe_returned(module, recorder, captured)


Seat = tuple[str, int]


def _own_attention(module: nn.Module) -> dict[Seat, MultiHeadAttention]:
    """(kind, layer) → attention of one of our own models, in the order of the layers."""
    own = [
        (kind_of(name), part)
        for name, part in module.named_modules()
        if isinstance(part, MultiHeadAttention)
    ]
    is_pair = any(kind == "cross" for kind, _ in own)
    seats: dict[Seat, MultiHeadAttention] = {}
    for kind, part in own:
        kind = kind if is_pair else "self"
        seats[kind, sum(known == kind for known, _ in seats)] = part
    return seats


@contextmanager
def _observe_own(
    own: dict[Seat, MultiHeadAttention], recorder: Recorder, captured: Captured
) -> Iterator[None]:
    def observer(seat: Seat, part: MultiHeadAttention) -> Callable[[AttentionCall], None]:
        def observe(call: AttentionCall) -> None:
            recorder.add(*seat, _own_layer(call, recorder))
            if recorder.values:
                recorder.projected(
                    *seat, part.output.weight.detach().T.unflatten(0, (part.n_head, part.d_v))
                )

        return observe

    before = {seat: part.observer for seat, part in own.items()}
    for seat, part in own.items():
        part.observer = observer(seat, part)
    try:
        yield
        captured.update(recorder.layers())
    finally:
        for seat, part in own.items():
            part.observer = before[seat]


def _own_layer(call: AttentionCall, recorder: Recorder) -> Layer:
    row, queries, keys = recorder.batch_row, call.query.shape[-2], call.key.shape[-2]
    hidden: Outside | Tensor | None = None
    if call.causal:
        hidden = Outside.causal(queries, keys, call.query.device)
    if call.hidden is not None:
        mask = call.hidden[row if len(call.hidden) > 1 else 0].expand(
            -1, queries, keys
        )  # (H or 1, T, S)
        hidden = compact(
            ~mask if hidden is None else ~mask & ~dense(hidden, queries, keys, mask.device)
        )
    return Layer(
        kept(call.query[row]),
        kept(call.key[row]),
        call.scaling,
        hidden,
        value=call.value[row].detach().clone() if recorder.values else None,
    )


@contextmanager
def _own_silenced(
    own: dict[Seat, MultiHeadAttention], wanted: dict[Seat, list[int]]
) -> Iterator[None]:
    """The output projection is given the heads' outputs side by side: there some become zero."""
    with ExitStack() as stack:
        for (kind, layer), heads in wanted.items():
            if (kind, layer) not in own:
                raise AttentionError(
                    f"there is no layer {kind} {layer} to silence; the model has "
                    f"{', '.join(f'{kind} {layer}' for kind, layer in own)}"
                )
            part = own[kind, layer]

            def cut(
                _: nn.Module,
                given: tuple[Tensor],
                part: MultiHeadAttention = part,
                heads: list[int] = heads,
                seat: Seat = (kind, layer),
            ) -> tuple[Tensor]:
                return (
                    silent(given[0].unflatten(-1, (part.n_head, part.d_v)), heads, *seat).flatten(
                        -2
                    ),
                )

            stack.callback(part.output.register_forward_pre_hook(cut).remove)
        yield


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
            captured["cross"] = [MapLayer(torch.stack(steps)[None])]  # (1, T, S)


@contextmanager
def _observe_interface(module: nn.Module, recorder: Recorder, captured: Captured) -> Iterator[None]:
    with tapped(module, Tap(_kinds(module), recorder)):
        yield
    captured.update(recorder.layers())


@contextmanager
def _observe_returned(module: nn.Module, recorder: Recorder, captured: Captured) -> Iterator[None]:
    """The model is asked for its maps behind its caller's back; they are kept in half precision,
    and not passed on."""
    if recorder.values:
        raise AttentionError(
            f"{type(module).__name__} computes attention in its own way and shows its maps only, "
            "no values"
        )
    asked: list[bool] = []

    def ask(
        _: nn.Module, args: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        asked.append(bool(given.get("output_attentions")))
        return args, {**given, "output_attentions": True}

    def take(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        maps = {field: getattr(output, field, None) for field in _RETURNED}
        for field, kind in _RETURNED.items():
            if maps[field]:
                captured[kind] = [
                    MapLayer(layer[recorder.batch_row].detach().half()) for layer in maps[field]
                ]
        if asked.pop() or not any(maps.values()):
            return output
        return type(output)(
            **{field: value for field, value in output.items() if field not in _RETURNED}
        )

    with ExitStack() as stack:
        stack.callback(module.register_forward_pre_hook(ask, with_kwargs=True).remove)
        stack.callback(module.register_forward_hook(take).remove)
        yield
