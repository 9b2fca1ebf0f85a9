"""A module of the notebook as a LoadedModel."""

from __future__ import annotations

from typing import Any

from llm_magics.errors import WrongTask
from llm_magics.models.backends.hf.backend import HfBackend
from llm_magics.models.backends.loaded import LoadedModel, known_languages, task_of, tensor_bytes
from llm_magics.models.backends.native import NativeBackend
from llm_magics.models.folder.native import native_kind
from llm_magics.models.folder.native_tokenizer import NativeTokenizer
from llm_magics.models.reference import Reference

__all__ = ["adopt"]


def adopt(
    reference: Reference,
    module: Any,
    tokenizer: Any,
    source_language: str | None,
    target_language: str | None,
) -> LoadedModel:
    """`module` and `tokenizer` as a LoadedModel; the module is used as it is, in eval mode.

    Raises WrongTask for what is neither a transformers model nor one of `llm_magics.nn` with a
    NativeTokenizer.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise WrongTask(f"{reference} is a {type(module).__name__}, not a torch.nn.Module")
    first = next(module.parameters(), None)
    if first is None:
        raise WrongTask(f"{reference} has no parameters")
    if isinstance(tokenizer, NativeTokenizer):
        backend = NativeBackend(module.eval(), tokenizer)
        family, kind, languages = "native", native_kind(module), ()
        task = {"seq2seq": "translate", "causal": "generate text"}.get(kind, "encode")
    elif hasattr(module, "config") and hasattr(module.config, "model_type"):
        backend = HfBackend(module.eval(), tokenizer)
        family, languages = module.config.model_type, known_languages(tokenizer)
        kind = _kind(module)
        task = task_of(family, kind, bool(getattr(tokenizer, "chat_template", None)))
    else:
        raise WrongTask(
            f"{reference} needs a NativeTokenizer, or a model of transformers with its tokenizer"
        )
    parameters, size = tensor_bytes(module)
    return LoadedModel(
        reference=reference,
        family=family,
        kind=kind,
        backend=backend,
        device=str(first.device),
        dtype=str(first.dtype).removeprefix("torch."),
        n_parameters=parameters,
        n_bytes=size,
        source_language=source_language,
        target_language=target_language,
        languages=languages,
        task=task,
    )


def _kind(module: Any) -> str:
    if module.config.is_encoder_decoder:
        return "seq2seq"
    return "causal" if module.can_generate() else "encoder"
