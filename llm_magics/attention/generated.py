"""The attention of a text while the model writes it."""

from __future__ import annotations

from typing import Any

import torch

from llm_magics.attention.explore import explore_ids
from llm_magics.attention.store import AttentionStore
from llm_magics.attention.tokens import check_length, is_own, source_ids
from llm_magics.errors import AttentionError
from llm_magics.nn.decoding import greedy, sample

__all__ = ["generated"]


@torch.no_grad()
def generated(
    model: Any, prompt: str, max_new_tokens: int = 32, *, values: bool = False
) -> AttentionStore:
    """Let the model go on from the prompt (causal) or answer it (encoder-decoder), greedily, and
    keep the attention.

    Rows from `store.prompt_length` on are tokens that the model wrote: row t is the step that read
    token t and wrote the next. One pass over the finished text gives the same maps as the steps
    with their cache would. Of an encoder-decoder model's last token there is no row, as it was
    never read.

    Raises AttentionError for a model that writes nothing, or when prompt and answer are more than
    can be looked at.
    """
    if model.kind == "encoder":
        raise AttentionError(
            f"{type(model.module).__name__} encodes text, it does not write any; explore the "
            "text as it is"
        )
    if max_new_tokens < 1:
        raise AttentionError(f"max_new_tokens must be at least 1, not {max_new_tokens}")
    ids = source_ids(model, prompt)
    if not prompt.strip() or not ids:
        raise AttentionError("there is no prompt to go on from; give a text")
    check_length(model, ids if model.kind == "seq2seq" else [*ids, *[0] * max_new_tokens])
    given, written = (
        _write_own(model, ids, max_new_tokens)
        if is_own(model)
        else _write(model, ids, max_new_tokens)
    )
    if model.kind == "seq2seq":
        store = explore_ids(model, ids, [*given, *written[:-1]], values=values)
    else:
        store = explore_ids(model, [*given, *written], values=values)
    store.prompt_length = len(given)
    return store


def _write(model: Any, ids: list[int], most: int) -> tuple[list[int], list[int]]:
    """What a transformers model was given and what it wrote."""
    inputs = torch.tensor([ids], device=next(model.module.parameters()).device)
    settings = model.module.generation_config
    pad = settings.pad_token_id
    if pad is None:
        pad = (
            settings.eos_token_id[0]
            if isinstance(settings.eos_token_id, list)
            else settings.eos_token_id
        )
    output = model.module.generate(
        input_ids=inputs,
        attention_mask=torch.ones_like(inputs),
        max_new_tokens=most,
        do_sample=False,
        num_beams=1,
        pad_token_id=0 if pad is None else pad,
    )[0].tolist()
    length = 1 if model.kind == "seq2seq" else len(ids)
    return output[:length], output[length:]


def _write_own(model: Any, ids: list[int], most: int) -> tuple[list[int], list[int]]:
    """The same for one of our own models."""
    inputs = torch.tensor([ids], device=next(model.module.parameters()).device)
    special = model.tokenizer.special
    if model.kind == "seq2seq":
        written = greedy(
            model.module, inputs, bos=special["bos"], eos=special["eos"], max_new_tokens=most
        )[0]
        return [special["bos"]], [*written, special["eos"]]
    prompt = ids[:-1] or ids  # without the end mark, behind which a new text would begin
    written = sample(
        model.module,
        inputs.new_tensor([prompt]),
        max_new_tokens=most,
        eos=special["eos"],
        temperature=0,
    )[0]
    return prompt, written
