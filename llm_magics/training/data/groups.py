"""Held-out rows that share nothing with the training rows: whole groups, such as all questions
about one article."""

from __future__ import annotations

import random
from collections import Counter
from itertools import compress

from llm_magics.errors import DataError
from llm_magics.training.data.rows import Rows
from llm_magics.training.recipe.recipe import Data

__all__ = ["held_out_groups"]


def held_out_groups(train: Rows, data: Data, share: float) -> tuple[Rows, Rows, Rows]:
    """(Training, validation, test) of rows whose last value names their group; it is taken off.

    Test rows are those of `data.test_groups`. For validation, groups are drawn until they hold
    `share` of the other rows; 0 draws none. Raises DataError for a test group without rows, and
    where the groups are too few to hold one out.
    """
    groups = [row[-1] for row in train.values]
    sizes = Counter(groups)
    for name in data.test_groups:
        if name not in sizes:
            raise DataError(
                f"data.test_groups names {name!r}, which no training row has in its column "
                f"{data.group!r}; there is {', '.join(map(repr, list(sizes)[:5]))}"
                + (" …" if len(sizes) > 5 else "")
            )
    test = set(data.test_groups)
    others = {name: size for name, size in sizes.items() if name not in test}
    validation = _drawn(others, data, share) if share else set()
    bare = Rows([row[:-1] for row in train.values], train.places, train.skipped)
    kept = _of(bare, [name not in test | validation for name in groups])
    return kept, _held_out(bare, groups, validation), _held_out(bare, groups, test)


def _drawn(sizes: dict[str, int], data: Data, share: float) -> set[str]:
    """Groups that hold at least `share` of the rows; one group stays for the training whatever the
    share."""
    if len(sizes) < 2:
        raise DataError(
            f"the column {data.group!r} has {len(sizes)} values beside data.test_groups; two or "
            "more are needed to hold one out (or name validation data, or set "
            "data.validation_share = 0.0)"
        )
    names = sorted(sizes)
    random.Random(data.seed).shuffle(names)
    wanted, drawn = share * sum(sizes.values()), []
    while len(drawn) < len(names) - 1 and sum(sizes[name] for name in drawn) < wanted:
        drawn.append(names[len(drawn)])
    return set(drawn)


def _of(rows: Rows, chosen: list[bool]) -> Rows:
    return Rows(
        list(compress(rows.values, chosen)), list(compress(rows.places, chosen)), rows.skipped
    )


def _held_out(rows: Rows, groups: list[str], names: set[str]) -> Rows:
    found = _of(rows, [name in names for name in groups])
    return Rows(found.values, found.places, [])  # a bad row was read once, so it counts once
