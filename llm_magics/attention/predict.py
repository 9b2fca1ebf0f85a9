"""What a model says of a text, with all its heads or without some of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from llm_magics.attention.capture import Head, silence
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
from llm_magics.nn.classifier import TextClassifier

__all__ = ["Prediction", "predict"]

_MOST_MASKED = 64
"""Positions that a pseudo-log-likelihood looks at; of a longer text they are spread evenly."""
_ROWS = 8
"""Copies of the text, each with one token masked, in one pass."""


@dataclass(frozen=True)
class Prediction:
    """What the model says."""

    kind: str
    """"next-token", "target", "mask", "label" or "embedding"."""
    entries: list[tuple[str, float]]
    """What is said and with what probability, the most probable first, a target in its own order;
    empty where there is a score alone."""
    score: float | None = None
    """See `score_name`."""
    score_name: str = ""
    """What the score is, with its unit."""
    against: Prediction | None = None
    """The same with all heads, where some were silenced."""

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


@torch.no_grad()
def predict(
    model: Any,
    text: str,
    target: str | None = None,
    silenced: Collection[Head] = (),
    count: int = 10,
    *,
    pair: str | None = None,
) -> Prediction:
    """The `count` most probable answers of the model to this text, with the silenced heads' output
    at zero.

    causal             the next token
    encoder-decoder    P(y_t | y_<t, text) of each token of `target`, in their order, and log P(target | text) in nats;
                       without a target the first token
    masked language    the token at the first mask; without a mask the pseudo-log-likelihood of the text, nats a token:
                       the mean log P(token | the others) with one token at a time masked (Salazar
                       et al. 2020)
    classifier         the labels; of each token where each has one
    bare encoder       the cosine between the mean of its states and that mean with all heads

    Raises AttentionError for other models, and for heads that are not there.
    """  # noqa: E501  a table or a pattern
    answer = _question(model, text, target, count, pair)
    whole = answer()
    if not silenced:
        return _compared(whole, whole)
    with silence(model.module, silenced):
        changed = answer()
    return replace(_compared(changed, whole), against=_compared(whole, whole))


def _compared(said: Prediction | Tensor, whole: Prediction | Tensor) -> Prediction:
    """A prediction as it is; an embedding (D,) by how far it points away from that with all
    heads."""
    if isinstance(said, Prediction):
        return said
    return Prediction(
        "embedding",
        [],
        float(F.cosine_similarity(said, whole, dim=0)),
        "cosine to the embedding with all heads",
    )


def _question(
    model: Any, text: str, target: str | None, count: int, pair: str | None
) -> Callable[[], Prediction | Tensor]:
    """What to ask this model again and again."""
    if not text.strip():
        raise AttentionError("there is no text to predict from; give one")
    ids, types = source_pair(model, text, pair)[:2] if pair else (source_ids(model, text), None)
    check_length(model, ids)
    if model.kind == "seq2seq":
        return partial(_target, model, ids, target_ids(model, target or ""), bool(target), count)
    if model.kind == "causal":
        prompt = (
            ids[:-1] or ids if is_own(model) else ids
        )  # our tokenizers put an end mark behind every text
        return lambda: Prediction(
            "next-token", _likeliest(model, _logits(model, [prompt])[0, -1], count)
        )
    name = type(model.module).__name__
    if name.endswith("MaskedLanguageModel") or name.endswith("ForMaskedLM"):
        return partial(_masked, model, ids, types, count)
    if isinstance(model.module, TextClassifier) or name.endswith(
        ("ForSequenceClassification", "ForTokenClassification")
    ):
        return partial(_labels, model, ids, types, count)
    return partial(_embedding, model, ids, types)


def _run(
    model: Any,
    rows: list[list[int]],
    given: list[int] | None = None,
    types: list[int] | None = None,
) -> Any:
    """One forward pass over rows of ids, all of one length; `given`: what the decoder reads."""
    device = next(model.module.parameters()).device
    ids = torch.tensor(rows, device=device)
    decoder = None if given is None else torch.tensor([given], device=device)
    if is_own(model):
        return model.module(ids) if decoder is None else model.module(ids, decoder)
    more = (
        {}
        if types is None
        else {"token_type_ids": torch.tensor([types] * len(rows), device=device)}
    )
    return model.module(
        input_ids=ids, **more, **({} if decoder is None else {"decoder_input_ids": decoder})
    )


def _logits(
    model: Any,
    rows: list[list[int]],
    given: list[int] | None = None,
    types: list[int] | None = None,
) -> Tensor:
    """(B, T, V), or (B, C) of a classifier, float32."""
    output = _run(model, rows, given, types)
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if logits is None:
        raise AttentionError(
            f"{type(model.module).__name__} gives no predictions; load it with the head of its task"
        )
    return logits.float()


def _likeliest(
    model: Any, logits: Tensor, count: int, *, of_target: bool = False
) -> list[tuple[str, float]]:
    """The most probable tokens of logits (V,)."""
    best = logits.softmax(-1).topk(min(count, logits.shape[-1]))
    raw = (target_tokens if of_target else source_tokens)(model, best.indices.tolist())
    shown = [readable(model.tokenizer, [token])[0] for token in raw]
    return list(zip(shown, best.values.tolist(), strict=True))


def _target(
    model: Any, ids: list[int], target: list[int], has_target: bool, count: int
) -> Prediction:
    given = decoder_ids(model, target) if has_target else decoder_ids(model, target)[:1]
    check_length(model, given)
    logits = _logits(model, [ids], given)[0]  # (T, V)
    if not has_target:
        return Prediction("next-token", _likeliest(model, logits[-1], count, of_target=True))
    wanted = torch.tensor(target, device=logits.device)
    log_p = logits.log_softmax(-1).gather(-1, wanted[:, None])[:, 0]  # (T,): log P(y_t | y_<t, x)
    tokens = readable(model.tokenizer, target_tokens(model, target))
    return Prediction(
        "target",
        list(zip(tokens, log_p.exp().tolist(), strict=True)),
        float(log_p.sum()),
        "log P(target), nats",
    )


def _masked(model: Any, ids: list[int], types: list[int] | None, count: int) -> Prediction:
    mask = model.tokenizer.special.get("mask") if is_own(model) else model.tokenizer.mask_token_id
    if mask in ids:
        return Prediction(
            "mask", _likeliest(model, _logits(model, [ids], None, types)[0, ids.index(mask)], count)
        )
    marks = (
        set(model.tokenizer.special.values())
        if is_own(model)
        else set(model.tokenizer.all_special_ids)
    )
    places = [place for place, token in enumerate(ids) if token not in marks]
    if mask is None or not places:
        raise AttentionError("there is nothing to hide in this text; give one with words")
    places = places[:: -(-len(places) // _MOST_MASKED)]
    total = 0.0
    for start in range(0, len(places), _ROWS):
        part = places[start : start + _ROWS]
        rows = [[*ids[:place], mask, *ids[place + 1 :]] for place in part]
        logits = _logits(model, rows, None, types)  # (B, T, V)
        total += sum(
            float(logits[row, place].log_softmax(-1)[ids[place]]) for row, place in enumerate(part)
        )
    return Prediction("mask", [], total / len(places), "pseudo-log-likelihood, nats a token")


def _labels(model: Any, ids: list[int], types: list[int] | None, count: int) -> Prediction:
    logits = _logits(model, [ids], None, types)[0]  # (C,) or (T, C)
    config = getattr(model.module, "config", None)
    names = getattr(config, "id2label", {})
    many = (
        logits.shape[-1] == 1
        or getattr(config, "problem_type", None) == "multi_label_classification"
    )
    chances = (
        logits.sigmoid() if many else logits.softmax(-1)
    )  # our classifiers give log-probabilities: the same softmax
    if chances.dim() == 1:
        best = chances.topk(min(count, len(chances)))
        return Prediction(
            "label",
            [
                (str(names.get(index, f"class {index}")), value)
                for index, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            ],
        )
    tokens = readable(model.tokenizer, source_tokens(model, ids))
    best = chances.max(-1)
    return Prediction(
        "label",
        [
            (f"{token} → {names.get(index, f'class {index}')}", value)
            for token, index, value in zip(
                tokens, best.indices.tolist(), best.values.tolist(), strict=True
            )
        ],
    )


def _embedding(model: Any, ids: list[int], types: list[int] | None) -> Tensor:
    """The mean of the last states over the tokens, (D,)."""
    states = getattr(_run(model, [ids], None, types), "last_hidden_state", None)
    if states is None:
        raise AttentionError(
            f"{type(model.module).__name__} gives no states and no labels that could be compared"
        )
    return states[0].float().mean(0)
