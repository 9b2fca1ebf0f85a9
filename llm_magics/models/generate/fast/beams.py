"""Beam search over the steps of a lean model: the hypotheses of transformers' `generate`, in its
order.

Letters: B sources, n of which go on, b beams, V words. At each step the best (1 + number of end
tokens) b, and at least 2 b, continuations of the beams of a source are looked at. Those that end
and are among the first b join the b best ended hypotheses of the source; the first b that do not
end go on. A source leaves the batch when it has nothing left to win: none of its beams can become
better than its worst ended hypothesis, as `early_stopping` reckons it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llm_magics.models.generate.fast.rules import History, Rules

__all__ = ["search"]

_BLOCK = 128
"""Words of a vocabulary of which the best one is looked at first."""
_NEVER = -1e9
"""The score of what may not be chosen; that of `generate`, which adds it to others."""


def search(
    steps: Any,
    rules: Rules,
    prompts: Any,
    mask: Any,
    limits: Sequence[int],
    stop: Callable[[], bool],
) -> list[list[int]]:
    """The `rules.wanted` best hypotheses of every source, best first: their tokens, one source's
    after another's.

    `prompts` (B, start), with `mask` (1 = real), are what stands before the first token written;
    each source writes at most its own of `limits`. `stop()` is asked before every token is taken;
    once true, the search ends with that token.
    """
    found: list[list[list[int]]] = [[] for _ in limits]
    beams = _Beams(rules, prompts, mask, limits)
    log_probs = beams.first(steps.start())  # (n, b, V)
    while True:
        stopped = stop()
        beams.take(*_best(log_probs, beams.scores, beams.looked_at), stopped)
        stay = list(range(len(beams.sources)))
        for slot in reversed(stay[:] if stopped else beams.over()):
            found[beams.sources[slot]] = beams.hypotheses(slot)
            steps.replace(slot, len(stay) - 1)
            stay[slot] = stay[-1]
            stay.pop()
        if not stay:
            return [tokens for hypotheses in found for tokens in hypotheses]
        if len(stay) < len(beams.sources):
            beams.keep(stay)
        steps.follow(beams.parents)
        log_probs = beams.later(steps.step(beams.newest().flatten()))


def _best(log_probs: Any, scores: Any, count: int) -> tuple[Any, Any, Any]:
    """(Score, beam, token) of the `count` best continuations, each (n, count), of beams with
    `scores` (n, b)."""
    import torch

    n, _, words = log_probs.shape
    blocks = words // _BLOCK
    if (
        blocks <= count or log_probs.stride(1) == 0
    ):  # few words, or the first step, where all beams are one
        total, places = (log_probs + scores[:, :, None]).flatten(1).topk(count)
        return total, places // words, places % words
    # The best are in the blocks whose best are best: only these are looked at one by one, with the
    # words behind the blocks.
    whole = log_probs[:, :, : blocks * _BLOCK].unflatten(
        2, (blocks, _BLOCK)
    )  # (n, b, blocks, _BLOCK)
    best = (
        (whole.amax(3) + scores[:, :, None]).flatten(1).topk(count)[1]
    )  # (n, count), b-th of `blocks` each
    rows, beam, block = torch.arange(n, device=best.device)[:, None], best // blocks, best % blocks
    inner = whole[rows, beam, block] + scores.gather(1, beam)[:, :, None]  # (n, count, _BLOCK)
    rest = log_probs[:, :, blocks * _BLOCK :] + scores[:, :, None]  # (n, b, fewer than _BLOCK)
    total, places = torch.cat([inner.flatten(1), rest.flatten(1)], 1).topk(count)
    each = torch.arange(_BLOCK, device=best.device)
    tokens = torch.cat(
        [(block[:, :, None] * _BLOCK + each).flatten(1), _each_word(rest, blocks * _BLOCK)], 1
    )
    owners = torch.cat([beam.repeat_interleave(_BLOCK, 1), _each_beam(rest)], 1)
    return total, owners.gather(1, places), tokens.gather(1, places)


def _each_word(rest: Any, first: int) -> Any:
    """The word of each of `rest` (n, b, words), flat (n, b words)."""
    import torch

    return (first + torch.arange(rest.shape[2], device=rest.device)).expand_as(rest).flatten(1)


def _each_beam(rest: Any) -> Any:
    """The beam of each of `rest` (n, b, words), flat (n, b words)."""
    import torch

    return torch.arange(rest.shape[1], device=rest.device)[:, None].expand_as(rest).flatten(1)


_HELD = (
    "tokens",
    "scores",
    "parents",
    "padding",
    "ended",
    "ended_scores",
    "has_ended",
    "_limit",
    "_longest",
)
"""What `_Beams` has for each source."""


class _Beams:
    """The beams of the sources that go on, and the best hypotheses that have ended; first dimension
    (n, …)."""

    def __init__(self, rules: Rules, prompts: Any, mask: Any, limits: Sequence[int]) -> None:
        import torch

        n, b, most, device = len(prompts), rules.beams, max(limits), prompts.device
        self.rules, self.limits, self.written = rules, list(limits), 0
        self.sources = list(range(n))
        """Slot -> source."""
        history = rules.history(prompts, mask, most)
        self.padding = history.padding  # (n,)
        self.tokens = history.tokens[:, None].repeat(1, b, 1)  # (n, b, start + most)
        self.scores = torch.zeros((n, b), device=device)
        self.scores[:, 1:] = _NEVER  # at first all beams are the same: one counts
        self.ended = torch.full((n, b, most), -1, device=device)  # tokens, -1 behind them
        self.ended_scores = torch.full((n, b), _NEVER, device=device)
        self.has_ended = torch.zeros((n, b), dtype=torch.bool, device=device)
        self.parents: Any = None  # (n, b), where each beam came from
        self.looked_at = max(2, 1 + len(rules.ends)) * b
        self._ends = torch.tensor(sorted(rules.ends), device=device)
        self._limit = torch.tensor(limits, device=device)[:, None]  # (n, 1)
        longest = [limit**rules.length_penalty for limit in limits]
        self._longest = torch.tensor(longest, device=device, dtype=torch.float32)[:, None]

    def first(self, logits: Any) -> Any:
        """Log-probabilities (n, b, V) of logits (n, V), which are those of all beams."""
        scores = self._by_rules(logits, History(self.tokens[:, 0], self.padding), 1)
        return scores[:, None].expand(-1, self.rules.beams, -1)

    def later(self, logits: Any) -> Any:
        """Log-probabilities (n, b, V) of logits (n b, V)."""
        b = self.rules.beams
        history = History(self.tokens.flatten(0, 1), self.padding.repeat_interleave(b))
        return self._by_rules(logits, history, b).unflatten(0, (-1, b))

    def _by_rules(self, logits: Any, history: History, each: int) -> Any:
        left = [self.limits[source] - self.written for source in self.sources for _ in range(each)]
        return self.rules.scores(logits.float().log_softmax(-1), left, history)

    def take(self, scores: Any, parents: Any, tokens: Any, stopped: bool) -> None:
        """Goes on with the best continuations of each source, (n, looked_at) best first, and keeps
        those that end."""
        import torch

        b, end = self.rules.beams, self.rules.start + self.written
        ends = torch.isin(tokens, self._ends) | (self._limit <= self.written + 1) | stopped
        if bool(ends[:, :b].any()):
            self._end(scores[:, :b], parents[:, :b], tokens[:, :b], ends[:, :b])
        scores = scores + ends * _NEVER
        self.scores, first = scores.topk(b)
        self.parents, chosen = parents.gather(1, first), tokens.gather(1, first)
        self.tokens[:, :, :end] = self.tokens[:, :, :end].gather(
            1, self.parents[:, :, None].expand(-1, -1, end)
        )
        self.tokens[:, :, end] = chosen
        self.written += 1

    def _end(self, scores: Any, parents: Any, tokens: Any, ends: Any) -> None:
        """Puts those of the b best continuations, each (n, b), that end among the b best hypotheses
        that have."""
        import torch

        start, t = self.rules.start, self.written
        scores = scores / (t + 1) ** self.rules.length_penalty + ~ends * _NEVER
        written = self.tokens[:, :, start : start + t].gather(
            1, parents[:, :, None].expand(-1, -1, t)
        )
        fresh = torch.full_like(self.ended, -1)
        fresh[:, :, :t], fresh[:, :, t] = written, tokens
        self.ended_scores, best = torch.cat([self.ended_scores, scores], 1).topk(self.rules.beams)
        self.ended = torch.cat([self.ended, fresh], 1).gather(
            1, best[:, :, None].expand_as(self.ended)
        )
        self.has_ended = torch.cat([self.has_ended, ends], 1).gather(1, best)

    def over(self) -> list[int]:
        """The slots of the sources that have nothing left to win, in their order."""
        import torch

        early, penalty = self.rules.early_stopping, self.rules.length_penalty
        longest = self._longest if early == "never" and penalty > 0.0 else self.written**penalty
        worst = torch.where(
            self.has_ended, self.ended_scores.amin(1, keepdim=True), _NEVER
        )  # (n, b)
        can_win = (self.scores[:, :1] / longest > worst).any(1, keepdim=True)
        over = ~can_win | (self._limit <= self.written)  # (n, 1)
        if early is True:
            over |= self.has_ended.all(1, keepdim=True)
        return over[:, 0].nonzero()[:, 0].tolist()

    def hypotheses(self, slot: int) -> list[list[int]]:
        """The tokens of the best hypotheses of a slot, best first."""
        rows = self.ended[slot, : self.rules.wanted].tolist()
        return [row[: row.index(-1)] if -1 in row else row for row in rows]

    def newest(self) -> Any:
        """The tokens (n, b) written last."""
        return self.tokens[:, :, self.rules.start + self.written - 1]

    def keep(self, slots: list[int]) -> None:
        """Goes on with the sources of these slots, in this order."""
        import torch

        self.sources = [self.sources[slot] for slot in slots]
        index = torch.tensor(slots, device=self.tokens.device)
        for name in _HELD:
            setattr(self, name, getattr(self, name)[index])
