"""The importance of a head: what the model loses when the head is silenced.

    importance of h = s(model) − s(model without h)

s is the number of `answer`: a log-probability, so that this is the rise of the loss in nats; of a
bare encoder a cosine, so that it is the part of the embedding's direction that is lost. Below 0 the
model does better without the head. Source: Michel et al. 2019, "Are Sixteen Heads Really Better
than One?", section 3.2, arXiv 1905.10650.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from llm_magics.attention.capture import capture, silence
from llm_magics.attention.measures.answer import Answer, answer_of

__all__ = ["importance"]


@torch.no_grad()
def importance(
    model: Any, text: str, target: str | None = None, *, kind: str | None = None
) -> dict[str, Tensor]:
    """Kind → importance of each head, (layers, heads) float32; only of one kind where it is named.

    One forward pass a head. Raises AttentionError for a model whose heads cannot be silenced, or
    that cannot be asked.
    """
    answer = answer_of(model, text, target)
    with capture(model.module) as captured:
        intact = float(answer.scores()[0])
    return {
        name: torch.tensor(
            [
                [intact - _without(answer, (name, number, head)) for head in range(layer.heads)]
                for number, layer in enumerate(layers)
            ]
        )
        for name, layers in captured.items()
        if kind in (None, name)
    }


def _without(answer: Answer, head: tuple[str, int, int]) -> float:
    with silence(answer.module, [head]):
        return float(answer.scores()[0])
