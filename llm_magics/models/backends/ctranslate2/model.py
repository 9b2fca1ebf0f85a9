"""A model that CTranslate2 computes: used like any other wherever text is written, and in less
memory.

What needs a module (attention, the probabilities of next words, training) gets one clear WrongTask.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llm_magics.errors import WrongTask
from llm_magics.models.backends.ctranslate2.convert import convert
from llm_magics.models.backends.ctranslate2.store import (
    Conversion,
    find_conversion,
    keep_conversion,
)
from llm_magics.models.backends.engine import COMPUTE_TYPES, CTRANSLATE2
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.folder.inspect import FolderFacts
from llm_magics.models.folder.library_errors import boundary, is_out_of_memory
from llm_magics.models.folder.open import LOAD_LOCK, describe_transformers, identity, read_module
from llm_magics.models.reference import Reference

__all__ = ["CTranslate2Model", "open_converted"]


class CTranslate2Model(LoadedModel):
    """An encoder-decoder in CTranslate2's format. It has no module."""

    def __init__(
        self,
        translator: Any,
        config: Any,
        generation_config: Any,
        conversion: Conversion,
        **facts: Any,
    ) -> None:
        self.translator = translator
        """The `ctranslate2.Translator`; its tokens are the numbers of the tokenizer's, as text."""
        self._config, self._generation_config = config, generation_config
        self.conversion = conversion
        super().__init__(
            module=None, n_parameters=conversion.n_parameters, n_bytes=conversion.n_bytes, **facts
        )

    def __repr__(self) -> str:
        return f"CTranslate2Model({self.reference}, {self.dtype} on {self.device})"

    @property
    def engine(self) -> str:
        """ "ctranslate2"."""
        return CTRANSLATE2

    @property
    def config(self) -> Any:
        """transformers' configuration of the model it was converted from."""
        return self._config

    @property
    def generation_config(self) -> Any:
        """How its authors let it write, as transformers' GenerationConfig."""
        return self._generation_config

    @property
    def module(self) -> Any:
        """Raises WrongTask."""
        raise WrongTask(
            f"{self.reference} is computed by CTranslate2 here, which only writes text: "
            "attention, next-word "
            "probabilities and drawing at random need torch; leave the engine out"
        )

    @module.setter
    def module(self, value: None) -> None:
        """There is none."""


def open_converted(
    reference: Reference, facts: FolderFacts, *, number_format: str, device: str
) -> CTranslate2Model:
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
    return CTranslate2Model(
        translator,
        config,
        settings,
        found,
        device=device,
        dtype=number_format,
        tokenizer=tokenizer,
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
