"""From the calls of attention layers to one layer each: of several passes the last, steps with a
cache in one piece."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from llm_magics.attention.layer import Layer
from llm_magics.attention.masks import Memo, Outside, compact, dense
from llm_magics.attention.packed import kept, unpacked

__all__ = ["Captured", "Recorder"]

Captured = dict[str, list[Layer]]
"""Kind → layers, in the order in which they ran."""


@dataclass
class Recorder:
    """Collects the calls of every (kind, layer).

    A call with more keys than queries goes on from the call before (cached keys); any other begins
    anew. Cross-attention has all its keys from the start, so it does what the self-attention before
    it did.
    """

    batch_row: int = 0
    """The row of the batch that is kept."""
    values: bool = False
    """Whether values and output projections are kept."""
    masks: Memo = field(default_factory=Memo)
    _steps: dict[tuple[str, int], list[Layer]] = field(default_factory=dict)
    _goes_on: bool = False

    def add(self, kind: str, index: int, layer: Layer) -> None:
        """One call of layer `index` of this kind."""
        before = self._steps.setdefault((kind, index), [])
        if kind != "cross":
            layer = _without_empty_keys(layer)
        queries, keys = layer.size
        if kind != "cross":
            self._goes_on = keys > queries and bool(before)
        if not self._goes_on:
            before.clear()
        before.append(layer)

    def projected(self, kind: str, index: int, project: Tensor) -> None:
        """The output projection W_O (H, Kv, D) of a layer whose call was added."""
        steps = self._steps[kind, index]
        steps[-1] = replace(steps[-1], project=project)

    def layers(self) -> Captured:
        """What was seen, every layer in one piece."""
        captured: Captured = {}
        for kind, index in sorted(self._steps, key=lambda seat: seat[1]):
            captured.setdefault(kind, []).append(
                _joined(self._steps[kind, index], is_cross=kind == "cross")
            )
        return captured


def _without_empty_keys(layer: Layer) -> Layer:
    """A cache of a fixed size has keys behind the newest, which nobody sees yet."""
    queries, keys = layer.size
    if (
        keys <= queries
        or not isinstance(layer.hidden, Outside)
        or (end := int(layer.hidden.last.max())) >= keys
    ):
        return layer
    return replace(
        layer,
        key=kept(unpacked(layer.key)[:, :end]),
        value=None if layer.value is None else layer.value[:, :end],
        bias=None if layer.bias is None else layer.bias[..., :end],
    )


def _joined(steps: list[Layer], *, is_cross: bool) -> Layer:
    """The calls of one layer, each going on from the one before, as if they had been one call."""
    if len(steps) == 1:
        return steps[0]
    last = steps[-1]
    fresh = [
        steps[0].size[1],
        *(0 if is_cross else step.size[0] for step in steps[1:]),
    ]  # new keys of each step
    query = torch.cat([unpacked(step.query) for step in steps], 1)  # (H, T, K)
    key = _newest([unpacked(step.key) for step in steps], fresh)  # (Hkv, S, K)
    value = None if last.value is None else _newest([step.value for step in steps], fresh)
    size, hidden, bias, known = key.shape[1], [], [], 0
    for step, new in zip(steps, fresh, strict=True):
        known += new
        offset = known - step.size[1]  # a sliding cache has dropped this many keys
        mask = dense(step.hidden, *step.size, device=key.device)
        hidden.append(_widened(mask if mask.dim() == 3 else mask[None], size, offset, True))
        if step.bias is not None:
            bias.append(_widened(step.bias.expand(-1, step.size[0], -1), size, offset, 0.0))
    heads = max(mask.shape[0] for mask in hidden)
    mask = compact(~torch.cat([mask.expand(heads, -1, -1) for mask in hidden], 1))  # (H or 1, T, S)
    return Layer(
        kept(query),
        kept(key),
        last.scaling,
        mask,
        torch.cat(bias, 1) if bias else None,
        last.softcap,
        last.sinks,
        value,
        last.project,
    )


def _newest(parts: list[Tensor], fresh: list[int]) -> Tensor:
    return torch.cat(
        [part[:, part.shape[1] - new :] for part, new in zip(parts, fresh, strict=True)], 1
    )


def _widened(part: Tensor, size: int, offset: int, fill: float) -> Tensor:
    """(H, t, s) placed at `offset` in (H, t, size)."""
    return torch.nn.functional.pad(part, (offset, size - offset - part.shape[-1]), value=fill)
