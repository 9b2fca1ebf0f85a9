"""LoadedModel: a module in memory, its tokenizer, and everything a task needs to know about
them."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_magics.errors import LLMMagicsError
from llm_magics.models.backends.base import Backend
from llm_magics.models.catalog import find_language
from llm_magics.models.families import family_of
from llm_magics.models.reference import Reference

__all__ = ["LoadedModel", "known_languages", "languages_of_name", "tensor_bytes"]

_OPUS_NAME = re.compile(r"opus-mt(?:-tc)?(?:-(?:big|base|bible))*-([A-Za-z_+]+)-([A-Za-z_+]+)")
_NATIVE_CODE = re.compile(r"[a-z]{2,3}_[A-Z][A-Za-z]{1,3}")


@dataclass(eq=False)
class LoadedModel:
    """A model ready for use. Get one from `ModelManager.lease`, which keeps it in memory
    meanwhile."""

    reference: Reference
    """What it was loaded from."""
    family: str
    """`model_type` of transformers ("marian", "t5", "llama", ...), or "native"."""
    kind: str
    """ "seq2seq", "causal" or "encoder"."""
    backend: Backend
    """What computes it."""
    device: str = "cpu"
    """Where it is computed: a device of torch's, or the address of an endpoint."""
    dtype: str = ""
    """Number format of the weights: "float32", "bfloat16", "float16", "int8"; "": unknown."""
    n_parameters: int | None = None
    n_bytes: int = 0
    """Bytes of all weights; tables that are computed, such as positions, are not counted."""
    revision: str | None = None
    """The hub's commit, where there is one."""
    folder: Path | None = None
    source_language: str | None = None
    """The one language it reads, when it is made for one; a code of the catalogue."""
    target_language: str | None = None
    """The one language it writes, when it is made for one; a code of the catalogue."""
    languages: tuple[str, ...] = ()
    """The languages it chooses between, as the model itself calls them (M2M100, NLLB, mBART, some
    Marian)."""
    task: str = ""
    """What it was trained for: "translate", "text to text", "text generation", ..."""
    trained_tokens: int | None = None
    """How many tokens at once a native language model was trained on; None where its folder does
    not say."""
    labels: tuple[str, ...] = ()
    """The classes of a native classifier or tagger, by number; one of transformers has them in its
    configuration."""
    runs_own_code: bool = False
    """Whether code from the model's folder was allowed to run."""
    tokenizer_lock: Any = field(default_factory=threading.RLock, repr=False)
    lock: Any = field(default_factory=threading.RLock, repr=False)
    """Held while the module computes: taken by `generate`, and to be taken by whatever changes the
    module."""

    @contextlib.contextmanager
    def using_tokenizer(self) -> Iterator[Any]:
        """The tokenizer, for one thread at a time: a fast tokenizer shared by threads gives wrong
        results."""
        with self.tokenizer_lock:
            yield self.tokenizer

    @property
    def module(self) -> Any:
        """The `torch.nn.Module`, in eval mode. Raises WrongTask where the backend has none."""
        return self.backend.module

    @property
    def tokenizer(self) -> Any:
        """A tokenizer of transformers or a NativeTokenizer: use it inside `using_tokenizer()` only.
        Raises WrongTask where the backend has none."""
        return self.backend.tokenizer

    @property
    def config(self) -> Any:
        """transformers' configuration of the model; None for others."""
        return self.backend.config

    @property
    def generation_config(self) -> Any:
        """How its authors let it write, as transformers' GenerationConfig; None where there is
        none."""
        return self.backend.generation_config

    @property
    def max_source_tokens(self) -> int | None:
        """The most tokens it can read at once (for a causal model: read and write); None when there
        is no limit."""
        return self.backend.max_source_tokens(self)

    @property
    def context_tokens(self) -> int | None:
        """The most tokens that a word can be predicted from; None when there is no limit."""
        return self.backend.context_tokens(self)

    @property
    def is_chat(self) -> bool:
        """Whether it is given messages: a chat model at an endpoint, or one with a chat
        template."""
        return self.kind == "causal" and self.backend.has_chat_format


def tensor_bytes(module: Any) -> tuple[int, int]:
    """(number of parameters, bytes of everything a checkpoint would hold) of a module, tied ones
    counted once."""
    tensors = {tensor.data_ptr() or id(tensor): tensor for tensor in module.state_dict().values()}
    return sum(item.numel() for item in module.parameters()), sum(
        item.nbytes for item in tensors.values()
    )


def languages_of_name(name: str) -> tuple[str | None, str | None]:
    """(source, target) read from a name such as Helsinki-NLP/opus-mt-en-de; (None, None) when it
    names no pair."""
    match = _OPUS_NAME.fullmatch(name.rstrip("/").rpartition("/")[2])
    if not match:
        return None, None
    codes: list[str | None] = []
    for text in match.groups():
        try:
            codes.append(find_language(text) if text.islower() else None)
        except LLMMagicsError:
            codes.append(None)  # a group of languages, such as ROMANCE or mul
    return codes[0], codes[1]


def known_languages(tokenizer: Any) -> tuple[str, ...]:
    """The languages a tokenizer has codes for, as it writes them; empty for one that knows nothing
    of languages."""
    marian = getattr(tokenizer, "supported_language_codes", None)
    if marian:
        return tuple(code.strip("<>") for code in marian)
    codes = getattr(tokenizer, "lang_code_to_token", None) or getattr(
        tokenizer, "lang_code_to_id", None
    )
    if codes:
        return tuple(codes)
    special = getattr(tokenizer, "all_special_tokens", None) or ()
    return tuple(token for token in special if _NATIVE_CODE.fullmatch(token))


def task_of(family: str, kind: str, is_chat: bool) -> str:
    """What a transformers model is for, in a word or two, for the table of models."""
    if family_of(family).translates:
        return "translate"
    return {"seq2seq": "text to text", "encoder": "encode"}.get(
        kind, "chat" if is_chat else "generate text"
    )
