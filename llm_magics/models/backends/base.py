"""Backend: what computes a model. One class for each, and packages may bring their own.

    hf            a model of transformers, by torch
    native        a model of `llm_magics.nn`, by torch
    ctranslate2   an encoder-decoder of transformers, converted
    openai        a chat model at an endpoint
    extractive    no model at all: sentences are picked

A package adds one by an entry point of the group `llm_magics.backends`; see `backends.plugins`.
This module is light: no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from llm_magics.errors import WrongTask

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.generate.types import (
        Continuation,
        DecodeRequest,
        Generation,
        SampleRequest,
    )

__all__ = [
    "CTRANSLATE2",
    "EXTRACTIVE",
    "HF",
    "NATIVE",
    "OPENAI",
    "Backend",
    "Capabilities",
    "TextBackend",
    "estimate_tokens",
]

HF, NATIVE, CTRANSLATE2, OPENAI, EXTRACTIVE = "hf", "native", "ctranslate2", "openai", "extractive"
_BYTES_PER_TOKEN = (
    3  # of UTF-8: a little fewer than an English token has, about one Chinese character
)


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do beyond writing text."""

    module: bool = False
    """There is a `torch.nn.Module` here: attention, next words, classes, training."""
    limit_per_source: bool = False
    """`max_new_tokens` may differ from source to source within one call."""


class Backend(Protocol):
    """What computes a LoadedModel. Methods get the model itself, for its tokenizer, locks and
    name."""

    kind: str
    """What sort it is: "hf", "native", "ctranslate2", "openai", "extractive", or a package's."""
    capabilities: Capabilities
    packages: tuple[str, ...]
    """Python packages whose versions belong to the provenance of a result."""

    @property
    def module(self) -> Any:
        """The `torch.nn.Module`, in eval mode. Raises WrongTask where there is none."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer. Raises WrongTask where there is none."""

    @property
    def has_chat_format(self) -> bool:
        """Whether a causal model is given messages in place of plain text."""

    @property
    def config(self) -> Any:
        """transformers' configuration of the model, else None."""

    @property
    def generation_config(self) -> Any:
        """How its authors let it write, as transformers' GenerationConfig, else None."""

    def max_source_tokens(self, model: LoadedModel) -> int | None:
        """The most tokens it reads at once (a causal model: reads and writes), None: no limit."""

    def context_tokens(self, model: LoadedModel) -> int | None:
        """The most tokens that a word can be predicted from, None: no limit."""

    def provenance(self, model: LoadedModel) -> dict[str, object]:
        """What a result says of how it was computed: device and number format, or endpoint."""

    def count_tokens(self, model: LoadedModel, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, marks included, a word for the target language not."""

    def generate(self, model: LoadedModel, request: DecodeRequest) -> list[Generation]:
        """The one best text of every source, in their order. Raises as `generate.generate`."""

    def sample(self, model: LoadedModel, request: SampleRequest) -> list[list[Continuation]]:
        """The candidates of every source, in their order. Raises as `sample.continue_texts`."""


class TextBackend:
    """Base of a backend without a module: text in, text out. Override `generate`, and what else
    there is."""

    kind: str = "text"
    capabilities: Capabilities = Capabilities()
    packages: tuple[str, ...] = ()

    @property
    def module(self) -> Any:
        """Raises WrongTask."""
        raise WrongTask(
            f"a model of the backend {self.kind} only writes text: attention, next-word "
            "probabilities and training need a model that is loaded here, such as a hub id or a "
            "folder"
        )

    @property
    def tokenizer(self) -> Any:
        """Raises WrongTask."""
        return self.module

    @property
    def has_chat_format(self) -> bool:
        """False."""
        return False

    @property
    def config(self) -> Any:
        """None."""
        return None

    @property
    def generation_config(self) -> Any:
        """None."""
        return None

    def max_source_tokens(self, model: LoadedModel) -> int | None:
        """None: no limit is known."""
        return None

    def context_tokens(self, model: LoadedModel) -> int | None:
        """As `max_source_tokens`."""
        return self.max_source_tokens(model)

    def provenance(self, model: LoadedModel) -> dict[str, object]:
        """The kind of the backend."""
        return {"backend": self.kind}

    def count_tokens(self, model: LoadedModel, texts: Sequence[str]) -> list[int]:
        """An estimate from the bytes of each text."""
        return [estimate_tokens(text) for text in texts]

    def generate(self, model: LoadedModel, request: DecodeRequest) -> list[Generation]:
        """Raises WrongTask."""
        raise WrongTask(f"{model.reference} does not write texts")

    def sample(self, model: LoadedModel, request: SampleRequest) -> list[list[Continuation]]:
        """Raises WrongTask."""
        raise WrongTask(
            f"{model.reference} does not go on with a text; choose a causal model, such as a hub id"
        )


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, where no tokenizer is at hand."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)
