"""What a model makes of a text, as one number, so that it can be asked what that number depends on.

encoder-decoder          (1/|y|) Σ_t ln p(y_t | y_<t, x)       y the target
causal                   (1/|y|) Σ_t ln p(y_t | x, y_<t)       y the target after x; or x itself; or the next token
masked language model    ln p(y | x) at the mask               y the target or the model's own guess
classifier               ln p(label | x)                       the target or the model's own label
bare encoder             cos(mean state of x, mean state of y) y another text, or x itself as it is now
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from llm_magics.attention.tokens import (
    check_length,
    decoder_ids,
    is_own,
    source_ids,
    source_tokens,
    target_ids,
)
from llm_magics.errors import AttentionError

__all__ = ["Answer", "answer_of"]


@dataclass(frozen=True)
class Answer:
    """A forward pass, and the number that is read off it: the higher, the better the model does."""

    module: nn.Module
    inputs: dict[str, Tensor]
    """The module's arguments, (1, T) each."""
    read: Callable[[Any], Tensor]
    """From the module's output for B rows to (B,)."""
    tokens: list[str]
    """The T tokens of the text, as the vocabulary spells them."""
    meaning: str
    """What the number is."""
    unit: str = "nats"

    def scores(self, copies: int = 1) -> Tensor:
        """The number for each of so many copies of the text in one batch: (copies,)."""
        return self.read(
            self.module(**{name: ids.expand(copies, -1) for name, ids in self.inputs.items()})
        )


@torch.no_grad()
def answer_of(
    model: Any, text: str, target: str | None = None, *, next_token: bool = False
) -> Answer:
    """The number for this model and text, as the table above says.

    next_token: of a causal model without a target take the token that it would write next, not the
    text itself. Raises AttentionError where there is nothing to ask: no target of an
    encoder-decoder model, no such label or token.
    """
    if not text.strip():
        raise AttentionError("there is no text to look at; give one")
    if model.kind == "seq2seq":
        return _translation(model, text, target)
    if model.kind == "causal":
        return _continuation(model, text, target, next_token)
    ids = source_ids(model, text)
    answer = _answer(model, ids, lambda output: output, "")
    output = answer.module(**answer.inputs)
    logits = _logits(output)
    if logits is None:
        return _similarity(model, answer, output, target)
    if logits.dim() == 2:
        return _label(model, answer, logits[0], target)
    return _tokens_in_place(model, ids, logits[0], target)


def _translation(model: Any, text: str, target: str | None) -> Answer:
    if target is None or not target.strip():
        raise AttentionError("an encoder-decoder model is asked how probable a target is; give one")
    wanted = target_ids(model, target)
    start = decoder_ids(model, wanted)
    names = ("src", "tgt") if is_own(model) else ("input_ids", "decoder_input_ids")
    ids = source_ids(model, text)
    inputs = dict(zip(names, (_row(model, ids), _row(model, start)), strict=True))
    return Answer(
        model.module,
        inputs,
        _log_probability(range(len(wanted)), wanted),
        source_tokens(model, ids),
        "mean log-probability of the target's tokens",
    )


def _continuation(model: Any, text: str, target: str | None, next_token: bool) -> Answer:
    ids = source_ids(model, text)
    if is_own(model):
        ids = ids[:-1]  # without the end mark: the text goes on
    if target:
        added = source_ids(model, target)[:-1] if is_own(model) else _plain_ids(model, target)
        meaning = "mean log-probability of the target's tokens"
    elif next_token:
        added = [
            int(_logits(_answer(model, ids, lambda output: output, "").scores())[0, -1].argmax())
        ]
        meaning = f"log-probability of the next token {source_tokens(model, added)[0]!r}"
    else:
        if len(ids) < 2:
            raise AttentionError("one token says nothing about the next; give a longer text")
        return _answer(
            model,
            ids,
            _log_probability(range(len(ids) - 1), ids[1:]),
            "mean log-probability of the text's tokens",
        )
    read = _log_probability(range(len(ids) - 1, len(ids) + len(added) - 1), added)
    return _answer(model, [*ids, *added[:-1]], read, meaning)


def _label(model: Any, answer: Answer, logits: Tensor, target: str | None) -> Answer:
    """The label of a text; logits (C,)."""
    names = getattr(getattr(model.module, "config", None), "id2label", None) or {}
    names = {int(number): str(name) for number, name in names.items()}
    label = int(logits.argmax())
    if target is not None:
        found = [
            number for number in range(len(logits)) if target in (names.get(number), str(number))
        ]
        if not found:
            raise AttentionError(
                f"the classifier has no label {target!r}; it has "
                f"{', '.join(names.get(number, str(number)) for number in range(len(logits)))}"
            )
        label = found[0]
    return Answer(
        answer.module,
        answer.inputs,
        lambda output: _logits(output).float().log_softmax(-1)[:, label],
        answer.tokens,
        f"log-probability of the label {names.get(label, label)!r}",
    )


def _tokens_in_place(model: Any, ids: list[int], logits: Tensor, target: str | None) -> Answer:
    """What a model says of the tokens where they stand, logits (T, V): at the masks, or everywhere
    when there are none."""
    mask = (
        model.tokenizer.special.get("mask")
        if is_own(model)
        else getattr(model.tokenizer, "mask_token_id", None)
    )
    places = [place for place, token in enumerate(ids) if token == mask] or list(range(len(ids)))
    masked = ids[places[0]] == mask
    vocabulary = model.tokenizer.source.get_vocab_size() if is_own(model) else len(model.tokenizer)
    wanted = logits.argmax(-1)[places].tolist() if masked or logits.shape[-1] < vocabulary else ids
    if masked and target is not None:
        wanted = _one_token_each(model, target, len(places))
    meaning = (
        "log-probability at the mask"
        if masked
        else "mean log-probability of each token where it stands"
    )
    return _answer(model, ids, _log_probability(places, wanted), meaning)


def _one_token_each(model: Any, target: str, count: int) -> list[int]:
    ids = _plain_ids(model, target)
    if len(ids) != count:
        raise AttentionError(
            f"{target!r} is {len(ids)} tokens of this model, and the text has {count} masks; "
            "give one token a mask"
        )
    return ids


def _plain_ids(model: Any, text: str) -> list[int]:
    """Without the marks that begin and end a text."""
    return list(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def _similarity(model: Any, answer: Answer, output: Any, target: str | None) -> Answer:
    """How alike two texts, or the text before and after a change, are to a bare encoder."""
    if not hasattr(output, "last_hidden_state"):
        raise AttentionError(
            f"{type(model.module).__name__} gives neither logits nor states that could be read; "
            "give a language model, a classifier or an encoder"
        )
    other = (
        output if target is None else model.module(input_ids=_row(model, source_ids(model, target)))
    )
    reference = other.last_hidden_state[0].float().mean(0)  # (D,)
    return Answer(
        answer.module,
        answer.inputs,
        lambda made: torch.cosine_similarity(
            made.last_hidden_state.float().mean(1), reference[None], dim=-1
        ),
        answer.tokens,
        "cosine of the text's mean state with "
        + ("what it was" if target is None else "the other text's"),
        "cosine",
    )


def _answer(model: Any, ids: list[int], read: Callable[[Any], Tensor], meaning: str) -> Answer:
    name = "ids" if is_own(model) else "input_ids"
    return Answer(model.module, {name: _row(model, ids)}, read, source_tokens(model, ids), meaning)


def _log_probability(places: range | list[int], wanted: list[int]) -> Callable[[Any], Tensor]:
    """The mean of ln p(wanted token) at these places of the logits (B, T, V)."""

    def read(output: Any) -> Tensor:
        logits = _logits(output)[:, list(places)].float()  # (B, |y|, V)
        asked = torch.tensor(wanted, device=logits.device).expand(len(logits), -1)
        return logits.log_softmax(-1).gather(-1, asked[..., None])[..., 0].mean(-1)

    return read


def _logits(output: Any) -> Tensor | None:
    return output if isinstance(output, Tensor) else getattr(output, "logits", None)


def _row(model: Any, ids: list[int]) -> Tensor:
    check_length(model, ids)
    return torch.tensor([ids], device=next(model.module.parameters()).device)
