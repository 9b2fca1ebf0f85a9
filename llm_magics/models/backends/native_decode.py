"""One batch through a model of `llm_magics.nn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_magics.models.backends.loaded import LoadedModel

if TYPE_CHECKING:
    from llm_magics.models.generate.generate import Generation, Request

__all__ = ["decode_batch"]


def decode_batch(
    model: LoadedModel, ids: list[list[int]], positions: list[int], request: Request
) -> list[Generation]:
    """Greedy or beam decoding of token lists; `positions` are the indices reported to `on_text`."""
    import torch

    from llm_magics.models.generate.generate import Generation, Throttle, different
    from llm_magics.nn.decoding import greedy, n_best

    tokenizer, special = model.tokenizer, model.tokenizer.special
    longest = max(map(len, ids))
    padded = [tokens + [special["pad"]] * (longest - len(tokens)) for tokens in ids]
    source = torch.tensor(padded, device=model.device)  # (B, S)
    lengths = torch.tensor([len(tokens) for tokens in ids], device=model.device)
    padding = (
        torch.arange(longest, device=model.device)[None] >= lengths[:, None]
    )  # (B, S), True = padding
    limit = request.max_new_tokens or 2 * longest + 32
    throttle, was_stopped = Throttle(), []

    def on_token(sequences: list[list[int]]) -> None:
        if request.on_text is not None and throttle.due():
            for position, tokens in zip(positions, sequences, strict=True):
                request.on_text(position, tokenizer.decode_target(tokens), False)

    def stop() -> bool:
        if request.stopped():
            was_stopped.append(True)
        return bool(was_stopped)

    common = {"bos": special["bos"], "eos": special["eos"], "max_new_tokens": limit, "stop": stop}
    if request.num_beams > 1:  # a beam may change its mind, so nothing is streamed
        found = n_best(model.module, source, padding, beams=request.num_beams, **common)
        written = [[tokens for _, tokens in hypotheses] for hypotheses in found]
    else:
        written = [
            [tokens]
            for tokens in greedy(model.module, source, padding, on_token=on_token, **common)
        ]
    texts = [
        [tokenizer.decode_target(tokens) for tokens in row[: request.alternatives + 1]]
        for row in written
    ]
    return [
        Generation(
            best,
            tuple(row[0]),
            len(read),
            min(len(row[0]) + 1, limit),
            not was_stopped,
            different(best, others),
        )
        for (best, *others), row, read in zip(texts, written, ids, strict=True)
    ]
