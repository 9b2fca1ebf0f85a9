"""The forward and the backward pass of one step, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from llm_magics.training.run.events import LayersSeen

__all__ = ["LayerWatch"]


class LayerWatch:
    """Statistics of a model's layers in the steps that are watched; costs nothing in the others.

    A layer is everything whose name agrees up to the first number: "encoder.layers.0", "generator".
    """

    def __init__(self, model: nn.Module) -> None:
        self.parameters: dict[str, list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                self.parameters.setdefault(_layer_of(name), []).append(parameter)
        modules = dict(model.named_modules())
        self._watched = [(layer, modules[layer]) for layer in self.parameters if layer in modules]
        # A module may show what a layer puts out where the layer itself is not called.
        self._watched += [
            (module.stands_for, module)
            for module in modules.values()
            if getattr(module, "stands_for", None) in self.parameters
        ]
        self._seen: dict[str, tuple[Tensor, Tensor]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note every layer's output during a forward pass."""
        self._seen.clear()
        handles = [
            module.register_forward_hook(self._hook(layer)) for layer, module in self._watched
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, layer: str):
        @torch.no_grad()
        def note(module: nn.Module, inputs: object, output: object) -> None:
            while isinstance(output, (tuple, list)) and output:
                output = output[0]
            if isinstance(output, Tensor) and output.is_floating_point() and output.numel() > 1:
                deviation, mean = torch.std_mean(output.float())
                self._seen[layer] = mean, deviation

        return note

    def seen(self, step: int) -> LayersSeen:
        """What was noted, with the norms of the gradients as they are now."""
        norms = [
            torch.stack(
                [p.grad.float().norm() for p in parameters if p.grad is not None]
                or [torch.zeros(())]
            ).norm()
            for parameters in self.parameters.values()
        ]
        layers = tuple(self.parameters)
        pairs = [self._seen.get(layer) for layer in layers]
        return LayersSeen(
            step,
            layers,
            tuple(pair and pair[0].item() for pair in pairs),
            tuple(pair and pair[1].item() for pair in pairs),
            tuple(norm.item() for norm in norms),
        )


def _layer_of(name: str) -> str:
    """ "encoder.layers.0.self_attention.query.weight" → "encoder.layers.0"; without a number all
    but the last part."""
    found = re.match(r"(.*?\.\d+)(\.|$)", name)
    return found.group(1) if found else name.rpartition(".")[0].split(".")[0] or name
