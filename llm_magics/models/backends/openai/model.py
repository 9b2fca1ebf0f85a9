"""RemoteModel: a chat model behind an OpenAI-compatible endpoint, used like a loaded one wherever
text is written.

What needs its weights (attention, the probabilities of next words) gets one clear WrongTask.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_magics.errors import InputError, WrongTask, printable
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.backends.openai.endpoint import Endpoint
from llm_magics.models.backends.openai.request_pool import Conversation
from llm_magics.models.reference import Reference

if TYPE_CHECKING:
    from llm_magics.models.generate.encoding import Source
    from llm_magics.models.generate.generate import Generation

__all__ = ["RemoteModel", "estimate_tokens", "generate_remote", "payload", "settings_of"]

ASSUMED_WINDOW_TOKENS = 4_096
"""What a remote model is taken to read and write at once: Ollama's default, beyond which it drops
the beginning unsaid."""
DEFAULT_NEW_TOKENS = 2_048
"""llama.cpp would go on for ever."""
_BYTES_PER_TOKEN = (
    3  # of UTF-8: a little fewer than an English token has, about one Chinese character
)
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


class RemoteModel(LoadedModel):
    """A chat model at `endpoint`. It has no module and no tokenizer here, and holds no memory."""

    def __init__(self, reference: Reference, endpoint: Endpoint) -> None:
        self.reference, self.endpoint = reference, endpoint
        self.family, self.kind, self.task = "openai", "causal", "chat"
        self.device, self.dtype, self.n_parameters, self.n_bytes = endpoint.origin, "", None, 0
        self.revision = self.folder = self.source_language = self.target_language = None
        self.languages: tuple[str, ...] = ()
        self.runs_own_code = False
        self.tokenizer_lock, self.lock = threading.RLock(), threading.RLock()

    def __repr__(self) -> str:
        return f"RemoteModel({self.reference} at {self.endpoint.origin})"

    @property
    def is_remote(self) -> bool:
        """True."""
        return True

    @property
    def engine(self) -> str:
        """None here."""
        return ""

    @property
    def is_chat(self) -> bool:
        """True: it is given messages."""
        return True

    @property
    def max_source_tokens(self) -> int:
        """Tokens it is taken to read and write at once; `estimate_tokens` measures against it."""
        return ASSUMED_WINDOW_TOKENS

    @property
    def context_tokens(self) -> int:
        """The same: nothing more is known."""
        return ASSUMED_WINDOW_TOKENS

    @property
    def module(self) -> Any:
        """Raises WrongTask."""
        raise WrongTask(
            f"{self.reference} runs at {self.endpoint.origin} and only writes text: attention, "
            "next-word "
            "probabilities and training need a model that is loaded here, such as a hub id or a "
            "folder"
        )

    @property
    def tokenizer(self) -> Any:
        """Raises WrongTask."""
        return self.module

    @contextlib.contextmanager
    def using_tokenizer(self) -> Iterator[Any]:
        """Raises WrongTask."""
        yield self.module


def estimate_tokens(sources: Sequence[Source]) -> list[int]:
    """About how many tokens each source has; the tokenizer is at the endpoint."""
    return [
        -(
            -sum(
                len(message["content"].encode("utf-8", "replace")) for message in _messages(source)
            )
            // _BYTES_PER_TOKEN
        )
        for source in sources
    ]


def generate_remote(
    model: RemoteModel,
    sources: Sequence[Source],
    *,
    max_new_tokens: int | None = None,
    num_beams: int = 1,
    extra: Mapping[str, Any] | None = None,
    on_text: Callable[[int, str, bool], None] | None = None,
    stop: Callable[[], bool] | None = None,
    **_: object,
) -> list[Generation]:
    """One Generation per source, `endpoint.parallel` of them at a time; see `generation.generate`
    for the arguments.

    Greedy (temperature 0) unless `extra` says otherwise; it may hold do_sample, temperature, top_p,
    top_k, min_p, seed, stop_strings (or stop) and penalties. `on_text` and `stop` are called in
    this thread. Once `stop()` is true, or the caller is interrupted, every connection is closed.
    Raises EndpointError, ModelNotFound, TooLong, InputError, WrongTask.
    """
    from llm_magics.models.generate.generate import Generation

    if num_beams > 1:
        raise WrongTask(
            f"{model.reference} cannot search with {num_beams} beams, as endpoints have no such "
            "setting: leave out "
            "beams and alternatives, or choose a model that is loaded here"
        )
    settings = {
        **settings_of(model, extra or {}),
        "max_tokens": max_new_tokens or DEFAULT_NEW_TOKENS,
    }
    talk = Conversation(
        model.endpoint,
        str(model.reference),
        [payload(model, source, settings) for source in sources],
    )
    done = talk.follow(on_text, stop)
    guesses = estimate_tokens(sources)
    return [
        Generation(reply.text, (), reply.n_prompt_tokens or guess, reply.n_tokens, index in done)
        for index, (reply, guess) in enumerate(zip(talk.replies, guesses, strict=True))
    ]


def payload(model: RemoteModel, source: Source, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request."""
    return {
        "model": model.reference.name,
        "messages": _messages(source),
        "stream": True,
        **settings,
    }


def _messages(source: Source) -> list[dict[str, str]]:
    messages = [{"role": "user", "content": source}] if isinstance(source, str) else source
    return [{name: printable(text) for name, text in message.items()} for message in messages]


def settings_of(model: RemoteModel, extra: Mapping[str, Any]) -> dict[str, Any]:
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
            f"{model.reference} takes no setting {unknown[0]!r}; a remote model takes do_sample, "
            "stop_strings, "
            f"{', '.join(_AS_THEY_ARE)}"
        )
    if not samples:
        given = {
            name: value for name, value in given.items() if name not in ("top_p", "top_k", "min_p")
        } | {"temperature": 0}
    if stops:
        given["stop"] = [stops] if isinstance(stops, str) else list(stops)
    return given
