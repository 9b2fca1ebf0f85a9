"""Which objective fine-tunes a model of transformers for which task."""

from __future__ import annotations

from llm_magics.training.objectives.base import Objective
from llm_magics.training.objectives.finetune.answer import FineTuneAnswer
from llm_magics.training.objectives.finetune.classify import FineTuneClassify, FineTuneLabelTokens
from llm_magics.training.objectives.finetune.language import (
    FineTuneLanguageModel,
    FineTuneMaskedLanguageModel,
)
from llm_magics.training.objectives.finetune.seq2seq import FineTuneSummarize, FineTuneTranslate

__all__ = ["FINE_TUNED"]

FINE_TUNED: dict[str, type[Objective]] = {
    "translate": FineTuneTranslate,
    "summarize": FineTuneSummarize,
    "language-model": FineTuneLanguageModel,
    "masked-language-model": FineTuneMaskedLanguageModel,
    "classify": FineTuneClassify,
    "label-tokens": FineTuneLabelTokens,
    "answer": FineTuneAnswer,
}
"""Task of a recipe → its objective."""
