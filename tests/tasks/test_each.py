"""Batches: rows from anywhere, results kept as they come, and going on where a batch ended."""

from __future__ import annotations

import gc
import json
import tracemalloc
import weakref

import pytest

from llm_magics.display.result import Result
from llm_magics.errors import DoesNotFit, InputError, ModelNotFound, WrongTask
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.run import one_by_one, work_through
from llm_magics.rows.source import column_names
from llm_magics.tasks.ask.task import ask_each
from llm_magics.tasks.results import Summary
from llm_magics.tasks.summarize.task import summarize_each

NEWS = (
    "The river rose in the night. Two bridges were closed. The school will open again on Monday "
    "morning."
)


class Upper(Result):
    def __init__(self, text):
        self.text = text


def shout(row):
    if row == "bad":
        raise InputError("it is bad")
    return Upper(row.upper())


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "kind", ["list", "generator", "txt", "jsonl", "jsonl of objects", "csv", "tsv", "frame"]
)
def test_rows_come_from_anywhere(kind, tmp_path):
    texts, column = ["a, b", "bad", "c"], None
    rows = {"list": texts, "generator": iter(texts)}.get(kind)
    if kind == "txt":
        rows = tmp_path / "rows.txt"
        rows.write_text("a, b\r\nbad\nc", encoding="utf-8-sig")
    elif kind.startswith("jsonl"):
        rows = str(tmp_path / "rows.jsonl")
        objects = (
            [{"n": i, "text": text} for i, text in enumerate(texts)] if "objects" in kind else texts
        )
        (tmp_path / "rows.jsonl").write_text(
            "".join(json.dumps(one) + "\n" for one in objects), encoding="utf-8"
        )
    elif kind in ("csv", "tsv"):
        rows, column = tmp_path / f"rows.{kind}", "en"
        mark = {"csv": ",", "tsv": "\t"}[kind]
        rows.write_text(f'n{mark}en\n1{mark}"a, b"\n2{mark}bad\n3{mark}c\n', encoding="utf-8")
    elif kind == "frame":
        rows, column = pytest.importorskip("pandas").DataFrame({"n": [1, 2, 3], "en": texts}), "en"
    results = work_through(rows, one_by_one(shout), column=column)
    assert [str(result) for result in results] == ["A, B", "row 1: it is bad", "C"]


def test_a_table_must_say_its_column(tmp_path):
    (tmp_path / "rows.csv").write_text("en,de\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="name a column of text: a row has en, de"):
        work_through(iter([{"en": "a", "de": "b"}]), one_by_one(shout))
    with pytest.raises(InputError, match="name a column of text: rows.csv has en, de"):
        work_through(tmp_path / "rows.csv", one_by_one(shout))
    with pytest.raises(InputError, match="no column 'fr': rows.csv has en, de"):
        work_through(tmp_path / "rows.csv", one_by_one(shout), column="fr")
    with pytest.raises(InputError, match="there is no file"):
        work_through(tmp_path / "other.csv", one_by_one(shout))
    with pytest.raises(InputError, match="files that end in"):
        work_through("rows.xlsx", one_by_one(shout))


def test_lines_that_cannot_be_read_are_errors_and_the_rest_goes_on(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'"a"\n{broken\n"\xff"\n{"other": 1, "more": 2}\n"b"\n')
    found = work_through(tmp_path / "rows.jsonl", one_by_one(shout), column="text")
    assert [isinstance(one, RowError) for one in found] == [False, True, True, True, False]
    assert "line 2 of rows.jsonl is no JSON" in found[1].reason
    assert "line 3 of rows.jsonl is no UTF-8" in found[2].reason
    assert "it has no 'text', but other, more" in found[3].reason


def test_an_unforeseen_failure_is_that_of_its_row_unless_all_fail():
    def work(row):
        if row == "odd":
            raise ValueError("cannot\nbe")
        return shout(row)

    found = work_through(["a", "odd", "b"], one_by_one(work))
    assert [str(one) for one in found] == ["A", "row 1: ValueError: cannot", "B"]
    with pytest.raises(ValueError, match="cannot"):
        work_through(["odd"] * 100, one_by_one(work))


@pytest.mark.parametrize("error", [WrongTask, ModelNotFound])
def test_a_model_that_fails_ends_the_batch(error):
    def work(row):
        raise error("no")

    with pytest.raises(error):
        work_through(["a"], one_by_one(work))


def test_of_rows_that_fail_together_each_is_tried_alone():
    tried = []

    def work(rows, keep):
        tried.append(list(rows))
        if 2 in rows:
            raise DoesNotFit("too large")
        for i, row in rows.items():
            keep(i, Upper(row))

    found = work_through(list("abcde"), work, window_rows=5)
    assert [str(one) for one in found] == ["a", "b", "row 2: too large", "d", "e"]
    assert tried == [[0, 1, 2, 3, 4], [0], [1], [2], [3], [4]]


def test_results_are_written_as_they_come_in_the_order_of_the_rows(tmp_path):
    out, seen = tmp_path / "new" / "out.jsonl", []

    def work(rows, keep):
        for i in reversed(rows):
            keep(i, shout(rows[i]))
            seen.append([line["row"] for line in lines(out)])

    found = work_through(list("abcdef"), work, window_rows=3, out_file=out)
    assert seen == [[], [], [0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2, 3, 4, 5]]
    assert isinstance(found, Rows)
    assert found.path is not None
    assert (len(found), found.failed, found.resumed) == (6, 0, 0)
    assert [line["text"] for line in found] == list("ABCDEF")
    assert "6 rows in" in repr(found)


@pytest.mark.parametrize("stop_after", [0, 1, 4, 7, 8, 10])
def test_a_stopped_batch_goes_on_where_it_ended(tmp_path, stop_after):
    rows, done = [f"row {i}" if i != 5 else "bad" for i in range(10)], []
    out = tmp_path / "out.jsonl"

    def work(window, keep):
        for i in sorted(window, key=lambda i: -i % 3):  # not in order
            if len(done) == stop_after and not resumed:
                return
            done.append(i)
            try:
                keep(i, shout(window[i]))
            except InputError as error:
                keep(i, RowError(row=i, reason=str(error)))

    resumed = False
    first = work_through(
        rows, work, window_rows=4, out_file=out, stop=lambda: len(done) >= stop_after
    )
    assert len(first) == stop_after == len(lines(out))
    resumed = True
    second = work_through(iter(rows), work, window_rows=4, out_file=out, resume=True)
    assert sorted(done) == list(range(10))  # none twice
    assert (len(second), second.resumed, second.failed) == (10, stop_after, 1)
    assert [line["row"] for line in lines(out)] == list(range(10))
    assert lines(out)[5]["error"] == "it is bad"
    work_through(rows, one_by_one(shout), out_file=tmp_path / "whole.jsonl")
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_an_exception_keeps_what_is_done_and_a_line_cut_off_by_a_crash_is_done_again(tmp_path):
    out = tmp_path / "out.jsonl"

    def work(rows, keep):
        keep(0, shout("a"))
        keep(2, shout("c"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_through(list("abcd"), work, window_rows=4, out_file=out)
    assert [line["row"] for line in lines(out)] == [0, 2]
    with out.open("ab") as file:
        file.write(b'{"row": 3, "inp')
    found = work_through(list("abcd"), one_by_one(shout), out_file=out, resume=True)
    assert found.resumed == 2
    assert [(line["row"], line["text"]) for line in lines(out)] == list(enumerate("ABCD"))


def test_a_file_is_never_overwritten_nor_continued_from_other_rows_or_options(tmp_path):
    out = tmp_path / "out.jsonl"
    work_through(list("ab"), one_by_one(shout), out_file=out, settings=("x", {"n": 1}))
    before = out.read_bytes()
    with pytest.raises(InputError, match="there already.*--resume"):
        work_through(list("ab"), one_by_one(shout), out_file=out)
    with pytest.raises(InputError, match="row 1 of out.jsonl was made from another text"):
        work_through(
            ["a", "x", "c"], one_by_one(shout), out_file=out, resume=True, settings=("x", {"n": 1})
        )
    with pytest.raises(InputError, match="another task, model or other options"):
        work_through(
            list("abc"), one_by_one(shout), out_file=out, resume=True, settings=("x", {"n": 2})
        )
    assert out.read_bytes() == before
    out.write_text('{"a": 1}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 1 of out.jsonl is no result"):
        work_through(list("ab"), one_by_one(shout), out_file=out, resume=True)
    with pytest.raises(InputError, match=r"ends in \.jsonl"):
        work_through(list("ab"), one_by_one(shout), out_file=tmp_path / "out.csv")
    with pytest.raises(InputError, match="--resume FILE"):
        work_through(list("ab"), one_by_one(shout), resume=True)


def test_a_result_that_was_cut_off_is_not_written(tmp_path):
    def work(rows, keep):
        cut = shout(rows[0])
        cut.interrupted = True
        keep(0, cut)

    assert len(work_through(["a"], work, out_file=tmp_path / "out.jsonl")) == 0


class Text(str):
    """A row that can be watched."""

    __slots__ = ("__weakref__",)


def test_a_file_of_results_takes_memory_that_does_not_grow(tmp_path):
    alive, most, heap = weakref.WeakSet(), [], []

    def rows():
        for i in range(20_000):
            row = Text(f"row {i}")
            alive.add(row)
            yield row

    def on_row(i, result):
        if i % 2_000 == 1_999:
            gc.collect()
            most.append(len(alive))
            heap.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        found = work_through(
            rows(),
            one_by_one(shout),
            out_file=tmp_path / "out.jsonl",
            on_row=on_row,
            window_rows=100,
        )
    finally:
        tracemalloc.stop()
    assert len(found) == 20_000
    assert max(most) <= 200
    assert heap[-1] - heap[0] < 50_000  # bytes, over 18,000 rows


def test_summaries_of_many_rows_take_memory_that_does_not_grow(tmp_path):
    heap = {}

    def on_row(i, result):
        if i in (299, 1_199):
            gc.collect()
            heap[i] = tracemalloc.get_traced_memory()[0]

    rows = (f"{NEWS} It is day {i}." for i in range(1_200))
    tracemalloc.start()
    try:
        found = summarize_each(
            rows,
            model="embedded:extractive",
            language="en",
            max_words=8,
            on_row=on_row,
            out_file=tmp_path / "out.jsonl",
        )
    finally:
        tracemalloc.stop()
    assert (len(found), found.failed) == (1_200, 0)
    assert heap[1_199] - heap[299] < 200_000


def test_every_task_takes_files_and_writes_them(tmp_path):
    (tmp_path / "questions.csv").write_text(
        f"question,context\nWhen does the school open?,{NEWS}\n,{NEWS}\n", encoding="utf-8"
    )
    found = ask_each(
        tmp_path / "questions.csv", model="embedded:extractive", out_file=tmp_path / "answers.jsonl"
    )
    assert "Monday" in lines(found.path)[0]["text"]
    assert "nothing but white space" in lines(found.path)[1]["error"]
    again = summarize_each(
        ["A text. Another text."], model="embedded:extractive", out_file=tmp_path / "sums.jsonl"
    )
    assert again.first[0]["model"] == "embedded:extractive"
    assert isinstance(summarize_each(iter([NEWS]), model="embedded:extractive")[0], Summary)


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_row_of_a_table_that_is_no_utf8_is_an_error_and_not_mangled(kind, tmp_path):
    path, mark = tmp_path / f"latin.{kind}", {"csv": b",", "tsv": b"\t"}[kind]
    path.write_bytes(
        mark.join([b"en", b"note\n"])
        + mark.join([b"caf\xe9", b"x\n"])
        + mark.join([b"tea", b"\xe9\n"])
    )
    results = work_through(path, one_by_one(shout), column="en")
    assert [str(result) for result in results] == [
        f"row 0: latin.{kind} is no UTF-8 text here; save it as UTF-8",
        "TEA",
    ]


def test_rows_that_a_generator_gave_before_it_failed_are_done_and_written(tmp_path):
    def rows():
        yield from ["a", "b", "c"]
        raise RuntimeError("no more")

    out = tmp_path / "out.jsonl"
    with pytest.raises(RuntimeError, match="no more"):
        work_through(rows(), one_by_one(shout), window_rows=8, out_file=out)
    assert [record["row"] for record in lines(out)] == [0, 1, 2]
    assert (
        len(
            work_through(
                ["a", "b", "c", "d"], one_by_one(shout), window_rows=8, out_file=out, resume=True
            )
        )
        == 4
    )


def test_a_column_may_be_called_by_a_number():
    frame = pytest.importorskip("pandas").DataFrame({7: ["a"], "other": ["b"]})
    assert [str(result) for result in work_through(frame, one_by_one(shout), column="7")] == ["A"]


def test_the_rows_that_are_shown_are_the_first_ones_in_whatever_order_they_were_done(tmp_path):
    def backwards(rows, keep):
        for i in sorted(rows, reverse=True):
            keep(i, Upper(rows[i]))

    found = work_through(
        list(map(str, range(30))), backwards, window_rows=30, out_file=tmp_path / "out.jsonl"
    )
    assert [record["row"] for record in found.first] == list(range(10))


def test_a_file_of_results_that_cannot_be_written_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"out\.jsonl cannot be written: "):
        work_through(["a"], one_by_one(shout), out_file=tmp_path / "file" / "out.jsonl")


def test_a_stop_is_heard_while_a_generator_gives_its_rows():
    given = []

    def rows():
        for row in "abcdefgh":
            given.append(row)
            yield row

    assert (
        work_through(rows(), lambda rows, keep: None, window_rows=8, stop=lambda: len(given) > 2)
        == []
    )
    assert given == ["a", "b", "c"]


def test_the_columns_of_a_table_are_those_of_its_head_whatever_its_rows_are(tmp_path):
    (tmp_path / "rows.tsv").write_text('en\tde\n"a quote left open\tx\n', encoding="utf-8")
    assert column_names(tmp_path / "rows.tsv") == ["en", "de"]


def test_a_row_that_swallowed_the_lines_after_it_says_so(tmp_path):
    (tmp_path / "rows.csv").write_text('en,de\n"open,x\nthe cat,y\nthe dog,z\n', encoding="utf-8")
    (row,) = work_through(tmp_path / "rows.csv", one_by_one(shout), column="en")
    assert row.reason == (
        "it has 1 fields where rows.csv has 2 columns; it goes over 4 lines: is a quote left open?"
    )


def test_a_table_in_utf16_is_not_said_to_lack_a_column(tmp_path):
    (tmp_path / "rows.csv").write_text("en,de\na,b\n", encoding="utf-16")
    with pytest.raises(InputError, match=r"rows.csv is no UTF-8 text; save it as UTF-8"):
        work_through(tmp_path / "rows.csv", one_by_one(shout), column="en")
