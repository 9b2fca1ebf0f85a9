"""Candidates of a remote model: one request each, as many endpoints give one answer whatever number
is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_magics.errors import WrongTask
from llm_magics.models.backends.openai.model import OpenAIBackend, payload
from llm_magics.models.backends.openai.request_pool import RequestPool
from llm_magics.models.generate.stop_strings import first_stop, held_back
from llm_magics.models.generate.types import (
    INTERRUPTED,
    LENGTH,
    MODEL_END,
    STOP_STRING,
    Continuation,
    SampleRequest,
    SamplingOptions,
)

if TYPE_CHECKING:
    from llm_magics.models.backends.openai.client import Reply

__all__ = ["continue_remote"]

_SEEDS = 2**31


def continue_remote(backend: OpenAIBackend, request: SampleRequest) -> list[list[Continuation]]:
    """The candidates of every source; see `sample.continue_texts`.

    Whether a seed gives the same text again is up to the endpoint. A stop string is cut off here as
    well, where an endpoint leaves it. Raises WrongTask for a plain text, which endpoints would take
    for a message, and what asking raises.
    """
    sources, options, on_text = request.sources, request.options, request.on_text
    if any(isinstance(source, str) for source in sources):
        raise WrongTask(
            f"{backend.reference} answers in its chat format and cannot go on with a plain text: "
            "leave raw out, or choose a model that is loaded here"
        )
    places = [
        (source, candidate) for source in range(len(sources)) for candidate in range(options.count)
    ]
    pool = RequestPool(
        backend.endpoint,
        str(backend.reference),
        [
            payload(
                backend.reference,
                sources[source],
                _settings(options, (request.seeds[source] + candidate) % _SEEDS),
            )
            for source, candidate in places
        ],
    )

    def tell(index: int, text: str, _: bool) -> None:
        if on_text is not None:
            found = first_stop(text, options.stops)
            on_text(*places[index], text[: found[0]] if found else held_back(text, options.stops))

    done = pool.follow(tell if on_text is not None else None, request.stop)
    found: list[list[Continuation]] = [[] for _ in sources]
    for index, reply in enumerate(pool.replies):
        found[places[index][0]].append(_continuation(reply, options, index in done))
    return found


def _settings(options: SamplingOptions, seed: int) -> dict[str, Any]:
    """The settings of a request; those that change nothing are left out, as some endpoints know
    few."""
    params = options.params
    given: dict[str, Any] = {
        "max_tokens": options.max_new_tokens,
        "temperature": params.temperature,
    }
    if not params.is_greedy:
        given |= {"seed": seed} | ({"top_p": params.top_p} if params.top_p < 1 else {})
        given |= {"top_k": params.top_k} if params.top_k else {}
    return given | ({"stop": list(options.stops)} if options.stops else {})


def _continuation(reply: Reply, options: SamplingOptions, is_done: bool) -> Continuation:
    text, found = reply.text, first_stop(reply.text, options.stops)
    if found or reply.stopped_by in options.stops:
        stopped_by = found[1] if found else reply.stopped_by
        return Continuation(
            text[: found[0]] if found else text, STOP_STRING, reply.n_tokens, stopped_by
        )
    finish = INTERRUPTED if not is_done else LENGTH if reply.finish == "length" else MODEL_END
    return Continuation(text, finish, reply.n_tokens)
