"""The results of many rows: one container, whether they are held in memory or lie in a file."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from llm_magics.display.progress import counted
from llm_magics.display.result import Result
from llm_magics.display.table import Table, table
from llm_magics.extras import require

if TYPE_CHECKING:
    import pandas

__all__ = ["RowError", "Rows"]

_SHOWN = 10
_MOST_CHARACTERS = 80
_MARK_EVERY = 64  # rows


@dataclass(frozen=True, kw_only=True)
class RowError:
    """A row of a `…_each` function that could not be done; the others were."""

    row: int
    """Which row, from 0."""
    reason: str
    """One line."""

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}"


class Rows(Sequence[Any]):
    """The results of many rows, in their order; a row that could not be done holds its error.

    In memory each item is a result or a `RowError`; of a file (`path`) it is the record that the
    file holds, a dictionary, read when it is asked for. A slice is Rows again, in memory. Two are
    equal when their items are, and one equals a list of its items. A notebook shows the first rows.
    """

    def __init__(
        self,
        items: Sequence[Any] = (),
        sources: Sequence[object] | None = None,
        *,
        row_index: Any = None,
        path: Path | None = None,
        numbers: range | None = None,
    ) -> None:
        self._items: Sequence[Any] = _Records(path) if path is not None else list(items)
        self._numbers = numbers
        self.sources: list[object] | None = None if sources is None else list(sources)
        """What each row was made of; None of a file, which holds no rows but their results."""
        self.row_index = row_index
        """pandas' index of the rows given, None where they have none."""
        self.path = path
        """The file that the results lie in, None in memory."""
        self.failed = self.resumed = 0
        """Rows with an error, and rows that the file held already."""
        self.first: list[Any] = list(self._items[:_SHOWN]) if path is None else []
        """The first rows that are done, in their order."""
        self.first_error = ""
        """The first error, with the number of its row."""
        self.scores: dict[str, Any] = {}
        """What all rows score together, by name: by their references, and by what came back. Of
        several models: by model. A slice has none."""
        self.scored = ""
        """The scores as a line."""
        if path is None:
            errors = [item for item in self._items if _error(item) is not None]
            self.failed = len(errors)
            self.first_error = next((_error_line(error) for error in errors), "")

    @classmethod
    def of_file(cls, path: Path) -> Rows:
        """Rows of a file that is being written; `add` counts what goes into it."""
        return cls(path=path)

    def add(self, record: dict[str, Any], *, resumed: bool) -> None:
        """Count one more row of the file."""
        if isinstance(self._items, _Records):
            self._items.count += 1
        self.resumed += resumed
        self.first = sorted([*self.first, record], key=lambda one: one["row"])[:_SHOWN]
        if "error" in record:
            self.failed += 1
            self.first_error = self.first_error or _error_line(record)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Any:
        if not isinstance(index, slice):
            return self._items[index]
        return Rows(
            self._items[index],
            None if self.sources is None else self.sources[index],
            row_index=None if self.row_index is None else self._index()[index],
            numbers=self._row_numbers()[index],
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Rows, list)):
            return NotImplemented
        return len(self) == len(other) and all(
            one == another for one, another in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]  # as of a list: a file may still be written

    @property
    def texts(self) -> list[str | None]:
        """The text of each row, None where there is an error."""
        return [_text(item) for item in self]

    @property
    def errors(self) -> list[RowError]:
        """The errors, with the number of their row."""
        found = []
        for number, item in zip(self._row_numbers(), self, strict=True):
            reason = _error(item)
            if isinstance(item, RowError):
                found.append(item)
            elif reason is not None:
                row = item.get("row", number) if isinstance(item, Mapping) else number
                found.append(RowError(row=row, reason=reason))
        return found

    def to_series(self) -> pandas.Series:
        """`texts` as a pandas Series with the index of the rows given."""
        require("pandas", extra="pandas", what="to_series()")
        import pandas

        return pandas.Series(self.texts, index=self._index(), dtype=object)

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame, one line a row, with what a file of results holds of it; what is nested has
        columns such as `scores.chrf`. Its index is that of the rows given, else their numbers."""
        require("pandas", extra="pandas", what="to_pandas()")
        import pandas

        records = [_record(item) for item in self]
        if not records:
            return pandas.DataFrame()
        frame = pandas.json_normalize(records)
        if "row" in frame.columns and self.row_index is None:
            return frame.set_index("row").sort_index()
        frame = frame.drop(columns="row", errors="ignore")
        index = self._index()
        return frame.set_index(
            pandas.Index(self._row_numbers(), name="row") if index is None else index
        )

    def table(self) -> Table:
        """The first rows, beside what they were made of where that is held."""
        shown = self.first[:_SHOWN]
        models = list(dict.fromkeys(model for item in shown for model in _models(item)))
        sources = None if self.sources is None else self.sources[:_SHOWN]
        numbers = self._row_numbers()
        rows = []
        for place, item in enumerate(shown):
            number = item["row"] if isinstance(item, Mapping) and "row" in item else numbers[place]
            source = [] if sources is None else [_short(sources[place])]
            rows.append([str(number), *source, *_cells(item, models)])
        heads = ["row"] if sources is None else ["", "row"]
        columns = models or ["result"]
        align = ("r" if sources is None else "rl") + "l" * len(columns)
        return table([*heads, *columns], rows, caption=self._caption(), align=align)

    def _caption(self) -> str:
        where = f" in {self.path}" if self.path is not None else ""
        failed = f", {self.failed:,} of them failed (see .errors)" if self.failed else ""
        parts = [
            f"{counted(len(self), 'row')}{where}{failed}",
            f"{self.resumed:,} were there before" if self.resumed else "",
            ".texts holds the texts",
            f"the first {_SHOWN} are shown" if len(self) > _SHOWN else "",
            self.scored,
        ]
        return "; ".join(part for part in parts if part)

    def _index(self) -> Any:
        return None if self.row_index is None else self.row_index[: len(self)]

    def _row_numbers(self) -> range:
        return range(len(self)) if self._numbers is None else self._numbers

    _ipython_display_ = Result._ipython_display_  # --quiet

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return self.table()._repr_mimebundle_()


class _Records(Sequence[dict[str, Any]]):
    """The lines of a file of results; of every 64th it is remembered where it begins."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self._marks = array("Q")
        self._marked = -1  # lines that there were when the marks were made

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as file:
            yield from map(json.loads, file)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        chosen = range(self.count)[index]  # IndexError as of a list
        if isinstance(chosen, int):
            return next(iter(self._read([chosen])))
        found = list(self._read(sorted(chosen)))
        return found if chosen.step > 0 else found[::-1]

    def _read(self, ascending: Iterable[int]) -> Iterator[dict[str, Any]]:
        self._mark()
        at = -1  # the line that comes next
        with self.path.open("rb") as file:
            for number in ascending:
                mark = number // _MARK_EVERY
                if at < 0 or mark > at // _MARK_EVERY:
                    file.seek(self._marks[mark])
                    at = mark * _MARK_EVERY
                while at < number:
                    file.readline()
                    at += 1
                yield json.loads(file.readline())
                at += 1

    def _mark(self) -> None:
        if self._marked == self.count:
            return
        self._marks, begins = array("Q"), 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if number % _MARK_EVERY == 0:
                    self._marks.append(begins)
                begins += len(line)
        self._marked = self.count


def _text(item: Any) -> str | None:
    return item.get("text") if isinstance(item, Mapping) else getattr(item, "text", None)


def _error(item: Any) -> str | None:
    """Why a row could not be done; None of one that was."""
    if isinstance(item, RowError):
        return item.reason
    return item.get("error") if isinstance(item, Mapping) else None


def _error_line(item: Any) -> str:
    return f"row {item['row']}: {item['error']}" if isinstance(item, Mapping) else str(item)


def _record(item: Any) -> dict[str, Any]:
    if isinstance(item, RowError):
        return {"error": item.reason}
    return dict(item) if isinstance(item, Mapping) else item.record()


def _models(item: Any) -> Iterator[str]:
    """The models of a row that several have done."""
    if isinstance(item, Mapping):
        yield from (*item.get("results", ()), *item.get("failures", ()))
    else:
        yield from (*getattr(item, "models", ()), *getattr(item, "failures", ()))


def _cells(item: Any, models: list[str]) -> list[str]:
    """The cells of a row: its text, that of each model, or why there is none."""
    reason = _error(item)
    if reason is not None or not models:
        text = _text(item) if reason is None else reason
        return [_short(text), *[""] * (len(models) - 1)]
    record = _record(item)
    by = {
        **record.get("failures", {}),
        **{model: one["text"] for model, one in record["results"].items()},
    }
    return [_short(by.get(model, "")) for model in models]


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
