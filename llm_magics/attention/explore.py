"""From a loaded model and a text to captured attention with readable tokens.

A loaded model is anything with `module`, `tokenizer` and `kind` ("seq2seq", "causal" or "encoder"), as the model
manager gives; the tokenizer is our own (`encode_source`, …) or one of transformers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from llm_magics.attention.capture import capture
from llm_magics.attention.store import AttentionStore, Panel
from llm_magics.errors import AttentionError

__all__ = ["CrossAttention", "check_text", "cross_attention", "explore"]

MAX_TOKENS = 2_048


@dataclass(frozen=True)
class CrossAttention:
    """Which source tokens each target token looked at, averaged over layers and heads."""

    source_tokens: list[str]
    target_tokens: list[str]
    weights: Tensor
    """(T, S) float32; row t was computed while target token t was being predicted."""
    source_offsets: list[tuple[int, int]] | None = None
    """Where each source token stands in the text, where the tokenizer tells."""
    target_offsets: list[tuple[int, int]] | None = None


def cross_attention(model: Any, source: str, target: str) -> CrossAttention:
    """The cross-attention of an encoder-decoder model that is given `source` and made to write `target`."""
    store = explore(model, source, target)
    panel = store.panel("cross")
    own = hasattr(model.tokenizer, "source_offsets")
    return CrossAttention(panel.columns, _predicted_tokens(model, target), store.mean("cross"),
                          model.tokenizer.source_offsets(source) if own else None,
                          model.tokenizer.target_offsets(target) if own else None)


@torch.no_grad()
def explore(model: Any, text: str, target: str | None = None) -> AttentionStore:
    """Run the model over `text` (and `target`, for an encoder-decoder model) and keep every layer's attention.

    Decoder rows are the tokens the decoder was given: a start mark and the target. Raises AttentionError when
    there is no target for an encoder-decoder model, or more than 2,048 tokens.
    """
    if not text.strip():
        raise AttentionError("there is no text to look at; put one after the model's name or in the cell")
    source = _source_ids(model, text)
    title = str(getattr(model, "reference", type(model.module).__name__))
    device = next(model.module.parameters()).device
    if model.kind != "seq2seq":
        _check_length(source)
        with capture(model.module) as captured:
            model.module(torch.tensor([source], device=device))
        tokens = _source_tokens(model, source)
        return AttentionStore(title, [Panel("self", captured["self"], tokens, tokens)])
    if target is None or not target.strip():
        raise AttentionError("an encoder-decoder model needs a target text as well: put --- between source and target")
    decoder = _decoder_ids(model, target)
    _check_length(source + decoder)
    with capture(model.module) as captured:
        inputs = torch.tensor([source], device=device), torch.tensor([decoder], device=device)
        if _is_own(model):
            model.module(*inputs)
        else:
            model.module(input_ids=inputs[0], decoder_input_ids=inputs[1])
    rows, columns = _target_tokens(model, decoder), _source_tokens(model, source)
    axes = {"encoder": (columns, columns), "decoder": (rows, rows), "cross": (rows, columns)}
    return AttentionStore(title, [Panel(kind, captured[kind], *axes[kind]) for kind in axes if kind in captured])


def check_text(model: Any, text: str) -> None:
    """Raises AttentionError for a text of more tokens than a map can show."""
    _check_length(_source_ids(model, text))


def _check_length(ids: list[int]) -> None:
    if len(ids) > MAX_TOKENS:
        raise AttentionError(f"{len(ids):,} tokens are too many to look at in one map; the limit is {MAX_TOKENS:,}")


def _is_own(model: Any) -> bool:
    return hasattr(model.tokenizer, "encode_source")


def _source_ids(model: Any, text: str) -> list[int]:
    return model.tokenizer.encode_source([text])[0] if _is_own(model) else list(model.tokenizer(text)["input_ids"])


def _target_ids(model: Any, text: str) -> list[int]:
    """Token ids of the target with its end mark."""
    if _is_own(model):
        return model.tokenizer.encode_target([text])[0]
    return list(model.tokenizer(text_target=text)["input_ids"])


def _decoder_ids(model: Any, target: str) -> list[int]:
    """What the decoder reads to write `target`: the start mark, then all but the last token."""
    if _is_own(model):
        return [model.tokenizer.special["bos"], *_target_ids(model, target)[:-1]]
    config = model.module.config
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:
        start = getattr(model.module.generation_config, "decoder_start_token_id", None)
    if start is None:
        raise AttentionError(f"{type(model.module).__name__} does not say which token its decoder starts with")
    return [start, *_target_ids(model, target)[:-1]]


def _source_tokens(model: Any, ids: list[int]) -> list[str]:
    return model.tokenizer.source_tokens(ids) if _is_own(model) else model.tokenizer.convert_ids_to_tokens(ids)


def _target_tokens(model: Any, ids: list[int]) -> list[str]:
    return model.tokenizer.target_tokens(ids) if _is_own(model) else model.tokenizer.convert_ids_to_tokens(ids)


def _predicted_tokens(model: Any, target: str) -> list[str]:
    return _target_tokens(model, _target_ids(model, target))
