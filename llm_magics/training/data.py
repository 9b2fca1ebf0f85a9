"""Rows of text pairs, and batches of them in an order that is a function of seed and epoch alone."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_magics.errors import DataError
from llm_magics.training.number_words import number_words
from llm_magics.training.recipe import Data

__all__ = ["Batch", "PairData", "batches", "find_file", "load_data", "read_pairs"]

Pair = tuple[str, str]
Encoded = tuple[list[int], list[int]]


@dataclass(frozen=True)
class PairData:
    """The three parts of a corpus, each a list of (source, target)."""

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]


@dataclass(frozen=True)
class Batch:
    """One batch of encoded rows, and which rows of the part they are."""

    rows: list[int]
    pairs: list[Encoded]
    position: int
    """Index of the batch in its epoch."""
    count: int
    """Batches in the epoch."""


def load_data(data: Data) -> PairData:
    """Read or generate the data a recipe names."""
    if data.source == "number-words":
        return PairData(**number_words(data.languages or ("en", "de", "fr", "es"), data.largest, data.seed))
    parts = {part: read_pairs(find_file(name), data.source_field, data.target_field) if name else []
             for part, name in (("train", data.train), ("validation", data.validation), ("test", data.test))}
    if not parts["train"]:
        raise DataError(f"{data.train}: no rows to train on")
    return PairData(**parts)


def find_file(name: str) -> Path:
    """The data file `name`: absolute, in $LLM_MAGICS_DATA, or relative to the working directory."""
    path = Path(name).expanduser()
    tried = [path] if path.is_absolute() else [Path(root) / path for root in (os.environ.get("LLM_MAGICS_DATA"), ".") if root]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    raise DataError(f"data file {name!r} not found; looked for {', '.join(map(str, tried))}. "
                    "Set LLM_MAGICS_DATA to the folder that holds it")


def read_pairs(path: Path, source_field: str, target_field: str) -> list[Pair]:
    """The two fields of every line of a .jsonl or .jsonl.gz file; a bad line is an error that names it."""
    opener = gzip.open if path.suffix == ".gz" else open
    pairs = []
    with opener(path, "rt", encoding="utf-8-sig", newline="\n") as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    pairs.append(_pair(line, f"{path.name}:{number}", source_field, target_field))
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise DataError(f"{path.name}: cannot be read after {len(pairs)} rows: {error}") from None
    return pairs


def _pair(line: str, place: str, source_field: str, target_field: str) -> Pair:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{place}: not a JSON object ({error}): {line[:80]!r}") from None
    if not isinstance(row, dict):
        raise DataError(f"{place}: expected a JSON object, got {type(row).__name__}: {line[:80]!r}")
    for name in (source_field, target_field):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise DataError(f"{place}: field {name!r} is missing, empty or not text; fields: {', '.join(map(str, row))[:80]}")
    return row[source_field], row[target_field]


def batches(pairs: Sequence[Encoded], tokens: int, *, seed: int, epoch: int, join: float = 0.0,
            longest: int = 10_000) -> Iterator[Batch]:
    """The batches of one epoch; the order depends on seed and epoch only, so a resumed run sees what it would have.

    Rows of similar length share a batch, whose rows × (longest source + longest target) stays within 2 × `tokens`
    where one row does; the batches come in random order. With `join` that share of the rows gets another one
    appended (both sides), up to `longest` tokens a side.
    """
    rng = random.Random(f"{seed} {epoch}")
    joined = _join(pairs, join, longest, rng) if join else pairs
    order = list(range(len(joined)))
    rng.shuffle(order)  # ties in length fall in a new order every epoch
    order.sort(key=lambda row: (len(joined[row][1]) + rng.random() * 2, len(joined[row][0])))
    groups: list[list[int]] = []
    widest = 0
    for row in order:
        width = len(joined[row][0]) + len(joined[row][1])
        if groups and (len(groups[-1]) + 1) * max(widest, width) <= 2 * tokens:
            groups[-1].append(row)
            widest = max(widest, width)
        else:
            groups.append([row])
            widest = width
    rng.shuffle(groups)
    for position, rows in enumerate(groups):
        yield Batch(rows, [joined[row] for row in rows], position, len(groups))


def _join(pairs: Sequence[Encoded], share: float, longest: int, rng: random.Random) -> list[Encoded]:
    """Every row, some with another row behind it (the first row's end mark is dropped)."""
    joined = []
    for source, target in pairs:
        if rng.random() < share:
            more_source, more_target = pairs[rng.randrange(len(pairs))]
            if len(source) + len(more_source) <= longest and len(target) + len(more_target) <= longest:
                source, target = source[:-1] + more_source, target[:-1] + more_target
        joined.append((source, target))
    return joined
