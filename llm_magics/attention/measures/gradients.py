"""Which input tokens the answer depends on, by gradients: gradient × input and integrated
gradients.

    gradient × input        g_t = Σ_d x_td · ∂s/∂x_td
    integrated gradients    IG_t = Σ_d (x_td − x'_td) · ∫₀¹ ∂s/∂x_td (x' + a (x − x')) da,   x' = 0

x (T, D) are the embeddings of the tokens, s the number of `answer`. Integrated gradients are
complete: Σ_t IG_t = s(x) − s(x'). Sources: Simonyan et al. 2013, arXiv 1312.6034; Shrikumar et al.
2016, arXiv 1605.01713; Sundararajan et al. 2017, arXiv 1703.01365.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from llm_magics.attention.measures.answer import Answer, answer_of
from llm_magics.errors import AttentionError
from llm_magics.extras import install_hint

__all__ = ["Attribution", "gradient_times_input", "integrated_gradients"]

_PASSES_AT_ONCE = 16


@dataclass(frozen=True)
class Attribution:
    """What each token adds to the answer."""

    tokens: list[str]
    scores: Tensor
    """(T,) float32, in the unit of the answer; below 0 a token speaks against it."""
    answer: str
    """What the number is that was attributed."""
    value: float
    """That number."""
    gap: float | None = None
    """Of integrated gradients: how far their sum is from s(x) − s(0); more steps make it
    smaller."""


def gradient_times_input(model: Any, text: str, target: str | None = None) -> Attribution:
    """Gradient × input of every token of `text`; of an encoder-decoder model the source's. Raises
    AttentionError."""
    answer, embedding = _asked(model, text, target)
    with torch.enable_grad():
        x = _embedded(answer, embedding).requires_grad_()  # (1, T, D)
        value = _score(answer, embedding, x)
        (slope,) = torch.autograd.grad(value.sum(), x)
    scores = (x.detach() * slope)[0].sum(-1)  # (T,)
    return Attribution(
        answer.tokens, scores.float().cpu(), answer.meaning, float(value.detach()[0])
    )


def integrated_gradients(
    model: Any, text: str, target: str | None = None, *, steps: int = 50
) -> Attribution:
    """Integrated gradients of every token of `text`, from embeddings of 0, with `captum`.

    Costs `steps` forward and backward passes. Raises AttentionError without captum, and as
    `gradient_times_input`.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise AttentionError(
            "integrated gradients are computed by captum, which is not installed: "
            f"{install_hint('attribution')}, or use gradient × input"
        ) from None
    answer, embedding = _asked(model, text, target)
    x = _embedded(answer, embedding)  # (1, T, D)
    method = IntegratedGradients(lambda points: _score(answer, embedding, points))
    made, gap = method.attribute(
        x,
        baselines=torch.zeros_like(x),
        n_steps=steps,
        internal_batch_size=_PASSES_AT_ONCE,
        return_convergence_delta=True,
    )
    with torch.no_grad():
        value = float(_score(answer, embedding, x)[0])
    return Attribution(
        answer.tokens,
        made[0].sum(-1).detach().float().cpu(),
        answer.meaning,
        value,
        abs(float(gap[0])),
    )


def _asked(model: Any, text: str, target: str | None) -> tuple[Answer, nn.Module]:
    answer = answer_of(model, text, target, next_token=True)
    if answer.unit == "cosine" and target is None:
        raise AttentionError(
            "a bare encoder answers nothing by itself; give a second text as the target, and "
            "what each token adds to their likeness can be told"
        )
    return answer, _embedding(model.module)


def _embedding(module: nn.Module) -> nn.Module:
    """The table that turns the text's ids into vectors."""
    for name in ("source_embedding", "embedding"):
        if isinstance(getattr(module, name, None), nn.Embedding):
            return getattr(module, name)
    if hasattr(module, "get_input_embeddings"):
        reader = (
            module.get_encoder() if getattr(module.config, "is_encoder_decoder", False) else module
        )
        return reader.get_input_embeddings()
    raise AttentionError(
        f"{type(module).__name__} has no embedding of its tokens that gradients could be taken of"
    )


@torch.no_grad()
def _embedded(answer: Answer, embedding: nn.Module) -> Tensor:
    """The embeddings of the text's tokens, (1, T, D), as the table gives them."""
    return embedding(next(iter(answer.inputs.values()))).detach().clone()


def _score(answer: Answer, embedding: nn.Module, x: Tensor) -> Tensor:
    """The answer when the text's embeddings are x (B, T, D): (B,)."""
    waiting = [
        x
    ]  # a table that decoder and encoder share is called again; only the first call is the text's
    handle = embedding.register_forward_hook(lambda *_: waiting.pop() if waiting else None)
    try:
        return answer.scores(len(x))
    finally:
        handle.remove()
