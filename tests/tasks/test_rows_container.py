"""`Rows`: the results of many rows as a sequence, in memory and on file."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from llm_magics.display.result import Result
from llm_magics.errors import InputError
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.run import one_by_one, work_through


class Upper(Result):
    def __init__(self, text):
        self.text = text


def shout(row):
    if row == "bad":
        raise InputError("it is bad")
    return Upper(row.upper())


TEXTS = ["a", "bad", "c", *(f"row {i}" for i in range(200))]


@pytest.fixture(params=["in memory", "on file"])
def rows(request, tmp_path):
    out = tmp_path / "out.jsonl" if request.param == "on file" else None
    return work_through(TEXTS, one_by_one(shout), out_file=out, window_rows=16)


def test_rows_are_a_sequence(rows):
    assert isinstance(rows, Sequence)
    assert len(rows) == 203
    for place in (0, 2, 63, 64, 65, 130, 202):
        assert rows.index(rows[place]) == place
    assert rows.count(rows[0]) == 1
    assert rows[-1] == list(rows)[-1]
    assert rows == list(rows)
    assert rows != list(rows)[1:]
    assert rows[0] in rows
    with pytest.raises(IndexError):
        rows[203]


def test_texts_and_errors_are_those_of_the_rows(rows):
    assert rows.texts[:3] == ["A", None, "C"]
    assert rows.errors == [RowError(row=1, reason="it is bad")]
    assert (rows.failed, rows.first_error) == (1, "row 1: it is bad")


def test_a_slice_is_rows_again_and_knows_which_rows_they_are(rows):
    part = rows[1:4]
    assert isinstance(part, Rows)
    assert part.texts == [None, "C", "ROW 0"]
    assert part.errors == rows.errors
    assert rows[::-1].texts == rows.texts[::-1]
    assert rows[::-50].texts == rows.texts[::-50]
    assert rows[150:].texts == rows.texts[150:]
    assert [row[0] for row in rows[2:4].table().rows] == ["2", "3"]


def test_a_series_and_a_frame_hold_every_row(rows):
    pandas = pytest.importorskip("pandas")
    assert rows.to_series().tolist()[:3] == ["A", None, "C"]
    frame = rows.to_pandas()
    assert len(frame) == 203
    assert (frame["text"][2], frame["error"][1]) == ("C", "it is bad")
    assert isinstance(frame, pandas.DataFrame)


def test_a_row_of_a_file_is_read_when_it_is_asked_for(tmp_path):
    out = tmp_path / "out.jsonl"
    rows = work_through(TEXTS, one_by_one(shout), out_file=out)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert rows[202] == json.loads(lines[202])
    out.unlink()
    with pytest.raises(FileNotFoundError):
        rows[0]


def test_the_index_of_a_frame_comes_back(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["x", "y"], "n": [1, 2]}, index=["one", "two"])
    for given, how in ((frame, {"column": "text"}), (frame["text"], {})):
        rows = work_through(given, one_by_one(shout), **how)
        assert list(rows.row_index) == ["one", "two"]
        assert rows.to_series().to_dict() == {"one": "X", "two": "Y"}
        assert rows[1:].to_series().to_dict() == {"two": "Y"}
        assert rows.to_pandas()["text"].to_dict() == {"one": "X", "two": "Y"}


def test_rows_in_memory_stand_beside_what_they_were_made_of():
    rows = work_through([{"text": "x"}, {"text": "y"}], one_by_one(shout))
    assert rows.sources == ["x", "y"]
    assert rows.table().headers == ("", "row", "result")


def test_no_rows_are_rows():
    rows = work_through([], one_by_one(shout))
    assert (rows, rows.texts, rows.errors) == ([], [], [])
    assert "0 rows" in repr(rows)


def test_rows_that_a_file_held_behind_a_gap_are_counted(tmp_path):
    out = tmp_path / "out.jsonl"
    work_through(list("abcd"), one_by_one(shout), out_file=out)
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(lines[0] + lines[3])
    done = []
    rows = work_through(
        list("abcd"),
        one_by_one(shout),
        out_file=out,
        resume=True,
        on_row=lambda i, row: done.append(i),
        stop=lambda: len(done) >= 2,
    )
    assert len(rows) == len(list(rows)) == len(out.read_bytes().splitlines())
