"""The measures of a model's heads for which the model is run again."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from llm_magics.attention.measures.ablation import importance
from llm_magics.attention.measures.about import ModelMeasure
from llm_magics.attention.measures.induction import induction_scores

__all__ = ["MODEL_MEASURES"]


def _induction(model: Any, text: str, target: str | None) -> dict[str, Tensor]:
    """The same for every text: the sequences are random."""
    return {"self": induction_scores(model)}


MODEL_MEASURES: dict[str, ModelMeasure] = {
    about.name: about
    for about in (
        ModelMeasure(
            name="importance",
            title="Importance",
            formula="s(model) − s(model without the head)",
            source="Michel et al. 2019, arXiv 1905.10650",
            unit="nats, or cosine",
            low=None,
            high=None,
            compute=importance,
        ),
        ModelMeasure(
            name="induction-on-random",
            title="Induction on random tokens, given twice",
            formula=(
                "mean over i of the second copy of α_ij, j just behind the token's place in the "
                "first"
            ),
            source="Olsson et al. 2022, arXiv 2209.11895",
            unit="share",
            compute=_induction,
        ),
    )
}
"""Name → measure of a model's heads."""
