"""From a trained model to a sequence of tokens."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from llm_magics.nn.language_model import CausalLanguageModel, RecurrentLanguageModel
from llm_magics.nn.recurrent_seq2seq import RecurrentSeq2Seq
from llm_magics.nn.transformer import Seq2SeqModel

__all__ = ["beam", "greedy", "keep_likely", "n_best", "sample"]


@torch.no_grad()
def greedy(
    model: Seq2SeqModel | RecurrentSeq2Seq,
    src: Tensor,
    src_padding_mask: Tensor | None = None,
    *,
    bos: int,
    eos: int,
    max_new_tokens: int,
    on_token: Callable[[list[list[int]]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[list[int]]:
    """The most probable next token, again and again, until `eos` or `max_new_tokens` (without bos
    and eos).

    src (B, S) token ids; src_padding_mask (B, S), True = padding. Returns B lists of token ids.
    Finished rows leave the batch, so a short sentence never waits for a long one. `on_token` is
    given all B lists after every step; `stop` is asked before every step and ends the decoding with
    what there is.
    """
    memory = model.encode(src, src_key_padding_mask=src_padding_mask)  # (B, …): rows are sentences
    padding, cache = src_padding_mask, model.new_cache()
    sequences: list[list[int]] = [[] for _ in range(src.shape[0])]
    rows = torch.arange(src.shape[0], device=src.device)  # which sentence each row of the batch is
    newest = torch.full((src.shape[0], 1), bos, dtype=torch.long, device=src.device)
    for _ in range(max_new_tokens):
        if stop is not None and stop():
            break
        newest = model.decode_step(newest, memory, padding, cache).argmax(
            -1, keepdim=True
        )  # (B, 1)
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


@torch.no_grad()
def beam(
    model: Seq2SeqModel | RecurrentSeq2Seq,
    src: Tensor,
    src_padding_mask: Tensor | None = None,
    *,
    bos: int,
    eos: int,
    max_new_tokens: int,
    beams: int,
    length_penalty: float = 1.0,
    stop: Callable[[], bool] | None = None,
) -> list[list[int]]:
    """Beam search: of the sequences that the beams reach, the one of highest Σ log P(y_t) /
    T^length_penalty; see `n_best`."""
    found = n_best(
        model,
        src,
        src_padding_mask,
        bos=bos,
        eos=eos,
        max_new_tokens=max_new_tokens,
        beams=beams,
        length_penalty=length_penalty,
        stop=stop,
    )
    return [hypotheses[0][1] for hypotheses in found]


@torch.no_grad()
def n_best(
    model: Seq2SeqModel | RecurrentSeq2Seq,
    src: Tensor,
    src_padding_mask: Tensor | None = None,
    *,
    bos: int,
    eos: int,
    max_new_tokens: int,
    beams: int,
    length_penalty: float = 1.0,
    stop: Callable[[], bool] | None = None,
) -> list[list[tuple[float, list[int]]]]:
    """Beam search: for each sentence up to `beams` (score, tokens), best first; score = Σ log
    P(y_t) / T^length_penalty.

    Arguments as in `greedy`; T counts the end mark. Every sentence keeps `beams` unfinished
    hypotheses and is done once it has `beams` finished ones; what has not ended after
    `max_new_tokens` counts as it is. Source: Wu et al. 2016, section 7, with T^α as the length
    normalisation.
    """
    batch, device = src.shape[0], src.device
    memory = model.encode(src, src_key_padding_mask=src_padding_mask).repeat_interleave(
        beams, 0
    )  # (B·W, S, D)
    padding = None if src_padding_mask is None else src_padding_mask.repeat_interleave(beams, 0)
    cache, first_row = (
        model.new_cache(),
        torch.arange(batch, device=device)[:, None] * beams,
    )  # (B, 1)
    scores = torch.full((batch, beams), -math.inf, device=device)  # (B, W)
    scores[:, 0] = 0.0  # one beginning, not W equal ones
    sequences = torch.full((batch * beams, 1), bos, dtype=torch.long, device=device)  # (B·W, T)
    finished: list[list[tuple[float, list[int]]]] = [[] for _ in range(batch)]
    length = 0
    while (
        length < max_new_tokens
        and any(len(done) < beams for done in finished)
        and not (stop and stop())
    ):
        length += 1
        log_p = model.decode_step(sequences[:, -1:], memory, padding, cache).log_softmax(
            -1
        )  # (B·W, V)
        # Twice as many candidates as beams: each beam can end in one way only, so W of them go on.
        best, index = (scores.view(-1, 1) + log_p).view(batch, -1).topk(2 * beams)  # (B, 2W) of W·V
        tokens, origins = index % log_p.shape[-1], first_row + index // log_p.shape[-1]  # (B, 2W)
        ends = tokens == eos
        _collect(
            finished,
            best,
            origins,
            sequences,
            ends & (torch.arange(2 * beams, device=device) < beams),
            length**length_penalty,
            beams,
        )
        scores, kept = best.masked_fill(ends, -math.inf).topk(beams)  # (B, W)
        rows = origins.gather(1, kept).flatten()  # (B·W,)
        sequences = torch.cat((sequences[rows], tokens.gather(1, kept).view(-1, 1)), 1)
        cache.keep_rows(rows)
    every_row = first_row + torch.arange(beams, device=device)  # (B, W)
    _collect(
        finished,
        scores,
        every_row,
        sequences,
        torch.isfinite(scores),
        max(1, length) ** length_penalty,
        beams,
    )
    return [sorted(done, key=lambda item: -item[0]) for done in finished]


def _collect(
    finished: list[list[tuple[float, list[int]]]],
    scores: Tensor,
    rows: Tensor,
    sequences: Tensor,
    chosen: Tensor,
    normalisation: float,
    beams: int,
) -> None:
    """Add the chosen hypotheses (scores, rows of `sequences` and choice: (B, W)) to sentences that
    want more."""
    for sentence, number in (chosen & torch.isfinite(scores)).nonzero().tolist():
        if len(finished[sentence]) < beams:
            score = scores[sentence, number].item() / normalisation
            finished[sentence].append((score, sequences[rows[sentence, number], 1:].tolist()))


def keep_likely(logits: Tensor, *, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Logits (…, V) with the unlikely tokens at -∞: all but the `top_k` likeliest (0: keep all),
    and of these all but the smallest set whose probabilities add up to at least `top_p` (Holtzman
    et al. 2020)."""
    if 0 < top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[..., -1:]  # (…, 1)
        logits = logits.masked_fill(logits < least, -math.inf)
    if top_p < 1.0:
        ordered, order = logits.sort(-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(
            -1
        )  # (…, V): the mass of the likelier tokens
        unlikely = (before >= top_p).scatter(-1, order, before >= top_p)
        logits = logits.masked_fill(unlikely, -math.inf)
    return logits


@torch.no_grad()
def sample(
    model: CausalLanguageModel | RecurrentLanguageModel,
    prompt: Tensor,
    *,
    max_new_tokens: int,
    eos: int | None = None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[list[int]]:
    """Continue each prompt (B, T) token by token, drawn from softmax(logits / temperature) after
    `keep_likely`.

    temperature 0 takes the most probable token. Returns the B continuations, without `eos`, where
    each ends.
    """
    cache, newest = model.new_cache(), prompt
    sequences: list[list[int]] = [[] for _ in range(prompt.shape[0])]
    alive = [True] * prompt.shape[0]
    for _ in range(max_new_tokens):
        if not any(alive) or (stop is not None and stop()):
            break
        logits = model.decode_step(newest, cache)  # (B, V)
        if temperature == 0:
            newest = logits.argmax(-1, keepdim=True)  # (B, 1)
        else:
            likely = keep_likely(logits / temperature, top_k=top_k, top_p=top_p)
            newest = torch.multinomial(likely.softmax(-1), 1, generator=generator)  # (B, 1)
        for row, token in enumerate(newest[:, 0].tolist()):
            alive[row] = alive[row] and token != eos
            if alive[row]:
                sequences[row].append(token)
    return sequences
