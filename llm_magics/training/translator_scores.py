"""How good a translator that ships is: first sentences, two corpora, and what must never come out.

first sentences   share of answers that a person accepts, of a list written by hand
bleu              sacreBLEU (cased, detokenised) of the recipe's test rows
flores chrf       chrF2 of FLORES dev, where it is at hand
loops, broken characters, empty     answers of all of these that go round, hold U+FFFD or nothing
"""

from __future__ import annotations

import json
import re
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llm_magics.metrics import score
from llm_magics.models.folder.native_tokenizer import NativeTokenizer
from llm_magics.nn.decoding import greedy
from llm_magics.training.data.answers import expanded, first
from llm_magics.training.data.batches import bucketed
from llm_magics.training.data.tokenizer import SPECIAL
from llm_magics.training.objectives.base import padded

__all__ = ["Scores", "Task", "is_accepted", "is_loop", "read_tasks", "scores_of", "translated"]

_BATCH_TOKENS = 4_000
_TIMED = 20
_LOOP = re.compile(r"(.{1,24}?)\1{3,}")
_MARKS = re.compile(r"[^\w\s]|_")


@dataclass(frozen=True)
class Task:
    """One sentence of the list, in one direction."""

    kind: str
    """"phrase" (learnt, as a set phrase is) or "sentence" (never seen in training)."""
    source: str
    accepted: tuple[str, ...]
    """Patterns, see `answers`."""


@dataclass
class Scores:
    """The figures of one translator; shares in percent."""

    figures: dict[str, float] = field(default_factory=dict)
    asked: int = 0
    """First sentences."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """(Source, answer) of the first sentences that nobody accepts."""


def read_tasks(path: Path, source: str, target: str) -> list[Task]:
    """The list of first sentences in one direction."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [Task(row["kind"], first(row[source][0]), tuple(row[target])) for row in rows]


def is_accepted(answer: str, accepted: Sequence[str], *, any_case: bool = False) -> bool:
    """Whether the answer is one of those, but for marks, spaces and its first letter's case."""
    given = _bare(answer, any_case)
    return any(
        given == _bare(sentence, any_case) for pattern in accepted for sentence in expanded(pattern)
    )


def _bare(text: str, any_case: bool) -> str:
    text = unicodedata.normalize("NFC", text).replace("ß", "ss").replace("œ", "oe")
    text = "".join(_MARKS.sub("", text).split())
    return text.casefold() if any_case else text[:1].casefold() + text[1:]


def is_loop(text: str) -> bool:
    """Whether a piece of the text stands four times in a row; dots and digits may."""
    return any(re.search(r"[^\W\d]", match[1]) for match in _LOOP.finditer(text))


@torch.no_grad()
def translated(module: nn.Module, tokenizer: NativeTokenizer, texts: Sequence[str]) -> list[str]:
    """The model's greedy translations."""
    device = next(module.parameters()).device
    encoded, results = tokenizer.encode_source(list(texts)), [""] * len(texts)
    for batch in bucketed(encoded, _BATCH_TOKENS, lambda ids: (len(ids),), seed=0, epoch=0):
        src = padded(batch.items, device)
        written = greedy(
            module,
            src,
            src == SPECIAL["pad"],
            bos=SPECIAL["bos"],
            eos=SPECIAL["eos"],
            max_new_tokens=int(1.5 * src.shape[1]) + 10,
        )
        for row, sequence in zip(batch.rows, written, strict=True):
            results[row] = tokenizer.decode_target(sequence)
    return results


def scores_of(
    module: nn.Module,
    tokenizer: NativeTokenizer,
    target: str,
    tasks: Sequence[Task],
    corpora: dict[str, tuple[str, Sequence[tuple[str, str]]]],
) -> Scores:
    """All figures. corpora: name → (metric, pairs of source and reference)."""
    answers = translated(module, tokenizer, [task.source for task in tasks])
    scores, every = _first_sentences(tasks, answers, any_case=target in ("en", "fr")), [*answers]
    for name, (metric, pairs) in corpora.items():
        found = translated(module, tokenizer, [source for source, _ in pairs])
        scores.figures[name] = score(metric, found, [reference for _, reference in pairs], target)
        every += found
    scores.figures["loops"] = sum(map(is_loop, every))
    scores.figures["broken characters"] = sum("\ufffd" in text for text in every)
    scores.figures["empty"] = sum(not text.strip() for text in every)
    began = time.monotonic()
    timed = [task.source for task in tasks if task.kind == "sentence"][:_TIMED]
    for text in timed:
        translated(module, tokenizer, [text])
    scores.figures["seconds a sentence"] = (time.monotonic() - began) / max(1, len(timed))
    return scores


def _first_sentences(tasks: Sequence[Task], answers: list[str], any_case: bool) -> Scores:
    scores, right = Scores(asked=len(tasks)), dict[str, list[bool]]()
    for task, answer in zip(tasks, answers, strict=True):
        careless = any_case or task.source.isupper() or task.source.islower()
        good = is_accepted(answer, task.accepted, any_case=careless)
        right.setdefault(task.kind, []).append(good)
        if not good:
            scores.refused.append((task.source, answer))
    every = [good for some in right.values() for good in some]
    for name, some in {"first sentences": every, **right}.items():
        scores.figures[name] = 100 * sum(some) / max(1, len(some))
    return scores


def described(figures: dict[str, Any]) -> list[str]:
    """The figures as lines of a table."""
    return [
        f"| {name} | {value:.{3 if 'seconds' in name else 1}f} |" for name, value in figures.items()
    ]
