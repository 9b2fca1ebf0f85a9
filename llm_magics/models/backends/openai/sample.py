"""Candidates of a remote model: one request each, as many endpoints give one answer whatever number
is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from llm_magics.errors import WrongTask
from llm_magics.models.backends.openai.model import RemoteModel, payload
from llm_magics.models.backends.openai.request_pool import Conversation
from llm_magics.models.generate.stop_strings import first_stop, held_back

if TYPE_CHECKING:
    from llm_magics.models.backends.openai.client import Reply
    from llm_magics.models.generate.encoding import Source
    from llm_magics.models.generate.sample import Continuation, Wanted

__all__ = ["continue_remote"]

_SEEDS = 2**31


def continue_remote(
    model: RemoteModel,
    sources: Sequence[Source],
    wanted: Wanted,
    *,
    seeds: Sequence[int],
    on_text: Callable[[int, int, str], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[list[Continuation]]:
    """The candidates of every source; see `continuation.continue_texts`.

    Whether a seed gives the same text again is up to the endpoint. A stop string is cut off here as
    well, where an endpoint leaves it. Raises WrongTask for a plain text, which endpoints would take
    for a message, and what asking raises.
    """
    if any(isinstance(source, str) for source in sources):
        raise WrongTask(
            f"{model.reference} answers in its chat format and cannot go on with a plain text: "
            "leave raw out, or "
            "choose a model that is loaded here"
        )
    places = [
        (source, candidate) for source in range(len(sources)) for candidate in range(wanted.count)
    ]
    talk = Conversation(
        model.endpoint,
        str(model.reference),
        [
            payload(model, sources[source], _settings(wanted, (seeds[source] + candidate) % _SEEDS))
            for source, candidate in places
        ],
    )

    def tell(index: int, text: str, _: bool) -> None:
        found = first_stop(text, wanted.stops)
        on_text(*places[index], text[: found[0]] if found else held_back(text, wanted.stops))

    done = talk.follow(tell if on_text is not None else None, stop)
    found: list[list[Continuation]] = [[] for _ in sources]
    for index, reply in enumerate(talk.replies):
        found[places[index][0]].append(_continuation(reply, wanted, index in done))
    return found


def _settings(wanted: Wanted, seed: int) -> dict[str, Any]:
    """The settings of a request; those that change nothing are left out, as some endpoints know
    few."""
    drawing = wanted.drawing
    given: dict[str, Any] = {
        "max_tokens": wanted.max_new_tokens,
        "temperature": drawing.temperature,
    }
    if not drawing.is_greedy:
        given |= {"seed": seed} | ({"top_p": drawing.top_p} if drawing.top_p < 1 else {})
        given |= {"top_k": drawing.top_k} if drawing.top_k else {}
    return given | ({"stop": list(wanted.stops)} if wanted.stops else {})


def _continuation(reply: Reply, wanted: Wanted, is_done: bool) -> Continuation:
    from llm_magics.models.generate.sample import (
        INTERRUPTED,
        LENGTH,
        MODEL_END,
        STOP_STRING,
        Continuation,
    )

    text, found = reply.text, first_stop(reply.text, wanted.stops)
    if found or reply.stopped_by in wanted.stops:
        stopped_by = found[1] if found else reply.stopped_by
        return Continuation(
            text[: found[0]] if found else text, STOP_STRING, reply.n_tokens, stopped_by
        )
    finish = INTERRUPTED if not is_done else LENGTH if reply.finish == "length" else MODEL_END
    return Continuation(text, finish, reply.n_tokens)
