"""The backend of models of transformers: their modules, computed by torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_magics.errors import WrongTask
from llm_magics.models.backends.base import HF, Capabilities
from llm_magics.models.backends.hf import decode, sample
from llm_magics.models.families import family_of
from llm_magics.models.generate.batches import check_writes, generate_in_batches
from llm_magics.models.generate.encoding import encode_sources, forced_bos
from llm_magics.models.generate.sample_rows import sample_in_batches

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.generate.types import (
        Continuation,
        DecodeRequest,
        Generation,
        SampleRequest,
    )

__all__ = ["HfBackend", "positions_of"]


class HfBackend:
    """A model of transformers."""

    kind = HF
    capabilities = Capabilities(module=True, limit_per_source=True)
    packages: tuple[str, ...] = ()

    def __init__(self, module: Any, tokenizer: Any) -> None:
        self.module, self.tokenizer = module, tokenizer

    @property
    def has_chat_format(self) -> bool:
        """Whether its tokenizer has a chat template."""
        return bool(getattr(self.tokenizer, "chat_template", None))

    @property
    def config(self) -> Any:
        """transformers' configuration."""
        return getattr(self.module, "config", None)

    @property
    def generation_config(self) -> Any:
        """How its authors let it write, as transformers' GenerationConfig."""
        return getattr(self.module, "generation_config", None)

    def max_source_tokens(self, model: LoadedModel) -> int | None:
        """As many as it has positions; None where they are relative."""
        return positions_of(model.family, self.config)

    def context_tokens(self, model: LoadedModel) -> int | None:
        """The same."""
        return self.max_source_tokens(model)

    def provenance(self, model: LoadedModel) -> dict[str, object]:
        """Device and number format."""
        return {"device": model.device, "dtype": model.dtype}

    def count_tokens(self, model: LoadedModel, texts: Sequence[str]) -> list[int]:
        """By its tokenizer."""
        return [len(ids) for ids in encode_sources(model, texts, None, None, check_length=False)]

    def generate(self, model: LoadedModel, request: DecodeRequest) -> list[Generation]:
        """See `generate.generate`."""
        check_writes(model)
        languages = request.source_language, request.target_language
        ids = encode_sources(model, request.sources, *languages)
        request = replace(request, forced_bos=forced_bos(model, request.target_language))
        return generate_in_batches(model, request, ids, decode.decode_batch)

    def sample(self, model: LoadedModel, request: SampleRequest) -> list[list[Continuation]]:
        """See `sample.continue_texts`."""
        _check_goes_on(model)

        def decoded(ids: list[int]) -> str:
            with model.using_tokenizer() as tokenizer:
                return tokenizer.decode(
                    ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
                )

        return sample_in_batches(
            model,
            request,
            encode_sources(model, request.sources, None, None),
            ends=frozenset(decode.end_tokens(self.generation_config)),
            decode=decoded,
            write_rows=sample.write_rows,
            window=self.context_tokens(model) if model.kind == "causal" else None,
        )


def _check_goes_on(model: LoadedModel) -> None:
    """Raises WrongTask for a model that writes no open text."""
    if model.kind == "encoder":
        raise WrongTask(
            f"{model.reference} ({model.family}) encodes text, it does not write any; choose a "
            "causal model"
        )
    if model.kind == "seq2seq" and (
        family_of(model.family).translates or (model.source_language and model.target_language)
    ):
        raise WrongTask(
            f"{model.reference} translates, it does not go on with a text: use %%translate, or "
            "choose a causal model"
        )


def positions_of(family: str, config: Any) -> int | None:
    """The most tokens that a model of transformers reads at once, None where positions are
    relative."""
    if family_of(family).relative_positions:
        return None
    limit = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    return int(limit) if limit else None
