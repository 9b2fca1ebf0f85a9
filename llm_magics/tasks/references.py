"""Results scored against a reference that the user gives, and against each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_magics.errors import InputError
from llm_magics.metrics import score
from llm_magics.text.segments import segment

if TYPE_CHECKING:
    from llm_magics.tasks.results import Summary, Translation

__all__ = ["agreement", "summary_scores", "translation_scores"]


def translation_scores(result: Translation, reference: str) -> dict[str, float]:
    """BLEU and chrF by sacrebleu, 0 to 100: sentence by sentence where both have as many, else over
    the whole text."""
    written = [pair.target for pair in result.sentences]
    expected = [
        sentence.text for sentence in segment(_checked(reference), result.target_language).sentences
    ]
    if len(written) != len(expected):
        written, expected = [" ".join(written)], [" ".join(expected)]
    return {
        name: score(name, written, expected, result.target_language) for name in ("bleu", "chrf")
    }


def summary_scores(result: Summary, reference: str) -> dict[str, float]:
    """F1 of ROUGE-1, -2 and -L by rouge-score, and chrF, 0 to 100, over the whole text."""
    texts = [" ".join(result.sentences)], [" ".join(_checked(reference).split())]
    return {
        name: score(name, *texts, result.language)
        for name in ("rouge1", "rouge2", "rougeL", "chrf")
    }


def agreement(one: Sequence[str], other: Sequence[str]) -> float:
    """How alike two results are, whichever is first: the mean of chrF in both directions, 0 to
    100."""
    return (score("chrf", one, other) + score("chrf", other, one)) / 2


def _checked(reference: object) -> str:
    if not isinstance(reference, str) or not reference.strip():
        raise InputError(f"a reference is a text to compare with, not {reference!r:.40}")
    return reference
