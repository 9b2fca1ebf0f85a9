"""One batch through a model of `llm_magics.nn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_magics.models.loaded import LoadedModel

if TYPE_CHECKING:
    from llm_magics.models.generation import Generation, Request

__all__ = ["decode_batch"]


def decode_batch(
    model: LoadedModel, ids: list[list[int]], positions: list[int], request: Request
) -> list[Generation]:
    """Greedy decoding of token lists; `positions` are the indices reported to `on_text`."""
    import torch

    from llm_magics.models.generation import Generation, Throttle
    from llm_magics.nn.decoding import greedy

    tokenizer, special = model.tokenizer, model.tokenizer.special
    longest = max(map(len, ids))
    padded = [tokens + [special["pad"]] * (longest - len(tokens)) for tokens in ids]
    source = torch.tensor(padded, device=model.device)  # (B, S)
    lengths = torch.tensor([len(tokens) for tokens in ids], device=model.device)
    padding = torch.arange(longest, device=model.device)[None] >= lengths[:, None]  # (B, S), True = padding
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

    written = greedy(
        model.module, source, padding, bos=special["bos"], eos=special["eos"], max_new_tokens=limit,
        on_token=on_token, stop=stop,
    )  # fmt: skip
    return [
        Generation(
            tokenizer.decode_target(tokens), tuple(tokens), len(read), min(len(tokens) + 1, limit), not was_stopped
        )
        for tokens, read in zip(written, ids, strict=True)
    ]
