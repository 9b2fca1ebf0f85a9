"""Texts as vectors whose cosine says how alike they are, from a sentence encoder (Reimers and
Gurevych 2019).

    e(text) = pooled / ‖pooled‖,   pooled = Σ_t h_t / T  over the T tokens of the text, marks included

h are the states of the last layer. A folder of sentence-transformers says how it pools (mean, [CLS]
or maximum) and how many tokens it reads; any other encoder is read with the mean. What is beyond
those tokens is left out, as it is there.
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_magics.errors import BrokenModel, WrongTask
from llm_magics.models.backends.base import NATIVE
from llm_magics.models.folder.library_errors import boundary
from llm_magics.models.folder.safe_files import check_inside, reason
from llm_magics.models.read.windows import TextWindow, run_windows, window_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["Embedded", "embed", "is_sentence_encoder"]

_MOST_BYTES = 1 << 20
_KNOWN_STEPS = ("Transformer", "Pooling", "Normalize")
_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}


@dataclass(frozen=True)
class Embedded:
    """Vectors of texts."""

    vectors: Tensor
    """(N, D) float32, each of length 1; of a text without tokens, zeros."""
    shortened: tuple[int, ...] = ()
    """The texts of which only the beginning was read."""


def is_sentence_encoder(model: LoadedModel) -> bool:
    """Whether the model can turn texts into vectors: an encoder without a head, or with one for
    masked words."""
    if model.backend.kind == NATIVE or model.kind != "encoder":
        return False
    name = type(model.module).__name__
    return name.endswith(("Model", "ForMaskedLM"))


def embed(model: LoadedModel, texts: Sequence[str]) -> Embedded:
    """The vector of each text. Raises WrongTask for a model that is no encoder, or pools in a way
    that is not known here."""
    import torch

    if not is_sentence_encoder(model):
        raise WrongTask(
            f"{model.reference} ({model.family}) does not turn texts into vectors; choose a "
            "sentence encoder, such as sentence-transformers/all-MiniLM-L6-v2 or package:minilm"
        )
    pooling, longest = _as_saved(model)
    windows, shortened = _beginnings(model, texts, longest)
    module = (
        model.module.base_model
        if type(model.module).__name__.endswith("ForMaskedLM")
        else model.module
    )
    rows = run_windows(
        model, windows, lambda output: output.last_hidden_state, module=module, per_token=True
    )
    vectors = (
        torch.stack([_pooled(row, pooling) for row in rows])
        if rows
        else torch.zeros(0, module.config.hidden_size)
    )
    return Embedded(torch.nn.functional.normalize(vectors, dim=-1), shortened)


def _beginnings(
    model: LoadedModel, texts: Sequence[str], longest: int
) -> tuple[list[TextWindow], tuple[int, ...]]:
    """(one window a text, the texts that are longer)."""
    if not texts:
        return [], ()
    with (
        model.using_tokenizer() as tokenizer,
        boundary(f"the tokenizer of {model.reference}", "used"),
    ):
        coded = tokenizer([text.strip() for text in texts], verbose=False)["input_ids"]
        short = tokenizer(
            [text.strip() for text in texts], truncation=True, max_length=longest, verbose=False
        )
    types = (
        short["token_type_ids"]
        if "token_type_ids" in short
        else [[0] * len(ids) for ids in short["input_ids"]]
    )
    windows = [
        TextWindow(list(ids), list(kinds), [None] * len(ids), 0)
        for ids, kinds in zip(short["input_ids"], types, strict=True)
    ]
    return windows, tuple(
        i
        for i, (ids, window) in enumerate(zip(coded, windows, strict=True))
        if len(ids) > len(window.ids)
    )


def _pooled(states: Tensor, pooling: str) -> Tensor:
    """(T, D) → (D,)"""
    if pooling == "cls":
        return states[0]
    return states.amax(0) if pooling == "max" else states.mean(0)


def _as_saved(model: LoadedModel) -> tuple[str, int]:
    """(how to pool, tokens to read) as a folder of sentence-transformers says, else the mean and
    what the model reads."""
    longest, folder = window_tokens(model), model.folder
    steps = _json(folder, "modules.json") if folder else None
    if not isinstance(steps, list):
        return "mean", longest
    names = [
        str(step.get("type", "")).rpartition(".")[2] for step in steps if isinstance(step, dict)
    ]
    strange = [name for name in names if name not in _KNOWN_STEPS]
    pooling_folder = next(
        (
            str(step.get("path"))
            for step, name in zip(steps, names, strict=False)
            if name == "Pooling"
        ),
        "",
    )
    about = (_json(folder, f"{pooling_folder}/config.json") or {}) if pooling_folder else {}
    modes = [
        key for key, value in about.items() if key.startswith("pooling_mode_") and value is True
    ]
    if isinstance(about.get("pooling_mode"), str):  # as newer versions write it
        modes = [f"pooling_mode_{about['pooling_mode']}_tokens".replace("cls_tokens", "cls_token")]
    if strange or len(modes) > 1 or any(mode not in _POOLINGS for mode in modes):
        raise WrongTask(
            f"{model.reference} makes its vectors by {', '.join(strange or modes)}, which is not "
            "known here; choose a model that pools by mean, cls or max"
        )
    limit = (_json(folder, "sentence_bert_config.json") or {}).get("max_seq_length")
    return _POOLINGS[modes[0]] if modes else "mean", min(longest, limit) if isinstance(
        limit, int
    ) and limit > 2 else longest


def _json(folder: Path, name: str) -> Any:
    path = folder / name
    if not path.is_file():
        return None
    check_inside(path, folder)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BrokenModel(f"{path} has more than the {_MOST_BYTES:,} bytes that are read")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenModel(f"{path} cannot be read as JSON: {reason(error)}") from None
