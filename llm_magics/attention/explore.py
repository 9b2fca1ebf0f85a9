"""From a loaded model and a text to captured attention with readable tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llm_magics.attention.capture import capture
from llm_magics.attention.store import AttentionStore, Panel
from llm_magics.attention.tokens import (
    check_length,
    decoder_ids,
    is_own,
    readable,
    source_ids,
    source_pair,
    source_tokens,
    target_ids,
    target_tokens,
)
from llm_magics.errors import AttentionError

__all__ = ["CrossAttention", "check_text", "cross_attention", "explore", "explore_ids"]


@dataclass(frozen=True)
class CrossAttention:
    """Which source tokens each target token looked at, averaged over layers and heads."""

    source_tokens: list[str]
    """As the vocabulary spells them."""
    target_tokens: list[str]
    weights: Tensor
    """(T, S) float32; row t was computed while target token t was being predicted."""
    source_offsets: list[tuple[int, int]] | None = None
    """Where each source token stands in the text, where the tokenizer tells."""
    target_offsets: list[tuple[int, int]] | None = None


def cross_attention(model: Any, source: str, target: str) -> CrossAttention:
    """The cross-attention of an encoder-decoder model that is given `source` and made to write
    `target`."""
    store = explore(model, source, target)
    own, written = is_own(model), target_tokens(model, target_ids(model, target))
    return CrossAttention(
        store.panel("cross").raw_columns,
        written,
        store.mean("cross"),
        model.tokenizer.source_offsets(source) if own else None,
        model.tokenizer.target_offsets(target) if own else None,
    )


def explore(
    model: Any,
    text: str,
    target: str | None = None,
    *,
    pair: str | None = None,
    values: bool = False,
) -> AttentionStore:
    """Run the model over `text` (and `target`, for an encoder-decoder model) and keep every layer's
    attention.

    Decoder rows are the tokens the decoder was given: a start mark and the target. pair: a second
    text for an encoder that reads two; its panel tells which token belongs to which. values: keep
    values too, for measures that need them.

    Raises AttentionError when there is no target for an encoder-decoder model, or for more tokens
    than the model has positions (at most 8,192).
    """
    if not text.strip():
        raise AttentionError(
            "there is no text to look at; put one after the model's name or in the cell"
        )
    if model.kind != "seq2seq":
        ids, types, segments = (
            source_pair(model, text, pair) if pair else (source_ids(model, text), None, None)
        )
        return explore_ids(model, ids, types=types, segments=segments, values=values)
    if pair:
        raise AttentionError(
            "an encoder-decoder model reads one text; what it writes is its target"
        )
    if target is None or not target.strip():
        raise AttentionError(
            "an encoder-decoder model needs a target text as well: put --- between source and "
            "target"
        )
    return explore_ids(
        model, source_ids(model, text), decoder_ids(model, target_ids(model, target)), values=values
    )


@torch.no_grad()
def explore_ids(
    model: Any,
    ids: list[int],
    given: list[int] | None = None,
    *,
    types: list[int] | None = None,
    segments: list[int] | None = None,
    values: bool = False,
) -> AttentionStore:
    """As `explore`, of token ids: those that are read, and for an encoder-decoder model those its
    decoder is `given`.

    types: token types; segments: 0 or 1, the text each token belongs to.
    """
    for part in (ids, given or []):
        check_length(model, part)
    device = next(model.module.parameters()).device
    inputs = [torch.tensor([part], device=device) for part in (ids, given) if part is not None]
    with capture(model.module, values=values) as captured:
        if is_own(model):
            model.module(*inputs)
        else:
            names = dict(zip(("input_ids", "decoder_input_ids"), inputs, strict=False))
            model.module(
                **names,
                **(
                    {}
                    if types is None
                    else {"token_type_ids": torch.tensor([types], device=device)}
                ),
            )
    source = _Axis(
        source_tokens(model, ids),
        readable(model.tokenizer, source_tokens(model, ids)),
        ids,
        segments,
    )
    raw = [] if given is None else target_tokens(model, given)
    target = _Axis(raw, readable(model.tokenizer, raw), given or [], None)
    axes = {
        "self": (source, source),
        "encoder": (source, source),
        "decoder": (target, target),
        "cross": (target, source),
    }
    return AttentionStore(
        _title(model),
        [_panel(kind, captured[kind], *axes[kind]) for kind in axes if kind in captured],
    )


def _title(model: Any) -> str:
    """The model's reference; of a folder the end of its path."""
    reference = getattr(model, "reference", type(model.module).__name__)
    return (
        "/".join(Path(reference.name).parts[-2:])
        if getattr(reference, "kind", "") == "local"
        else str(reference)
    )


@dataclass(frozen=True)
class _Axis:
    raw: list[str]
    tokens: list[str]
    ids: list[int]
    segments: list[int] | None


def _panel(kind: str, layers: list[Any], rows: _Axis, columns: _Axis) -> Panel:
    return Panel(
        kind,
        layers,
        rows.tokens,
        columns.tokens,
        rows.raw,
        columns.raw,
        rows.segments,
        columns.segments,
        rows.ids,
        columns.ids,
    )


def check_text(model: Any, text: str) -> None:
    """Raises AttentionError for a text of more tokens than can be looked at."""
    check_length(model, source_ids(model, text))
