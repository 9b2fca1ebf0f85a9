"""Results of a batch in a file, one JSON object a line, in the order of the rows; and going on
where it ended.

    {"row": 7, "input": "5e8c…", "settings": "91ab…", "text": "…", …}    or    {…, "error": "why it could not be done"}

`input` is a hash of the row and `settings` one of the task with its options: before a file is
continued, every row of it is compared with the row it is said to come from.
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from llm_magics.errors import InputError
from llm_magics.rows.rows import RowError

__all__ = ["ResultsFile", "fingerprint"]


def fingerprint(value: object) -> str:
    """16 hexadecimal digits that tell one row, or the options of one task, from another; the same
    in every session."""
    written = json.dumps(
        value,
        sort_keys=True,
        ensure_ascii=True,
        default=lambda odd: str(odd) if isinstance(odd, os.PathLike) else type(odd).__qualname__,
    )
    return hashlib.sha256(written.encode()).hexdigest()[:16]


class ResultsFile:
    """Takes results in any order within a window and writes them in the order of the rows.

    Raises InputError where the file is there already and is not to be continued, or was made from
    other rows.
    """

    def __init__(self, path: str | Path, settings: object, *, resume: bool = False) -> None:
        self.path, self.settings = Path(path).expanduser(), fingerprint(settings)
        if self.path.suffix.lower() != ".jsonl":
            raise InputError(
                f"{self.path.name}: results are one JSON object a line; give a name that ends in "
                ".jsonl"
            )
        filled = self.path.is_file() and self.path.stat().st_size > 0
        if filled and not resume:
            raise InputError(
                f"{self.path} is there already; go on with it by resume=True (--resume FILE), or "
                "name another"
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("r+b" if filled else "wb")
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror or error}") from None
        self._later: dict[int, dict] = {}  # read behind a gap
        self._reading = filled
        self._line = 0
        self._waiting: dict[int, bytes] = {}
        self._next = 0

    def known(self, row: int, value: object) -> dict | None:
        """What the file holds of a row already, None when it is still to be done. Rows are asked
        for in their order."""
        record = self._read(row) if self._reading else self._later.get(row)
        if record is None:
            return None
        if record.get("settings") != self.settings:
            raise InputError(
                f"{self.path.name} was made with another task, model or other options; name "
                "another file"
            )
        if record.get("input") != fingerprint(value):
            raise InputError(
                f"row {row} of {self.path.name} was made from another text than row {row} now is; "
                "give the same rows in the same order, or name another file"
            )
        if self._later.pop(
            row, None
        ):  # it stood behind a gap, and was cut off with what was behind it
            self._put(row, _encoded(record))
        else:
            self._next = row + 1
        return record

    def keep(self, row: int, value: object, result: object) -> dict:
        """Write what came of a row, once those before it in the same window are written; what was
        written."""
        about = {"error": result.reason} if isinstance(result, RowError) else result.record()
        record = {"row": row, "input": fingerprint(value), "settings": self.settings, **about}
        self._put(row, _encoded(record))
        return record

    def flush(self) -> None:
        """Write what waits for rows before it, too: the window ended, or the work was stopped."""
        for row in sorted(self._waiting):
            self._file.write(self._waiting.pop(row))
            self._next = row + 1
        self._file.flush()

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for row, record in self._later.items():
            self._waiting.setdefault(row, _encoded(record))
        self.flush()
        self._file.close()

    def left_behind_a_gap(self) -> Iterator[dict]:
        """What the file held behind rows that are not done yet, and nobody asked for."""
        return iter(self._later.values())

    def _put(self, row: int, line: bytes) -> None:
        self._waiting[row] = line
        while self._next in self._waiting:
            self._file.write(self._waiting.pop(self._next))
            self._next += 1
        self._file.flush()

    def _read(self, row: int) -> dict | None:
        """The next line, if it is that of `row`. At the end, at a line that was cut off, or at a
        gap, writing begins."""
        start, line = self._file.tell(), self._file.readline()
        self._line += 1
        record = self._parsed(line) if line.endswith(b"\n") else None
        if record is not None and record["row"] == row:
            return record
        if record is not None and record["row"] < row:
            raise InputError(
                f"line {self._line} of {self.path.name} is row {record['row']} again; name "
                "another file"
            )
        if record is not None:
            rest = (
                self._parsed(line)
                for line in itertools.takewhile(lambda line: line.endswith(b"\n"), self._file)
            )
            self._later = {one["row"]: one for one in itertools.chain([record], rest)}
        self._file.seek(start)
        self._file.truncate()
        self._reading, self._next = False, row
        return None

    def _parsed(self, line: bytes) -> dict:
        try:
            record = json.loads(line)
            if isinstance(record["row"], int) and isinstance(record["input"], str):
                return record
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        raise InputError(
            f"line {self._line} of {self.path.name} is no result of a batch; name another file"
        )


def _encoded(record: dict) -> bytes:
    return (json.dumps(record, ensure_ascii=False, default=str) + "\n").encode("utf-8", "replace")
