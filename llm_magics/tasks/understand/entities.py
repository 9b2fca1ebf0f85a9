"""The names in a text: by a model that labels tokens, or by a chat model whose names are looked up
in the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llm_magics.models.read.token_labels import label_spans
from llm_magics.tasks.chat_reading import ReadText, chat_answers
from llm_magics.tasks.understand.annotations import Entity
from llm_magics.tasks.understand.prompts import entities_prompt, locate, parse_entities

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["asked_entities", "labelled_entities", "placed"]


def labelled_entities(model: LoadedModel, texts: Sequence[ReadText]) -> list[list[Entity]]:
    """The entities of each text, in its order."""
    labelled = label_spans(model, [read.text for read in texts])
    return [
        [
            Entity(
                start=span.start,
                end=span.end,
                text=read.text[span.start : span.end],
                kind=span.label,
                probability=span.score,
            )
            for span in spans
        ]
        for read, spans in zip(texts, labelled, strict=True)
    ]


def asked_entities(
    model: LoadedModel,
    texts: Sequence[ReadText],
    stop: Callable[[], bool] | None = None,
) -> tuple[list[list[Entity]], int, int]:
    """(the entities of each text, how many names the model gave that are not in it, tokens
    written)."""
    answered, tokens = chat_answers(model, texts, entities_prompt, max_new_tokens=512, stop=stop)
    found, missing = [], 0
    for parts in answered:
        entities: list[Entity] = []
        for part, answer in parts:
            here, lost = placed(part.text, parse_entities(answer))
            entities += [
                Entity(
                    start=part.start + one.start,
                    end=part.start + one.end,
                    text=one.text,
                    kind=one.kind,
                )
                for one in here
            ]
            missing += lost
        once = {
            (one.start, one.end): one for one in entities
        }  # neighbouring parts share a sentence
        found.append(sorted(once.values(), key=lambda one: one.start))
    return found, missing, tokens


def placed(text: str, mentions: Sequence[tuple[str, str]]) -> tuple[list[Entity], int]:
    """(every place of every name, longer names first where they overlap; how many names are not in
    the text)."""
    taken: list[Entity] = []
    missing = 0
    for mention, kind in sorted(mentions, key=lambda one: -len(one[0])):
        places = locate(text, mention)
        missing += not places
        taken += [
            Entity(start=start, end=end, text=text[start:end], kind=kind)
            for start, end in places
            if all(end <= other.start or start >= other.end for other in taken)
        ]
    return sorted(taken, key=lambda one: one.start), missing
