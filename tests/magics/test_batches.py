"""`--each` over lists, generators and files, and results in a file that a later cell goes on
with."""

from __future__ import annotations

import json

import pytest

from llm_magics.magics.core.interrupt import Interrupted
from llm_magics.rows.rows import Rows

TEXTS = [
    f"The river rose {i} metres. The school was closed. It opens again on Monday." for i in range(4)
]
SUMMARIZE = "%summarize --model embedded:extractive --language en --max-words 6"


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_file_of_rows_gives_a_file_of_results(cells, tmp_path):
    (tmp_path / "in.csv").write_text(
        "id,body\n" + "".join(f"{i},{text}\n" for i, text in enumerate(TEXTS)), encoding="utf-8"
    )
    found = cells.run(f"{SUMMARIZE} --each in.csv --column body --out-file out.jsonl --out done")
    assert isinstance(found, Rows)
    assert found.path is not None
    assert cells.shell.user_ns["done"] is found
    whole = cells.run(f"{SUMMARIZE} --each in.csv --column body")
    assert [line["text"] for line in lines(tmp_path / "out.jsonl")] == whole.texts
    assert whole.sources == TEXTS


def test_a_batch_goes_on_in_a_later_cell(cells, tmp_path):
    cells.shell.user_ns["texts"] = [*TEXTS[:2], "", *TEXTS[2:]]
    cells.run(f"{SUMMARIZE} --each texts --out-file out.jsonl")
    assert "1 of 5 rows failed, see out.jsonl; the first: row 2" in cells.output.stderr
    whole = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "out.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:3]))
    assert "there already" in cells.refusal(f"{SUMMARIZE} --each texts --out-file out.jsonl")
    found = cells.run(f"{SUMMARIZE} --each texts --resume out.jsonl")
    assert (found.resumed, len(found)) == (3, 5)
    assert (tmp_path / "out.jsonl").read_bytes() == whole
    assert "other options" in cells.refusal(
        f"{SUMMARIZE} --style bullets --each texts --resume out.jsonl"
    )


def test_an_interrupt_keeps_what_is_done_and_says_how_to_go_on(cells, tmp_path):
    cells.run(
        "import os, signal\ndef rows():\n    for i in range(50):\n        if i == 3:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n        yield f'The river rose {i} "
        "metres. It fell.'\n"
    )
    with pytest.raises(
        Interrupted,
        match=r"stopped after 3 rows; --resume out.jsonl goes on|stopped after 4 rows; --resume",
    ):
        cells.run(f"some = rows()\n{SUMMARIZE} --each some --out-file out.jsonl")
    done = len(lines(tmp_path / "out.jsonl"))
    assert done in (3, 4)
    cells.run("again = [f'The river rose {i} metres. It fell.' for i in range(6)]")
    found = cells.run(f"{SUMMARIZE} --each again --resume out.jsonl")
    assert (found.resumed, len(found), found.failed) == (done, 6, 0)


def test_generators_and_tables_are_rows_too(cells):
    pandas = pytest.importorskip("pandas")
    cells.shell.user_ns.update(
        some=iter(TEXTS), df=pandas.DataFrame({"n": range(4), "body": TEXTS})
    )
    rows = cells.run(f"{SUMMARIZE} --each some")
    assert rows.sources == TEXTS
    assert cells.run(f"{SUMMARIZE} --each df --column body").texts == rows.texts
    assert "has no column 'text'" in cells.refusal(f"{SUMMARIZE} --each df --column text")


def test_what_is_missing_is_said(cells):
    assert "no such file" in cells.refusal(f"{SUMMARIZE} --each missing.csv")
    cells.shell.user_ns["texts"] = TEXTS
    assert "leave --out-file out" in cells.refusal(
        f"{SUMMARIZE} --each texts --out-file a.jsonl --resume b.jsonl"
    )


def test_the_equivalent_python_of_a_batch_does_the_same(cells, tmp_path):
    (tmp_path / "in.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    code = cells.run(f"{SUMMARIZE} --code --each in.txt --out-file out.jsonl")
    assert "summarize_each('in.txt', out_file='out.jsonl'" in str(code)
    cells.run(str(code))
    assert len(lines(tmp_path / "out.jsonl")) == 4


def test_a_column_of_a_table_may_be_called_by_a_number(cells):
    cells.shell.user_ns["frame"] = pytest.importorskip("pandas").DataFrame(
        {7: TEXTS[:1], "other": ["b"]}
    )
    found = cells.run("%summarize --model embedded:extractive --each frame --column 7")
    assert found.sources == TEXTS[:1]


@pytest.mark.parametrize("option", ["--out-file out.jsonl", "--resume out.jsonl", "--column body"])
def test_an_option_for_many_rows_is_refused_without_rows(cells, tmp_path, option):
    assert f"{option.split()[0]} is for many rows: name them with --each" in cells.refusal(
        f"{SUMMARIZE} {option} {TEXTS[0]}"
    )
    assert not (tmp_path / "out.jsonl").exists()
    assert "leave out --each, or --panel" in cells.refusal("%summarize --panel --each rows")


def test_an_interrupt_before_the_first_row_is_done_is_said(cells, tmp_path):
    cells.run(
        "import os, signal\ndef rows():\n    os.kill(os.getpid(), signal.SIGINT)\n    yield "
        "'It "
        "is red.'\n"
    )
    with pytest.raises(Interrupted, match=r"stopped after 0 rows; --resume out.jsonl goes on"):
        cells.run(
            "some = rows()\n%translate --from en --to de --model embedded:en-de --each some "
            "--out-file out.jsonl"
        )
