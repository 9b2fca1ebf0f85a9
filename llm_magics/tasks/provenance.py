"""What every task does around a model: read the text, run sentences, keep the account."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llm_magics.display.result import Provenance, package_versions
from llm_magics.errors import InputError
from llm_magics.tasks.prompts import parse_answer

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.generate.generate import Generation
    from llm_magics.tasks.choose import Opened

__all__ = [
    "MAX_ALTERNATIVES",
    "account",
    "answers",
    "check_alternatives",
    "excess",
    "run",
]

MAX_ALTERNATIVES = 20
_SPECIAL_TOKENS = 40
OnText = Callable[[int, str, bool], None]


def check_alternatives(alternatives: object) -> None:
    """Raise InputError where `alternatives` is no number of further results."""
    if (
        isinstance(alternatives, bool)
        or not isinstance(alternatives, int)
        or not 0 <= alternatives <= MAX_ALTERNATIVES
    ):
        raise InputError(
            f"alternatives must be a whole number from 0 to {MAX_ALTERNATIVES}, not "
            f"{alternatives!r}"
        )


def run(
    model: LoadedModel,
    prompts: Sequence[str],
    *,
    on_text: OnText | None = None,
    **options: object,
) -> list[Generation]:
    """`generate` over the different prompts; equal ones are worked on once. Chat models get them as
    messages.

    Results come in the order of `prompts`, and so do the calls of `on_text(index, text so far,
    final)`.
    """
    from llm_magics.models.generate.generate import generate

    places: dict[str, list[int]] = {}
    for i, prompt in enumerate(prompts):
        places.setdefault(prompt, []).append(i)
    different = list(places)

    def spread(index: int, text: str, final: bool) -> None:
        for i in places[different[index]]:
            on_text(i, text, final)

    inputs = (
        [[{"role": "user", "content": prompt}] for prompt in different]
        if model.is_chat
        else different
    )
    outputs = generate(model, inputs, on_text=spread if on_text else None, **options)
    by_prompt = dict(zip(different, outputs, strict=True))
    return [by_prompt[prompt] for prompt in prompts]


def excess(model: LoadedModel, prompts: Sequence[str]) -> float:
    """How many times too long for the model the longest prompt is; 1.0 or less when all can be
    read."""
    from llm_magics.models.generate.generate import count_tokens

    limit = model.max_source_tokens
    if limit is None:
        return 0.0
    if model.kind == "causal":
        limit //= 2  # it reads and writes in one window
    # A token is a byte or more, but for the few special ones: most sentences need not be counted.
    doubtful = [
        prompt
        for prompt in prompts
        if len(prompt.encode("utf-8", "replace")) + _SPECIAL_TOKENS > limit
    ]
    longest = max(count_tokens(model, doubtful), default=0)
    return (longest + _SPECIAL_TOKENS * (model.kind == "causal")) / limit


def answers(model: LoadedModel, texts: Sequence[str], sources: Sequence[str]) -> list[str]:
    """The results within what `model` wrote: a chat model's wrapping is taken off."""
    if model.kind != "causal":
        return [text.strip() for text in texts]
    if not model.is_chat:  # a model without chat format goes on writing after the answer
        texts = [text.strip().split("\n\n")[0] for text in texts]
    return [parse_answer(text, source) for text, source in zip(texts, sources, strict=True)]


def account(
    opened: Opened, started: float | None, tokens: int, parameters: dict[str, object]
) -> Provenance:
    """The provenance of a result; `started` is `time.perf_counter()` of when the work began, None:
    not measured."""
    seconds = 0.0 if started is None else time.perf_counter() - started
    loaded = opened.loaded
    return Provenance(
        model=str(opened.reference),
        revision=loaded.revision,
        why=opened.why,
        parameters={**parameters, **loaded.backend.provenance(loaded)},
        seconds=seconds,
        tokens=tokens,
        versions=package_versions(*loaded.backend.packages),
    )
