"""A chat model behind an OpenAI-compatible endpoint, used like a loaded one wherever
text is written.

What needs its weights (attention, the probabilities of next words) gets one clear WrongTask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_magics.errors import InputError, WrongTask, printable
from llm_magics.models.backends.base import OPENAI, TextBackend, estimate_tokens
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.backends.openai.endpoint import Endpoint
from llm_magics.models.backends.openai.request_pool import RequestPool
from llm_magics.models.generate.types import Generation
from llm_magics.models.reference import Reference

if TYPE_CHECKING:
    from llm_magics.models.generate.types import (
        Continuation,
        DecodeRequest,
        SampleRequest,
        Source,
    )

__all__ = ["OpenAIBackend", "generate_remote", "payload", "remote_model", "settings_of"]

ASSUMED_WINDOW_TOKENS = 4_096
"""What a remote model is taken to read and write at once: Ollama's default, beyond which it drops
the beginning unsaid."""
DEFAULT_NEW_TOKENS = 2_048
"""llama.cpp would go on for ever."""
_AS_THEY_ARE = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
)
"""Settings that endpoints call what we call them; all but temperature, top_p and seed are known to
some only."""


class OpenAIBackend(TextBackend):
    """A chat model at `endpoint`. It has no module and no tokenizer here, and holds no memory."""

    kind = OPENAI
    has_chat_format = True

    def __init__(self, reference: Reference, endpoint: Endpoint) -> None:
        self.reference, self.endpoint = reference, endpoint

    @property
    def module(self) -> Any:
        """Raises WrongTask."""
        raise WrongTask(
            f"{self.reference} runs at {self.endpoint.origin} and only writes text: attention, "
            "next-word probabilities and training need a model that is loaded here, such as a hub "
            "id or a folder"
        )

    def max_source_tokens(self, model: LoadedModel) -> int:
        """Tokens it is taken to read and write at once; `count_tokens` measures against it."""
        return ASSUMED_WINDOW_TOKENS

    def provenance(self, model: LoadedModel) -> dict[str, object]:
        """The address."""
        return {"endpoint": self.endpoint.origin}

    def count_tokens(self, model: LoadedModel, texts: Sequence[str]) -> list[int]:
        """An estimate: the tokenizer is at the endpoint."""
        return [estimate_tokens(printable(text)) for text in texts]

    def generate(self, model: LoadedModel, request: DecodeRequest) -> list[Generation]:
        """See `generate_remote`."""
        return generate_remote(self, request)

    def sample(self, model: LoadedModel, request: SampleRequest) -> list[list[Continuation]]:
        """See `continue_remote`."""
        from llm_magics.models.backends.openai.sample import continue_remote

        return continue_remote(self, request)


def remote_model(reference: Reference, endpoint: Endpoint) -> LoadedModel:
    """The model that `reference` names at an endpoint; nothing is asked of it."""
    return LoadedModel(
        reference=reference,
        family="openai",
        kind="causal",
        backend=OpenAIBackend(reference, endpoint),
        device=endpoint.origin,
        task="chat",
    )


def generate_remote(backend: OpenAIBackend, request: DecodeRequest) -> list[Generation]:
    """One Generation per source, `endpoint.parallel` of them at a time; see `generate.generate`.

    Greedy (temperature 0) unless the request's `extra` says otherwise; it may hold do_sample,
    temperature, top_p, top_k, min_p, seed, stop_strings (or stop) and penalties. `on_text` and
    `stop` are called in this thread. Once `stop()` is true, or the caller is interrupted, every
    connection is closed. Raises EndpointError, ModelNotFound, TooLong, InputError, WrongTask.
    """
    if request.num_beams > 1:
        raise WrongTask(
            f"{backend.reference} cannot search with {request.num_beams} beams, as endpoints have "
            "no such setting: leave out beams and alternatives, or choose a model that is loaded "
            "here"
        )
    settings = {
        **settings_of(backend.reference, request.extra),
        "max_tokens": request.max_new_tokens or DEFAULT_NEW_TOKENS,
    }
    pool = RequestPool(
        backend.endpoint,
        str(backend.reference),
        [payload(backend.reference, source, settings) for source in request.sources],
    )
    done = pool.follow(request.on_text, request.stop)
    guesses = [
        estimate_tokens("".join(message["content"] for message in _messages(source)))
        for source in request.sources
    ]
    return [
        Generation(reply.text, (), reply.n_prompt_tokens or guess, reply.n_tokens, index in done)
        for index, (reply, guess) in enumerate(zip(pool.replies, guesses, strict=True))
    ]


def payload(reference: Reference, source: Source, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request."""
    return {
        "model": reference.name,
        "messages": _messages(source),
        "stream": True,
        **settings,
    }


def _messages(source: Source) -> list[dict[str, str]]:
    messages = [{"role": "user", "content": source}] if isinstance(source, str) else source
    return [{name: printable(text) for name, text in message.items()} for message in messages]


def settings_of(reference: Reference, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a request from those of transformers' GenerationConfig; what has no
    counterpart is refused."""
    given = {name: value for name, value in extra.items() if value is not None}
    samples = given.pop(
        "do_sample", any(name in given for name in ("temperature", "top_p", "top_k", "min_p"))
    )
    stops = given.pop("stop_strings", given.pop("stop", None))
    unknown = sorted(set(given) - set(_AS_THEY_ARE))
    if unknown:
        raise InputError(
            f"{reference} takes no setting {unknown[0]!r}; a remote model takes do_sample, "
            f"stop_strings, {', '.join(_AS_THEY_ARE)}"
        )
    if not samples:
        given = {
            name: value for name, value in given.items() if name not in ("top_p", "top_k", "min_p")
        } | {"temperature": 0}
    if stops:
        given["stop"] = [stops] if isinstance(stops, str) else list(stops)
    return given
