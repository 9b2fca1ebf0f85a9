"""A chat model that reads texts: every text asked about in one batch, a long one in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_magics.tasks.provenance import answers, excess, run
from llm_magics.text.passages import Passage, passages

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["ReadText", "chat_answers"]

_PART_WORDS = (600, 300, 150, 75)


@dataclass(frozen=True)
class ReadText:
    """A text that is worked on, with its language (a code)."""

    text: str
    language: str


def chat_answers(
    model: LoadedModel,
    texts: Sequence[ReadText],
    prompt: Callable[[str], str],
    *,
    max_new_tokens: int,
    stop: Callable[[], bool] | None = None,
) -> tuple[list[list[tuple[Passage, str]]], int]:
    """((part of the text, what the model answers about it) for each part of each text, tokens
    written).

    A text that the model can read at once is one part.
    """
    parts = [_parts(model, read, prompt) for read in texts]
    prompts = [prompt(part.text) for found in parts for part in found]
    outputs = run(model, prompts, stop=stop, num_beams=1, max_new_tokens=max_new_tokens)
    written = iter(answers(model, [output.text for output in outputs], prompts))
    return [[(part, next(written)) for part in found] for found in parts], sum(
        output.n_new_tokens for output in outputs
    )


def _parts(model: LoadedModel, read: ReadText, prompt: Callable[[str], str]) -> list[Passage]:
    parts = [Passage(0, len(read.text), read.text)]
    for words in _PART_WORDS:
        if excess(model, [prompt(part.text) for part in parts]) <= 1:
            break
        parts = passages(read.text, read.language, words) or parts
    return parts  # what is still too long is refused by `generate`, which says the limit
