"""More training data out of the same rows: noise on source tokens, and back-translation."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from llm_magics.errors import DataError
from llm_magics.training.data.tokenizer import SPECIAL

__all__ = ["back_translated", "drop_tokens", "swap_tokens"]

_TEXTS_AT_ONCE = 256


def drop_tokens(ids: list[int], share: float, rng: random.Random) -> list[int]:
    """`ids` with each token left out at probability `share`, but never all of them and never the
    end mark.

    The word dropout of Iyyer et al. (2015, §3.3), and of Lample et al. (2018, §2.3) for sequence
    models.
    """
    body, end = _apart(ids)
    kept = [token for token in body if rng.random() >= share]
    return [*(kept or rng.sample(body, min(1, len(body)))), *end]


def swap_tokens(ids: list[int], share: float, rng: random.Random, window: int = 3) -> list[int]:
    """`ids` with about `share` of the tokens in the place of another, at most `window` places away;
    the end mark stays.

    Local word order noise as in Artetxe et al. (2018, §3.3: neighbours change places) and Lample et
    al. (2018, §2.3: a permutation in which none moves further than k). Departure from both: no
    token moves twice, so `share` is met.
    """
    body, end = _apart(ids)
    free = [True] * len(body)
    for here in range(len(body)):
        there = here + rng.randint(
            1, window
        )  # both numbers are drawn for every token: the noise of one is
        chosen = (
            rng.random() < share / 2
        )  # the same whatever the others do; a swap moves two, hence half
        if chosen and there < len(body) and free[here] and free[there]:
            body[here], body[there] = body[there], body[here]
            free[here] = free[there] = False
    return [*body, *end]


def back_translated(
    targets: Sequence[str],
    translate: Callable[[list[str]], list[str]],
    on_progress: Callable[[int, int, int], None] | None = None,
) -> list[tuple[str, str]]:
    """(Machine-made source, real target) of each different target (Sennrich et al. 2016, §3.2).

    translate: from target texts to as many source texts. Targets that come back empty or as they
    were are dropped. on_progress: called with (targets done, targets in all, targets dropped so
    far). Raises DataError where `translate` gives another number of texts.
    """
    different = list(dict.fromkeys(targets))
    pairs: list[tuple[str, str]] = []
    for start in range(0, len(different), _TEXTS_AT_ONCE):
        some = different[start : start + _TEXTS_AT_ONCE]
        sources = translate(some)
        if len(sources) != len(some):
            raise DataError(
                f"back-translation gave {len(sources)} texts for {len(some)}; expected one each"
            )
        pairs.extend(
            (source.strip(), target)
            for source, target in zip(sources, some, strict=True)
            if source.strip() and source.strip() != target.strip()
        )
        if on_progress is not None:
            done = start + len(some)
            on_progress(done, len(different), done - len(pairs))
    return pairs


def _apart(ids: list[int]) -> tuple[list[int], list[int]]:
    """(A copy of the tokens, [end mark] or [])."""
    cut = len(ids) - (1 if ids and ids[-1] == SPECIAL["eos"] else 0)
    return ids[:cut], ids[cut:]
