"""The logit lens: what a causal model would say if it stopped after each layer.

    p_l,t = softmax(W_U · norm(h_l,t))

h_l,t (D,) is the residual stream at position t after l layers, h_0 the embedding; norm is the
model's final norm and W_U (V, D) its unembedding. After the last layer that is what the model says.
Source: nostalgebraist 2020, "interpreting GPT: the logit lens" (LessWrong).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from llm_magics.attention.tokens import check_length, readable, source_ids, source_tokens
from llm_magics.errors import AttentionError
from llm_magics.nn.language_model import CausalLanguageModel

__all__ = ["LogitLens", "logit_lens"]


@dataclass(frozen=True)
class LogitLens:
    """The most probable next tokens after every layer, at every position."""

    tokens: list[str]
    """The T tokens that were read."""
    ids: Tensor
    """(L + 1, T, k) the most probable next tokens, after the embedding, the first layer, … the
    last."""
    probabilities: Tensor
    """(L + 1, T, k) float32"""
    guesses: list[list[list[str]]]
    """The same tokens, written."""


@torch.no_grad()
def logit_lens(model: Any, text: str, count: int = 5) -> LogitLens:
    """The `count` most probable next tokens after every layer of a causal model.

    Raises AttentionError for a model that is no causal one, or whose last layer would not give its
    own logits.
    """
    if model.kind != "causal":
        raise AttentionError(
            "the logit lens reads the next token off every layer, and a model of kind "
            f"{model.kind!r} predicts none; give a causal model"
        )
    ids = source_ids(model, text)
    check_length(model, ids)
    inputs = torch.tensor([ids], device=next(model.module.parameters()).device)
    with _watched(model.module) as seen:
        output = model.module(inputs)
    logits = (output if isinstance(output, Tensor) else output.logits)[0]  # (T, V)
    layers = [_unembedded(seen, states[0]) for states in seen.states]  # (T, V) each
    if not torch.allclose(layers[-1].float(), logits.float(), atol=1e-3, rtol=1e-3):
        raise AttentionError(
            f"{type(model.module).__name__} does more between its last layer and its logits than "
            "a norm and one matrix, so earlier layers cannot be read the same way"
        )
    tops = [layer.float().softmax(-1).topk(min(count, layer.shape[-1])) for layer in layers]
    best = torch.stack([top.indices for top in tops]).cpu()  # (L + 1, T, k)
    written = [
        [[_written(model, [token])[0] for token in row] for row in layer] for layer in best.tolist()
    ]
    return LogitLens(
        _written(model, ids), best, torch.stack([top.values for top in tops]).cpu(), written
    )


def _written(model: Any, ids: list[int]) -> list[str]:
    return readable(model.tokenizer, source_tokens(model, ids))


@dataclass
class _Seen:
    """What passed in one forward pass."""

    states: list[Tensor]
    """h_0 … h_L, (B, T, D) each."""
    norm: nn.Module
    head: nn.Module


def _unembedded(seen: _Seen, states: Tensor) -> Tensor:
    return seen.head(seen.norm(states))


@contextmanager
def _watched(module: nn.Module) -> Iterator[_Seen]:
    """Notes what goes through the layers, and which module made what the unembedding was given: the
    final norm."""
    layers, head = _layers_and_head(module)
    seen, outside = (
        _Seen([], nn.Identity(), head),
        [],
    )  # outside: (module, output) of what stands beside the layers

    def before_first(_: nn.Module, args: tuple, kwargs: dict) -> None:
        seen.states.append(args[0] if args else kwargs["hidden_states"])

    def after_layer(_: nn.Module, __: tuple, output: Any) -> None:
        seen.states.append(output if isinstance(output, Tensor) else output[0])

    def before_head(_: nn.Module, args: tuple) -> None:
        made_it = [part for part, output in outside if output.data_ptr() == args[0].data_ptr()]
        seen.norm = made_it[-1] if made_it else seen.norm

    within = {id(part) for layer in layers for part in layer.modules()}
    with ExitStack() as stack:

        def hook(handle: Any) -> None:
            stack.callback(handle.remove)

        hook(layers[0].register_forward_pre_hook(before_first, with_kwargs=True))
        for layer in layers:
            hook(layer.register_forward_hook(after_layer))
        for part in module.modules():
            if part is not head and id(part) not in within and not list(part.children()):
                hook(part.register_forward_hook(_noting(outside)))
        hook(head.register_forward_pre_hook(before_head))
        yield seen


def _noting(outputs: list[tuple[nn.Module, Tensor]]) -> Callable[..., None]:
    def note(part: nn.Module, _: tuple, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.append((part, output))

    return note


def _layers_and_head(module: nn.Module) -> tuple[nn.ModuleList, nn.Module]:
    """The stack of layers and the unembedding, of one of our own models or of transformers'."""
    if isinstance(module, CausalLanguageModel):
        return module.stack.layers, module.generator
    count = getattr(getattr(module, "config", None), "num_hidden_layers", None)
    stacks = [
        part for part in module.modules() if isinstance(part, nn.ModuleList) and len(part) == count
    ]
    head = module.get_output_embeddings() if hasattr(module, "get_output_embeddings") else None
    if not stacks or head is None:
        raise AttentionError(
            f"{type(module).__name__} shows no stack of layers and no unembedding to read them "
            "with; the logit lens works on transformers' causal language models and on our own "
            "Transformer"
        )
    return stacks[0], head
