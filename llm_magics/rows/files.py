"""Where rows come from: files, data sets of the hub or of a folder, and objects of a notebook.

Each source gives pairs (place, values): the values of the named columns as they stand there, None
where one is missing, or the `BadRow` that tells why this row cannot be read. What is wrong with the
source as a whole (a column that is not there, a file cut short) is a DataError at once.
"""

from __future__ import annotations

import csv
import difflib
import json
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from llm_magics.errors import DataError
from llm_magics.extras import require
from llm_magics.rows.columns import column_paths, find_column, value_of
from llm_magics.rows.text_files import delimiter_of, ending_of, open_bytes
from llm_magics.rows.values import BadRow, shown

__all__ = [
    "FORMATS",
    "columns_of",
    "json_objects",
    "of_file",
    "of_frame",
    "of_list",
    "of_table",
    "raw_rows",
]

Raw = tuple[str, "Sequence[Any] | BadRow"]
FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt")
_MOST_COLUMNS_SHOWN = 12
_CSV_LIMIT = threading.Lock()  # csv keeps one field size limit for the whole process


def raw_rows(source: object, roles: Mapping[str, str]) -> Iterator[Raw]:
    """The rows of any source that `rows.read_rows` takes. Raises DataError for one that it does
    not."""
    from llm_magics.rows import datasets as row_datasets

    if isinstance(source, str) and source.startswith(("hub:", "disk:")):
        return of_table(*row_datasets.opened(source), roles)
    if isinstance(source, (str, Path)):
        path = Path(source).expanduser()
        return (
            of_table(*row_datasets.opened(f"disk:{path}"), roles)
            if path.is_dir()
            else of_file(path, roles)
        )
    if row_datasets.is_dataset(source):
        return of_table("data set", source, roles)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(source, pandas.DataFrame):
        return of_frame(source, roles)
    if pandas is not None and isinstance(source, pandas.Series) and len(roles) == 1:
        return of_frame(source.to_frame(next(iter(roles.values()))), roles)
    if isinstance(source, (list, tuple)):
        return of_list(source, roles)
    raise DataError(
        f"cannot read rows from {type(source).__name__}; give a file ({', '.join(FORMATS)}), "
        "hub:NAME, a data frame, a datasets.Dataset, or a list of rows"
    )


def columns_of(source: Any) -> list[str]:
    """The names of the columns of a source, those inside others as "outer.inner"; [] where none can
    be seen. Raises DataError for a file that cannot be read."""
    from llm_magics.rows import datasets as row_datasets

    if isinstance(source, str) and source.startswith(("hub:", "disk:")):
        source = row_datasets.opened(source)[1]
    if row_datasets.is_dataset(source):
        return list(dict.fromkeys([*source.column_names, *source.flatten().column_names]))
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(source, pandas.DataFrame):
        return _first_columns(iter(source.head(1).to_dict("records")))
    if isinstance(source, (list, tuple)):
        return _first_columns(iter(source))
    if not isinstance(source, (str, Path)) or not Path(source).is_file():
        return []
    path = Path(source)
    try:
        return _columns_of_file(path)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name}: cannot be read: {error}") from None


def _columns_of_file(path: Path) -> list[str]:
    if path.suffix.lower() == ".parquet":
        import pyarrow
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(path) as file:
                batch = next(file.iter_batches(batch_size=1), None)
                return _first_columns(iter([] if batch is None else batch.to_pylist()))
        except pyarrow.ArrowException as error:
            raise DataError(f"{path.name}: cannot be read as parquet: {error}") from None
    with open_bytes(path) as file:
        if ending_of(path) in (".csv", ".tsv"):
            head = next(_decoded(path.name, file), "")
            usual = "\t" if ending_of(path) == ".tsv" else ","
            return next(csv.reader([head], delimiter=delimiter_of(head, usual)), [])
        if ending_of(path) == ".json":
            return _first_columns(iter(json_objects(path.name, file)))
        return _first_columns(_json_values(_decoded(path.name, file)))


def _json_values(lines: Iterator[str]) -> Iterator[Any]:
    for line in lines:
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            continue


def _first_columns(rows: Iterator[Any]) -> list[str]:
    """Those of the first row that has any."""
    return next((list(column_paths(row)) for row in rows if isinstance(row, Mapping)), [])


def of_file(path: Path, roles: Mapping[str, str]) -> Iterator[Raw]:
    """The rows of a file, by its ending; all but parquet may end in .gz. Lines are counted from
    1."""
    packed, ending = path.suffix.lower() == ".gz", ending_of(path)
    readers = {
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".json": _json_list,
        ".csv": _csv,
        ".tsv": _csv,
        ".txt": _lines,
    }
    if ending == ".parquet" and not packed:
        return _parquet(path, roles)
    if ending not in readers:
        raise DataError(
            f"{path.name}: rows are read from {', '.join(FORMATS)} (each but parquet also .gz), "
            f"not from {ending or 'a file without an ending'}"
        )
    return _closing(
        path,
        readers[ending],
        roles,
        "\t" if ending == ".tsv" else ",",
    )


def _closing(path: Path, reader: Any, roles: Mapping[str, str], delimiter: str) -> Iterator[Raw]:
    try:
        with open_bytes(path) as file:
            yield from reader(path.name, file, roles, delimiter)
    except (
        OSError,
        EOFError,
        zlib.error,
    ) as error:  # no such file, no leave to read it, a gzip file cut short or broken
        raise DataError(f"{path.name}: cannot be read: {error}") from None


def _decoded(name: str, file: Any) -> Iterator[str]:
    """The lines as text, without the mark that some editors put first."""
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            hint = (
                "UTF-16, it seems"
                if line.startswith((b"\xff\xfe", b"\xfe\xff"))
                else f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
            )
            raise DataError(
                f"{name}:{number}: not UTF-8 ({hint}); save the file as UTF-8"
            ) from None


def _json_lines(name: str, file: Any, roles: Mapping[str, str], _: str) -> Iterator[Raw]:
    columns, loads = list(roles.values()), json.loads
    for number, line in enumerate(_decoded(name, file), 1):
        try:
            row = loads(line)
        except (ValueError, RecursionError) as error:
            if line.strip():
                yield f"{name}:{number}", BadRow(f"not a JSON object ({error}): {shown(line)}")
            continue
        try:
            yield f"{name}:{number}", [row[column] for column in columns]
        except (KeyError, TypeError):
            yield f"{name}:{number}", _by_close_names(row, roles)


def _json_list(name: str, file: Any, roles: Mapping[str, str], _: str) -> Iterator[Raw]:
    yield from (
        (place.replace("list item", f"{name} item"), row)
        for place, row in of_list(json_objects(name, file), roles)
    )


def json_objects(name: str, file: Any) -> list[Any]:
    """The objects of a JSON file: a list of them, one under a single name such as "data", or the
    questions of SQuAD. Raises DataError."""
    text = "".join(_decoded(name, file))
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "; name a file with one object a line .jsonl" if "Extra data" in str(error) else ""
        raise DataError(f"{name}: not JSON ({error}){hint}") from None
    if isinstance(rows, dict):
        lists = [value for value in rows.values() if isinstance(value, list)]
        rows = lists[0] if len(lists) == 1 else rows
    if not isinstance(rows, list):
        raise DataError(
            f"{name}: expected a list of objects, got {type(rows).__name__}; write [{{…}}, "
            f"{{…}}] or use .jsonl"
        )
    return [one for row in rows for one in _questions(row)]


def _questions(row: Any) -> Iterator[Any]:
    """The questions of an article or a paragraph as SQuAD writes them; any other row as it is."""
    if not isinstance(row, dict):
        yield row
    elif isinstance(row.get("paragraphs"), list):
        about = {name: value for name, value in row.items() if name != "paragraphs"}
        for paragraph in row["paragraphs"]:
            for one in _questions(paragraph):
                yield {**about, **one} if isinstance(one, dict) else one
    elif isinstance(row.get("qas"), list) and "context" in row:
        about = {name: value for name, value in row.items() if name != "qas"}
        for question in row["qas"]:
            if not isinstance(question, dict):
                yield question
                continue
            none = {"answers": []} if question.get("is_impossible") else {}
            yield {**about, **question, **none}
    else:
        yield row


def _csv(name: str, file: Any, roles: Mapping[str, str], delimiter: str) -> Iterator[Raw]:
    """Records with a heading, quoted as RFC 4180 says; the line of a record is the one where it
    begins."""
    with _CSV_LIMIT:
        before = csv.field_size_limit(sys.maxsize)
        try:
            lines = _decoded(name, file)
            head = next(lines, "")
            delimiter = delimiter_of(head, delimiter)
            records = list(
                _records(name, csv.reader(chain([head], lines), delimiter=delimiter, strict=True))
            )
        finally:
            csv.field_size_limit(before)
    if not records:
        return
    _, heading = records[0]
    if isinstance(heading, BadRow):
        raise DataError(f"{name}:1: {heading}")
    _check_columns(name, roles, heading)
    where = [heading.index(find_column(heading, column)) for column in roles.values()]
    for number, record in records[1:]:
        if isinstance(record, BadRow):
            yield f"{name}:{number}", record
        elif len(record) != len(heading):
            yield (
                f"{name}:{number}",
                BadRow(
                    f"{len(record)} cells, the heading has {len(heading)} columns "
                    f"({_list(heading)}); put quotes around a cell that holds {delimiter!r}"
                ),
            )
        else:
            yield f"{name}:{number}", [record[index] or None for index in where]


def _records(name: str, reader: Any) -> Iterator[tuple[int, list[str] | BadRow]]:
    while True:
        begins = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):  # it swallowed the rest: no single bad row
                raise DataError(
                    f"{name}:{begins}: a quote opens in this row and is never closed"
                ) from None
            yield begins, BadRow(f"not a row of CSV ({error}); double a quote inside quotes")
            continue
        if record:
            yield begins, record


def _lines(name: str, file: Any, roles: Mapping[str, str], _: str) -> Iterator[Raw]:
    if len(roles) != 1:
        raise DataError(
            f"{name}: a text file has one text a line, but {', '.join(roles)} are needed; use "
            ".jsonl or .csv"
        )
    for number, line in enumerate(_decoded(name, file), 1):
        if line.strip():
            yield f"{name}:{number}", [line.rstrip("\r\n")]


def _parquet(path: Path, roles: Mapping[str, str]) -> Iterator[Raw]:
    require("pyarrow", extra="datasets", what=path.name)
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            outer = _outer_columns(path.name, roles, file.schema_arrow.names)
            table = file.read(columns=list(dict.fromkeys(outer)))
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path.name}: cannot be read as parquet: {error}") from None
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    named = zip(outer, roles.values(), strict=True)
    return _transposed(
        f"{path.name} row", [_inside(columns[name], name, column) for name, column in named]
    )


def _outer_columns(name: str, roles: Mapping[str, str], columns: Sequence[Any]) -> list[Any]:
    """The column of every role, or the one that it stands in. Raises DataError."""
    there = {}
    for role, column in roles.items():
        outer = column.partition(".")[0]
        is_inside = not _is_among(columns, column) and _is_among(columns, outer)
        there[role] = outer if is_inside else column
    _check_columns(name, there, columns)
    return [find_column(columns, column) for column in there.values()]


def _inside(values: list[Any], outer: Any, column: str) -> list[Any]:
    """What a column holds, or the part of it that `column` names ("translation.en")."""
    if str(outer).strip() == column.strip():
        return values
    inner = column.partition(".")[2]
    return [_part(value, inner) for value in values]


def _part(value: Any, inner: str) -> Any:
    try:
        return value_of(value, inner) if isinstance(value, Mapping) else None
    except KeyError:
        return None


def of_frame(frame: Any, roles: Mapping[str, str]) -> Iterator[Raw]:
    """The rows of a pandas data frame, counted from 0 as `iloc` does; NaN and None are missing."""
    columns = []
    names = _outer_columns("data frame", roles, list(frame.columns))
    for name, wanted in zip(names, roles.values(), strict=True):
        column = frame[name]
        values = [
            None if gone else value
            for value, gone in zip(column.tolist(), column.isna().tolist(), strict=True)
        ]
        columns.append(_inside(values, name, wanted))
    return _transposed("data frame row", columns)


def of_table(name: str, dataset: Any, roles: Mapping[str, str]) -> Iterator[Raw]:
    """The rows of a datasets.Dataset, counted from 0; numbers of a ClassLabel become its names,
    "a.b" is b inside a."""
    from llm_magics.rows.datasets import columns_of, with_columns

    dataset = with_columns(dataset, list(roles.values()))
    absent = not set(roles.values()) <= set(dataset.column_names)
    _check_columns(name, roles, (dataset.flatten() if absent else dataset).column_names)
    return _transposed(f"{name} row", columns_of(dataset, list(roles.values())))


def of_list(rows: Sequence[Any], roles: Mapping[str, str]) -> Iterator[Raw]:
    """The rows of a list, counted from 0: mappings, tuples in the order of the roles, or texts for
    a single role."""
    for number, row in enumerate(rows):
        place = f"list item {number}"
        if isinstance(row, str) and len(roles) == 1:
            yield place, [row]
        elif isinstance(row, (list, tuple)):
            yield (
                place,
                row
                if len(row) == len(roles)
                else BadRow(f"{len(row)} values; expected {', '.join(roles)}"),
            )
        else:
            try:
                yield place, [row[column] for column in roles.values()]
            except (KeyError, TypeError, IndexError):
                yield place, _by_close_names(row, roles)


def _transposed(place: str, columns: list[list[Any]]) -> Iterator[Raw]:
    return (
        (f"{place} {number}", values) for number, values in enumerate(zip(*columns, strict=True))
    )


def _by_close_names(row: Any, roles: Mapping[str, str]) -> list[Any] | BadRow:
    """The values of columns that are not called just so; else why the row cannot be read."""
    if not isinstance(row, Mapping):
        return BadRow(
            f"expected an object with {', '.join(roles.values())}, got {type(row).__name__}: "
            f"{shown(row)}"
        )
    try:
        return [value_of(row, column) for column in roles.values()]
    except KeyError:
        return BadRow(next(_absent(roles, list(column_paths(row))), "it lacks a column"))


def _check_columns(name: str, roles: Mapping[str, str], columns: Sequence[Any]) -> None:
    """DataError unless every role's column is there, once."""
    for problem in _absent(roles, columns):
        raise DataError(f"{name}: {problem}")
    for column in roles.values():
        if list(columns).count(column) > 1:
            raise DataError(
                f"{name}: {list(columns).count(column)} columns are called {column!r}; rename "
                "all but one"
            )


def _absent(roles: Mapping[str, str], columns: Sequence[Any]) -> Iterator[str]:
    names = [str(column) for column in columns]
    for role, column in roles.items():
        if not _is_among(columns, column):
            close = [name for name in names if name.lower().startswith(column.lower())]
            close = close or difflib.get_close_matches(column, names, 1)
            yield (
                f"no column {column!r} for {role}"
                + (f"; did you mean {close[0]!r}?" if close else "")
                + (
                    f" (columns: {_list(names)}; say which one is meant: --fields {role}=COLUMN, "
                    "in a recipe data.fields)"
                )
            )


def _is_among(columns: Sequence[Any], column: str) -> bool:
    try:
        find_column(columns, column)
    except KeyError:
        return False
    return True


def _list(names: Sequence[str]) -> str:
    more = len(names) - _MOST_COLUMNS_SHOWN
    return ", ".join(str(name)[:40] for name in names[:_MOST_COLUMNS_SHOWN]) + (
        f" and {more} more" if more > 0 else ""
    )
