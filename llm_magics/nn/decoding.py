"""From a trained model to a sequence of tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from llm_magics.nn.transformer import Seq2SeqModel

__all__ = ["greedy"]


@torch.no_grad()
def greedy(model: Seq2SeqModel, src: Tensor, src_padding_mask: Tensor | None = None, *, bos: int, eos: int,
           max_new_tokens: int, on_token: Callable[[list[list[int]]], None] | None = None,
           stop: Callable[[], bool] | None = None) -> list[list[int]]:
    """The most probable next token, again and again, until `eos` or `max_new_tokens` (without bos and eos).

    src (B, S) token ids; src_padding_mask (B, S), True = padding. Returns B lists of token ids. Finished rows leave
    the batch, so a short sentence never waits for a long one. `on_token` is given all B lists after every step;
    `stop` is asked before every step and ends the decoding with what there is.
    """
    memory = model.encode(src, src_key_padding_mask=src_padding_mask)  # (B, S, D)
    padding, cache = src_padding_mask, model.new_cache()
    sequences: list[list[int]] = [[] for _ in range(src.shape[0])]
    rows = torch.arange(src.shape[0], device=src.device)  # which sentence each row of the batch is
    newest = torch.full((src.shape[0], 1), bos, dtype=torch.long, device=src.device)
    for _ in range(max_new_tokens):
        if stop is not None and stop():
            break
        newest = model.decode_step(newest, memory, padding, cache).argmax(-1, keepdim=True)  # (B, 1)
        alive = newest[:, 0] != eos  # (B,)
        for row, token in zip(rows[alive].tolist(), newest[alive, 0].tolist(), strict=True):
            sequences[row].append(token)
        if on_token is not None:
            on_token(sequences)
        if not alive.all():
            keep = alive.nonzero()[:, 0]
            if keep.numel() == 0:
                break
            rows, newest, memory = rows[keep], newest[keep], memory[keep]
            padding = None if padding is None else padding[keep]
            cache.keep_rows(keep)
    return sequences
