"""A model that CTranslate2 computes: used like any other wherever text is written, and in less
memory.

What needs a module (attention, the probabilities of next words, training) gets one clear WrongTask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_magics.errors import WrongTask
from llm_magics.models.backends.base import CTRANSLATE2, Capabilities, TextBackend
from llm_magics.models.backends.ctranslate2.convert import convert
from llm_magics.models.backends.ctranslate2.decode import decode_batch
from llm_magics.models.backends.ctranslate2.store import (
    Conversion,
    find_conversion,
    keep_conversion,
)
from llm_magics.models.backends.engine import COMPUTE_TYPES
from llm_magics.models.backends.hf.backend import positions_of
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.folder.inspect import FolderFacts
from llm_magics.models.folder.library_errors import boundary, is_out_of_memory
from llm_magics.models.folder.open import LOAD_LOCK, describe_transformers, identity, read_module
from llm_magics.models.generate.batches import generate_in_batches
from llm_magics.models.generate.encoding import encode_sources, forced_bos
from llm_magics.models.reference import Reference

if TYPE_CHECKING:
    import ctranslate2
    from transformers import GenerationConfig, PretrainedConfig, PreTrainedTokenizerBase

    from llm_magics.models.generate.types import (
        Continuation,
        DecodeRequest,
        Generation,
        SampleRequest,
    )

__all__ = ["CTranslate2Backend", "open_converted"]


class CTranslate2Backend(TextBackend):
    """An encoder-decoder in CTranslate2's format, with the tokenizer of transformers. It has no
    module."""

    kind = CTRANSLATE2
    capabilities = Capabilities(limit_per_source=True)
    packages = ("ctranslate2",)

    def __init__(
        self,
        translator: ctranslate2.Translator,
        tokenizer: PreTrainedTokenizerBase,
        config: PretrainedConfig,
        generation_config: GenerationConfig,
        conversion: Conversion,
    ) -> None:
        self.translator = translator
        """Its tokens are the numbers of the tokenizer's, as text."""
        self.conversion = conversion
        self._tokenizer = tokenizer
        self._config, self._generation_config = config, generation_config

    @property
    def module(self) -> Any:
        """Raises WrongTask."""
        raise WrongTask(
            "this model is computed by CTranslate2 here, which only writes text: attention, "
            "next-word probabilities and drawing at random need torch; leave the engine out"
        )

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """That of transformers."""
        return self._tokenizer

    @property
    def config(self) -> PretrainedConfig:
        """transformers' configuration of the model it was converted from."""
        return self._config

    @property
    def generation_config(self) -> GenerationConfig:
        """How its authors let it write."""
        return self._generation_config

    def max_source_tokens(self, model: LoadedModel) -> int | None:
        """As many as it has positions; None where they are relative."""
        return positions_of(model.family, self._config)

    def provenance(self, model: LoadedModel) -> dict[str, object]:
        """Device, number format and engine."""
        return {"device": model.device, "dtype": model.dtype, "engine": CTRANSLATE2}

    def count_tokens(self, model: LoadedModel, texts: Sequence[str]) -> list[int]:
        """By its tokenizer."""
        return [len(ids) for ids in encode_sources(model, texts, None, None, check_length=False)]

    def generate(self, model: LoadedModel, request: DecodeRequest) -> list[Generation]:
        """See `generate.generate`."""
        languages = request.source_language, request.target_language
        ids = encode_sources(model, request.sources, *languages)
        request = replace(request, forced_bos=forced_bos(model, request.target_language))
        return generate_in_batches(model, request, ids, partial(decode_batch, self.translator))

    def sample(self, model: LoadedModel, request: SampleRequest) -> list[list[Continuation]]:
        """Raises WrongTask."""
        return self.module


def open_converted(
    reference: Reference, facts: FolderFacts, *, number_format: str, device: str
) -> LoadedModel:
    """Opens a judged folder with CTranslate2, converting it first where that has not been done.
    Raises BrokenModel.

    An out-of-memory error is passed on as it is, for the manager to make room and try again.
    """
    with LOAD_LOCK, boundary(str(facts.folder), "opened with CTranslate2"):
        config, tokenizer, about = describe_transformers(facts)
        settings = _generation_config(facts.folder, config)
        found = find_conversion(facts, number_format)
        translator = _kept(found, number_format, device) if found is not None else None
        if translator is None:
            found = _converted(facts, config, number_format)
            translator = _translator(found, number_format, device)
    return LoadedModel(
        backend=CTranslate2Backend(translator, tokenizer, config, settings, found),
        device=device,
        dtype=number_format,
        n_parameters=found.n_parameters,
        n_bytes=found.n_bytes,
        **identity(reference, facts, about),
    )


def _translator(found: Conversion, number_format: str, device: str) -> Any:
    import ctranslate2
    import torch

    kind, _, index = device.partition(":")
    return ctranslate2.Translator(
        str(found.folder),
        device=kind,
        device_index=int(index or 0),
        compute_type=COMPUTE_TYPES[number_format],
        inter_threads=1,
        intra_threads=torch.get_num_threads(),
    )


def _kept(found: Conversion, number_format: str, device: str) -> Any:
    """A conversion of an earlier load, opened; None where its files have been damaged, and it is to
    be made again."""
    try:
        return _translator(found, number_format, device)
    except Exception as error:  # of many kinds, by the damage
        if is_out_of_memory(error):
            raise
        return None


def _converted(facts: FolderFacts, config: Any, number_format: str) -> Conversion:
    """The module is in no variable of a frame that stays, and so is gone before the conversion is
    opened."""
    import copy

    import torch

    module = read_module(
        facts, copy.deepcopy(config), torch.float32
    ).eval()  # the converter writes into its configuration
    return keep_conversion(facts, number_format, module, convert)


def _generation_config(folder: Path, config: Any) -> Any:
    """As `from_pretrained` of a model finds it."""
    from transformers import GenerationConfig

    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    return GenerationConfig.from_model_config(config)
