"""Decoding without the overhead of `generate`: one loop over a key-value cache that is allocated
once.

A row that is finished leaves the batch at once: the last row moves into its place, so that the rows
that go on stay together at the front of every buffer and a step computes nothing for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from llm_magics.models.generate.fast.beams import search
from llm_magics.models.generate.fast.causal import CausalSteps, causal_fits
from llm_magics.models.generate.fast.rules import History, Rules, rules_of
from llm_magics.models.generate.fast.seq2seq import STEPS

__all__ = ["Steps", "greedy", "lean_rows"]

Watch = Callable[[list[list[int]]], bool]


class Steps(Protocol):
    """A model that reads one more token per row at each step: of n sources that still go on, b
    beams each (greedy: 1)."""

    def start(self) -> Any:
        """Logits (B, V) of the first token to write."""
        ...

    def step(self, tokens: Any) -> Any:
        """Logits (n b, V) behind the tokens (n b,) just written."""
        ...

    def follow(self, parents: Any) -> None:
        """Beam j of a source goes on from its beam `parents[:, j]`, (n, b)."""
        ...

    def replace(self, slot: int, last: int) -> None:
        """Source `last` moves to `slot`; sources from `last` on are no longer computed."""
        ...


def lean_rows(
    module: Any, config: Any, inputs: Any, mask: Any, limits: Sequence[int], watch: Watch
) -> list[list[int]] | None:
    """The tokens `generate` would write for `inputs`, or None where only `generate` itself is sure
    to.

    `config` is a GenerationConfig whose gaps are filled by the model's own; `inputs` and `mask` (1
    = real) are (B, S), as `generate` takes them. There are as many rows as it returns:
    `num_return_sequences` for each source, best first. A row ends with the token that ends it, or
    after `limits` of its source. `watch(rows so far)` is called at every token, by a beam search
    without rows, since its beams may change their minds; True stops all rows.
    """
    import torch

    causal = not module.config.is_encoder_decoder
    rules = rules_of(module, config, start=inputs.shape[1] if causal else 1)
    if rules is None or not _is_as_published(module):
        return None
    with torch.no_grad():
        steps = _steps(module, rules, inputs, mask, max(limits))
        if steps is None:
            return None
        if not causal:
            inputs = inputs.new_full((len(inputs), 1), rules.decoder_start)
            mask = torch.ones_like(inputs)
        if rules.beams > 1:
            return search(steps, rules, inputs, mask, limits, lambda: watch([]))
        history = rules.history(inputs, mask, max(limits)) if rules.looks_back else None
        return greedy(steps, rules, history, limits, watch)


def _steps(module: Any, rules: Rules, inputs: Any, mask: Any, most: int) -> Steps | None:
    import torch

    if not module.config.is_encoder_decoder:
        return (
            CausalSteps(module, inputs, mask, most, rules.beams)
            if causal_fits(module, inputs.shape[1] + most)
            else None
        )
    build = STEPS.get(type(module).__name__)
    if build is None or rules.decoder_start is None or module.dtype == torch.float16:
        return None  # in float16 some families clamp between their layers
    return build(module, inputs, mask, most, rules.decoder_start, rules.beams)


def greedy(
    steps: Steps, rules: Rules, history: History | None, limits: Sequence[int], watch: Watch
) -> list[list[int]]:
    """Most probable tokens, row by row; `history` begins with what stands before the first token
    written."""
    import torch

    written: list[list[int]] = [[] for _ in limits]
    rows = list(range(len(limits)))  # slot -> row
    logits = steps.start()
    while True:
        chosen = _largest(
            rules.scores(logits, [limits[row] - len(written[row]) for row in rows], history)
        )  # (n,)
        tokens = chosen.tolist()
        for row, token in zip(rows, tokens, strict=True):
            written[row].append(token)
        if history is not None:
            history.write(rules.start + rules.done - 1, chosen)
        for slot in range(len(rows) - 1, -1, -1):
            row = rows[slot]
            if tokens[slot] not in rules.ends and len(written[row]) < limits[row]:
                continue
            last = len(rows) - 1
            if slot < last:
                rows[slot], tokens[slot] = rows[last], tokens[last]
                if history is not None:
                    history.move(slot, last)
            steps.replace(slot, last)
            rows.pop()
        if watch(written) or not rows:
            return written
        if len(rows) < len(chosen):
            chosen = torch.tensor(tokens[: len(rows)], device=chosen.device)
        logits = steps.step(chosen)


def _largest(scores: Any) -> Any:
    """The place of the largest number of each row."""
    import torch

    if scores.device.type != "cpu":
        return scores.argmax(-1)
    return torch.from_numpy(
        scores.numpy().argmax(-1)
    )  # a tenth of the time of torch's own on a CPU


def _is_as_published(module: Any) -> bool:
    """Whether its own forward pass is what the lean one repeats: no subclass, no hook, no attention
    of somebody else."""
    if not type(module).__module__.startswith("transformers.models.") or "forward" in vars(module):
        return False
    if module.config._attn_implementation not in ("sdpa", "eager"):
        return False
    return not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
