"""From a reference to a LoadedModel: find the folder, judge it, open it under one process-wide
lock.

Why the lock: `from_pretrained` swaps attributes of classes while it builds a model. Two threads in
it leave weights on the meta device, for every later load of the process too.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_magics.errors import (
    BrokenModel,
    HubUnreachable,
    InputError,
    ModelNotFound,
    UnsafeModel,
    WrongTask,
)
from llm_magics.extras import install_hint
from llm_magics.models.backends.loaded import (
    LoadedModel,
    known_languages,
    languages_of_name,
    task_of,
    tensor_bytes,
)
from llm_magics.models.folder.hub_cache import cached_folder
from llm_magics.models.folder.inspect import FolderFacts, inspect_folder
from llm_magics.models.folder.library_errors import boundary
from llm_magics.models.folder.precision import packed_size, quantise
from llm_magics.models.number_format import parse_number_format
from llm_magics.models.reference import EXTRACTIVE, Reference, embedded_names, run_names

__all__ = [
    "LOAD_LOCK",
    "check_no_meta",
    "check_outline",
    "describe_transformers",
    "identity",
    "locate",
    "no_progress_bar",
    "open_model",
    "read_module",
    "resolve_dtype",
]

LOAD_LOCK = threading.RLock()

_HEADS = {
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
}


def locate(
    reference: Reference, *, trust_remote_code: bool = False, allow_pickle: bool = False
) -> FolderFacts:
    """The folder of a model, fetched from the hub when it is not here, read and judged.

    Raises ModelNotFound, HubUnreachable, UnsafeModel, BrokenModel or WrongTask.
    """
    if reference.kind == "hub" and trust_remote_code and not reference.revision:
        raise UnsafeModel(
            f"{reference} may run its own code only at a fixed revision: write {reference}@COMMIT, "
            "with the commit whose code you have read"
        )
    folder = _folder(reference, allow_pickle)
    return inspect_folder(folder, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)


def _folder(reference: Reference, allow_pickle: bool) -> Path:
    if reference.kind == "hub":
        return _hub_folder(reference, allow_pickle)
    folder = reference.folder
    if folder is None and reference.kind == "package":
        raise ModelNotFound(f"{reference} is not installed: {install_hint(reference.name)}")
    if folder is None or (reference.kind == "embedded" and reference.name == EXTRACTIVE):
        raise WrongTask(f"{reference} has no weights to load")
    if reference.kind in ("embedded", "run") and not folder.is_dir():
        names = embedded_names()[:-1] if reference.kind == "embedded" else run_names()
        there = ", ".join(f"{reference.kind}:{name}" for name in names[:8]) or "none"
        raise ModelNotFound(f"there is no model {reference}; there is: {there}")
    return folder


def _hub_folder(reference: Reference, allow_pickle: bool) -> Path:
    whole = cached_folder(reference, allow_pickle=allow_pickle)
    if whole is not None:
        return whole
    from llm_magics.models.folder.hub import describe, fetch

    try:
        return fetch(describe(reference, allow_pickle=allow_pickle))
    except HubUnreachable:
        partial = cached_folder(reference, whole=False)
        if partial is not None:
            inspect_folder(
                partial
            )  # says what is wrong with the copy in the cache, if that is the reason
        raise


def resolve_dtype(dtype: Any, device: str, reference: Reference | None = None):
    """A `torch.dtype` from a name in any spelling ("bfloat16", "bf16", "int8", "auto" …), a
    torch.dtype, or None.

    None and "auto" mean the device's default, and float32 everywhere for the small models shipped
    and trained here. int8 is for the CPU: linear layers with weights of 8 bits, the rest float32.
    Raises InputError.
    """
    import torch

    from llm_magics.models.manager.device import default_dtype

    is_dtype = isinstance(dtype, torch.dtype)
    if dtype is None or (not is_dtype and parse_number_format(dtype) == "auto"):
        is_native = reference is not None and reference.kind in ("embedded", "run")
        return torch.float32 if is_native else default_dtype(device)
    found = dtype if is_dtype else getattr(torch, parse_number_format(dtype))
    if not (found.is_floating_point or found == torch.int8):
        parse_number_format(str(found))  # which refuses it
    if found == torch.int8 and device.partition(":")[0] != "cpu":
        raise InputError(
            f"int8 is computed on the CPU only, not on {device}: use bf16 there, or --device cpu"
        )
    return found


def open_model(reference: Reference, facts: FolderFacts, *, dtype: Any, device: str) -> LoadedModel:
    """Reads a judged folder into memory; `dtype` is a `torch.dtype`. Raises BrokenModel or
    WrongTask.

    An out-of-memory error is passed on as it is, for the manager to make room and try again.
    """
    import torch

    floats = torch.float32 if dtype == torch.int8 else dtype
    with LOAD_LOCK, boundary(str(facts.folder)):
        opened = _open_native(facts) if facts.is_native else _open_transformers(facts, floats)
        module = opened["backend"].module.eval()
        check_no_meta(module, str(reference))
        module.to(device=device, dtype=floats)
        if dtype != floats:
            quantise(module)
    parameters, size = (
        sum(both) for both in zip(tensor_bytes(module), packed_size(module), strict=True)
    )
    return LoadedModel(
        device=device,
        dtype=str(dtype).removeprefix("torch."),
        n_parameters=parameters,
        n_bytes=size,
        runs_own_code=facts.remote_code,
        **identity(reference, facts, opened),
    )


def identity(reference: Reference, facts: FolderFacts, opened: dict[str, Any]) -> dict[str, Any]:
    """`opened` with where the model came from; languages that its files do not tell are read from
    its name."""
    folder, from_name = facts.folder, languages_of_name(reference.name)
    languages = zip(("source_language", "target_language"), from_name, strict=True)
    commit = folder.name if folder.parent.name == "snapshots" else None
    return {
        **opened,
        **{key: opened.get(key) or language for key, language in languages},
        "reference": reference,
        "folder": folder,
        "revision": commit,
    }


def _open_native(facts: FolderFacts) -> dict[str, Any]:
    from llm_magics.models.backends.native import NativeBackend
    from llm_magics.models.folder.native import load_native, native_kind

    module, tokenizer, config = load_native(facts.folder, facts)
    return {
        "backend": NativeBackend(module, tokenizer),
        "family": "native",
        "kind": native_kind(module),
        "source_language": config.get("source_language"),
        "target_language": config.get("target_language"),
        "task": str(config.get("task", "")),
        "labels": tuple(map(str, config.get("labels") or ())),
        "trained_tokens": _whole(config.get("trained_tokens")),
    }


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _open_transformers(facts: FolderFacts, dtype: Any) -> dict[str, Any]:
    from llm_magics.models.backends.hf.backend import HfBackend

    config, tokenizer, about = describe_transformers(facts)
    return {"backend": HfBackend(read_module(facts, config, dtype), tokenizer), **about}


def describe_transformers(facts: FolderFacts) -> tuple[Any, Any, dict[str, Any]]:
    """(configuration, tokenizer, what a LoadedModel says of them) of a judged folder; its weights
    are not read."""
    import transformers

    options = {"trust_remote_code": facts.remote_code, "local_files_only": True}
    config = transformers.AutoConfig.from_pretrained(facts.folder, **options)
    kind, auto_name = _auto_class(config)
    check_outline(getattr(transformers, auto_name), config, facts)
    tokenizer = transformers.AutoTokenizer.from_pretrained(facts.folder, **options)
    is_chat = kind == "causal" and bool(getattr(tokenizer, "chat_template", None))
    return (
        config,
        tokenizer,
        {
            "family": config.model_type,
            "kind": kind,
            "languages": known_languages(tokenizer),
            "task": task_of(config.model_type, kind, is_chat),
            **_noted(config),
        },
    )


def read_module(facts: FolderFacts, config: Any, dtype: Any) -> Any:
    """The module of a judged folder with its weights. Call it under LOAD_LOCK. Raises BrokenModel
    when tensors are missing."""
    import transformers

    with no_progress_bar():
        module, report = getattr(transformers, _auto_class(config)[1]).from_pretrained(
            facts.folder,
            config=config,
            dtype=dtype,
            use_safetensors=not facts.pickled,
            weights_only=True,
            output_loading_info=True,
            trust_remote_code=facts.remote_code,
            local_files_only=True,
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise BrokenModel(
            f"{facts.folder}: the weight files lack {len(missing)} tensors, {missing[0]} among them"
        )
    return module


def _noted(config: Any) -> dict[str, str]:
    """What a fine-tuning here noted in config.json: the task and, for one pair of languages,
    both."""
    notes = getattr(config, "llm_magics", None)
    notes = notes if isinstance(notes, dict) else {}
    return {
        key: value[:64]
        for key in ("task", "source_language", "target_language")
        if isinstance(value := notes.get(key), str) and value and value.isprintable()
    }


def _auto_class(config: Any) -> tuple[str, str]:
    """(kind, name of the Auto class) for a configuration."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    made = (getattr(config, "architectures", None) or [""])[0]
    head = next((auto for ending, auto in _HEADS.items() if made.endswith(ending)), None)
    if head is not None:  # also of families that write: BartForSequenceClassification
        return "encoder", head
    if made in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() and not config.is_encoder_decoder:
        return "causal", "AutoModelForCausalLM"
    if config.model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return "seq2seq", "AutoModelForSeq2SeqLM"
    if not made and config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "causal", "AutoModelForCausalLM"
    return "encoder", "AutoModel"


def check_outline(auto: Any, config: Any, facts: FolderFacts) -> None:
    """Compares what the configuration would allocate with what the files hold, before anything is
    allocated."""
    import torch

    if facts.n_parameters is None:
        return
    with torch.device("meta"):
        outline = auto.from_config(config, trust_remote_code=facts.remote_code)
    wanted = sum(parameter.numel() for parameter in outline.parameters())
    # Tied matrices are counted twice here and once in the file, hence the generous factor.
    if wanted > 3 * facts.n_parameters + 1_000_000:
        raise BrokenModel(
            f"{facts.folder}: config.json describes {wanted:,} parameters, the files hold "
            f"{facts.n_parameters:,}"
        )


def check_no_meta(module: Any, name: str) -> None:
    """Raises BrokenModel when a weight has no memory behind it."""
    empty = [key for key, tensor in module.named_parameters() if tensor.is_meta]
    empty += [key for key, tensor in module.named_buffers() if tensor.is_meta]
    if empty:
        raise BrokenModel(
            f"{name}: {len(empty)} weights such as {empty[0]} were left empty by another thread "
            "that loaded a model at the same moment: restart the kernel and load models through "
            "llm_magics only"
        )


@contextlib.contextmanager
def no_progress_bar() -> Iterator[None]:
    """transformers without its progress bars."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
