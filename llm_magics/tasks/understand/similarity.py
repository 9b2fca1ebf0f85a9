"""How alike the lines of a text are: the cosines of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_magics.models.read.embed import embed
from llm_magics.tasks.chat_reading import ReadText
from llm_magics.tasks.understand.annotations import Similarity
from llm_magics.text.passages import sentence_passages

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["MOST_LINES", "compared", "lines_of"]

MOST_LINES = 200


def lines_of(read: ReadText) -> list[str]:
    """What is compared: the lines that are not empty, or the sentences of a text of one line; at
    most 200."""
    lines = [line.strip() for line in read.text.splitlines() if line.strip()]
    if len(lines) < 2:
        lines = [one.text.strip() for one in sentence_passages(read.text, read.language)]
    return lines[:MOST_LINES]


def compared(model: LoadedModel, texts: Sequence[ReadText]) -> tuple[list[Similarity | None], int]:
    """(similarity of the lines of each text, None for a text of one; how many lines were too long
    to be read whole)."""
    lines = [lines_of(read) for read in texts]
    embedded = embed(model, [line for found in lines for line in found if len(found) > 1])
    results: list[Similarity | None] = []
    at = 0
    for found in lines:
        if len(found) < 2:
            results.append(None)
            continue
        vectors = embedded.vectors[at : at + len(found)]
        at += len(found)
        cosines = (vectors @ vectors.T).clamp(-1, 1).tolist()
        results.append(Similarity(lines=tuple(found), matrix=tuple(map(tuple, cosines))))
    return results, len(embedded.shortened)
