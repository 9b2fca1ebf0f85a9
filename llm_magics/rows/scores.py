"""The right result of every row beside the row, and what all rows score together, in memory that
does not grow.

A score of the corpus is made of sums (BLEU, chrF: the counts of n-grams) or is the mean of the rows
(ROUGE), so no text is kept; a row that a file of results held already counts as one that is done
now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

from llm_magics.display.progress import counted
from llm_magics.errors import InputError
from llm_magics.metrics import CorpusScore, score_line
from llm_magics.rows.rows import RowError
from llm_magics.rows.source import (
    SUFFIXES,
    BadRow,
    Referenced,
    RowSource,
    chosen_column,
    open_rows,
    text_of,
)

__all__ = [
    "ComparedScores",
    "RowScores",
    "SummaryScores",
    "TranslationScores",
    "with_references",
    "with_scores",
]

_NONE = "no reference for this row: not scored"

Keep = Callable[[int, object], None]


def with_references(rows: object, reference: object, column: str | None = None) -> RowSource:
    """The rows, each `Referenced`. `reference` is the name of a column beside `column`, or the
    references themselves.

    These are a list, column, iterator or file (see `open_rows`), in the order of the rows. Raises
    InputError where there are more or fewer of them than rows, and where the first row has no such
    column.
    """
    if isinstance(reference, str) and Path(reference).suffix.lower() not in SUFFIXES:
        whole = open_rows(rows, whole=True)
        return RowSource(lambda: _beside(whole, column, reference), whole.total, whole.row_index)
    texts, right = open_rows(rows, column), open_rows(reference)
    if None not in (texts.total, right.total) and texts.total != right.total:
        raise InputError(
            f"{right.total:,} references for {texts.total:,} rows; give one a row, None where "
            "there is none"
        )
    return RowSource(lambda: _zipped(texts, right), texts.total, texts.row_index)


def with_scores(
    work: Callable[[dict[int, object], Keep], None],
    score: Callable[[object, str], dict[str, float]],
) -> Callable[[dict[int, object], Keep], None]:
    """`work` for rows that are `Referenced`: each result has the scores by its reference."""

    def scored(rows: dict[int, object], keep: Keep) -> None:
        def keep_scored(i: int, result: object) -> None:
            right = rows[i].reference
            if not isinstance(result, RowError):
                result = (
                    replace(result, notes=(*result.notes, _NONE))
                    if right is None
                    else replace(result, scores=score(result, right))
                )
            keep(i, result)

        work({i: row.text for i, row in rows.items()}, keep_scored)

    return scored


class RowScores:
    """Takes the records of rows as they are done, and gives the scores of all of them."""

    done = referenced = 0
    """Rows that were done, and those of them that have a reference."""

    def add(self, row: object, record: Mapping[str, object]) -> None:
        """Count one row that was done."""
        raise NotImplementedError

    @property
    def scores(self) -> dict[str, object]:
        """By name, 0 to 100."""
        raise NotImplementedError

    def line(self) -> str:
        """The scores for people; "" where there are none. How many rows they are of, where some
        have no reference."""
        of = (
            f" (by the references of {self.referenced:,} of {self.done:,} rows)"
            if 0 < self.referenced < self.done
            else ""
        )
        return score_line(self.scores) + of


class TranslationScores(RowScores):
    """BLEU and chrF over the corpus, a row a segment, as sacrebleu gives them for two files; and
    that of what came back."""

    def __init__(self) -> None:
        self._by: dict[str, CorpusScore] = {}

    def add(self, row: object, record: Mapping[str, object]) -> None:
        right, back = getattr(row, "reference", None), record.get("back_translation")
        self.done, self.referenced = self.done + 1, self.referenced + (right is not None)
        if right is not None:
            for name in ("bleu", "chrf"):
                self._count(name, str(record["text"]), right, str(record["target_language"]))
        if back:
            self._count(
                "chrf",
                " ".join(back["sentences"]),
                str(text_of(row)),
                str(record["source_language"]),
                "back_chrf",
            )

    def _count(
        self, metric: str, written: str, expected: str, language: str, name: str = ""
    ) -> None:
        counted = self._by.setdefault(name or metric, CorpusScore(metric, language))
        counted.add(" ".join(written.split()), " ".join(expected.split()))

    @property
    def scores(self) -> dict[str, object]:
        return {name: counted.value for name, counted in self._by.items()}


class SummaryScores(RowScores):
    """The mean of what the rows score: ROUGE knows nothing else."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}

    def add(self, row: object, record: Mapping[str, object]) -> None:
        found = record.get("scores") or {}
        self.done, self.referenced = self.done + 1, self.referenced + bool(found)
        for name, value in found.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    @property
    def scores(self) -> dict[str, object]:
        return {name: total / self.referenced for name, total in self._sums.items()}


class ComparedScores(RowScores):
    """Those of each model, by its name, how far the models agree (the mean of the rows), and who
    left rows undone."""

    def __init__(self, kind: Callable[[], RowScores]) -> None:
        self._kind = kind
        self._by: dict[str, RowScores] = {}
        self._agreement, self._rows = 0.0, 0
        self._failed: dict[
            str, tuple[int, str]
        ] = {}  # model -> (rows that others did and it did not, the first reason)

    def add(self, row: object, record: Mapping[str, object]) -> None:
        for model, one in record["results"].items():
            self._by.setdefault(model, self._kind()).add(row, one)
        for model, reason in record.get("failures", {}).items():
            count, first = self._failed.get(model, (0, reason))
            self._failed[model] = count + 1, first
        if record["agreement"] is not None:
            self._agreement, self._rows = self._agreement + record["agreement"], self._rows + 1

    @property
    def scores(self) -> dict[str, object]:
        return {model: one.scores for model, one in self._by.items()}

    @property
    def agreement(self) -> float | None:
        """The mean of how far the models agree in a row (chrF, 0 to 100); None where no two of them
        did a row."""
        return self._agreement / self._rows if self._rows else None

    def line(self) -> str:
        parts = [f"{model}: {one.line()}" for model, one in self._by.items() if one.scores]
        parts += [f"they agree by chrF {self.agreement:.1f}"] if self._rows else []
        parts += [
            f"{model} left {counted(count, 'row')} undone: {first}"
            for model, (count, first) in self._failed.items()
        ]
        return "; ".join(parts)


def _beside(rows: RowSource, column: str | None, reference: str) -> Iterator[object]:
    """Both columns of rows that are mappings; the first row says whether they are there, later ones
    may lack a reference."""
    first = True
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        if first and not isinstance(row, Mapping):
            raise InputError(
                f"the rows have no column {reference!r}: they are texts; give the references as "
                "a list or a file"
            )
        if first:
            chosen_column(list(map(str, row)), reference, "a row")
            column = chosen_column(
                [str(name) for name in row if name != reference], column, "a row"
            )
        first = False
        if isinstance(row, Mapping) and column in row:
            yield Referenced(row[column], _right(row.get(reference)))
        else:
            yield BadRow(f"it has no {column!r}")


def _zipped(texts: RowSource, right: RowSource) -> Iterator[object]:
    for row, reference in zip(texts, chain(right, repeat(None))):  # noqa: B905 - a generator of rows may be the longer one
        yield row if isinstance(row, BadRow) else Referenced(row, _right(reference))


def _right(reference: object) -> str | None:
    return reference if isinstance(reference, str) and reference.strip() else None
