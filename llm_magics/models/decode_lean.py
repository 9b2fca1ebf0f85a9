"""Greedy decoding without the overhead of `generate`: one loop over a key-value cache that is allocated once.

A row that is finished leaves the batch at once: the last row moves into its place, so that the rows that go on stay
together at the front of every buffer and a step computes nothing for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from llm_magics.models.decode_lean_causal import CausalSteps, causal_fits
from llm_magics.models.decode_lean_rules import Rules, rules_of
from llm_magics.models.decode_lean_seq2seq import STEPS

__all__ = ["Steps", "greedy", "lean_greedy"]

Watch = Callable[[list[list[int]]], bool]


class Steps(Protocol):
    """A model that reads one more token per row at each step; n is the number of rows that still go on."""

    def start(self) -> Any:
        """Logits (B, V) of the first token to write."""
        ...

    def step(self, tokens: Any) -> Any:
        """Logits (n, V) behind the tokens (n,) just written."""
        ...

    def replace(self, slot: int, last: int) -> None:
        """Row `last` moves to `slot`; rows from `last` on are no longer computed."""
        ...


def lean_greedy(
    module: Any, config: Any, inputs: Any, mask: Any, limits: Sequence[int], watch: Watch
) -> list[list[int]] | None:
    """The tokens `generate` would write greedily for `inputs`, or None where only `generate` itself is sure to.

    `config` is a GenerationConfig whose gaps are filled by the model's own; `inputs` and `mask` (1 = real) are (B, S), as
    `generate` takes them. A row of the result ends with the token that ends it, or after `limits` of that row.
    `watch(rows so far)` is called after every token; True stops all rows.
    """
    import torch

    causal = not module.config.is_encoder_decoder
    rules = rules_of(module, config, start=inputs.shape[1] if causal else 1)
    if rules is None or not _is_as_published(module):
        return None
    most = max(limits)
    with torch.no_grad():
        if causal:
            if not causal_fits(module, inputs.shape[1] + most):
                return None
            steps: Steps = CausalSteps(module, inputs, mask, most)
            history = inputs
        else:
            build = STEPS.get(type(module).__name__)
            if build is None or rules.decoder_start is None or module.dtype == torch.float16:
                return None  # in float16 some families clamp between their layers
            steps = build(module, inputs, mask, most, rules.decoder_start)
            history = inputs.new_full((len(inputs), 1), rules.decoder_start)
        return greedy(steps, rules, history, limits, watch)


def greedy(steps: Steps, rules: Rules, prompts: Any, limits: Sequence[int], watch: Watch) -> list[list[int]]:
    """Most probable tokens, row by row; `prompts` (B, start) are what stands before the first token written."""
    import torch

    written: list[list[int]] = [[] for _ in limits]
    rows = list(range(len(limits)))  # slot -> row
    history = rules.history(prompts, max(limits))
    logits = steps.start()
    while True:
        chosen = rules.scores(logits, [limits[row] - len(written[row]) for row in rows], history).argmax(-1)  # (n,)
        tokens = chosen.tolist()
        for row, token in zip(rows, tokens, strict=True):
            written[row].append(token)
        if history is not None:
            history[: len(rows), rules.start + rules.done - 1] = chosen
        for slot in range(len(rows) - 1, -1, -1):
            row = rows[slot]
            if tokens[slot] not in rules.ends and len(written[row]) < limits[row]:
                continue
            last = len(rows) - 1
            if slot < last:
                rows[slot], tokens[slot] = rows[last], tokens[last]
                if history is not None:
                    history[slot] = history[last]
            steps.replace(slot, last)
            rows.pop()
        if watch(written) or not rows:
            return written
        if len(rows) < len(chosen):
            chosen = torch.tensor(tokens[: len(rows)], device=chosen.device)
        logits = steps.step(chosen)


def _is_as_published(module: Any) -> bool:
    """Whether its own forward pass is what the lean one repeats: no subclass, no hook, no attention of somebody else."""
    if not type(module).__module__.startswith("transformers.models.") or "forward" in vars(module):
        return False
    if module.config._attn_implementation not in ("sdpa", "eager"):
        return False
    return not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
