"""%understand and %%understand as a user types them."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def tagger(tmp_path_factory, tiny_builders):
    """The folder of a small tagger of our own, with random weights."""
    return str(tiny_builders["house_tagger"](tmp_path_factory.mktemp("tagger") / "model"))


def test_a_line_and_a_cell_give_the_same(cells):
    line = cells.run("%understand --show sentiment,phrases The film was wonderful.")
    cell = cells.run("%%understand --show sentiment,phrases --out kept\nThe film was wonderful.\n")
    assert line.sentiment.label == cell.sentiment.label == "positive"
    assert cells.shell.user_ns["kept"] is cell
    assert list(cell.by) == ["sentiment", "phrases"]


def test_a_model_by_option_and_by_setting(cells, tagger):
    found = cells.run(
        f"%understand --show entities --model {tagger} Angela Merkel met Macron in Berlin."
    )
    assert found.by["entities"].model == tagger
    cells.run(f"%config LLM.entities_model = {tagger!r}")
    again = cells.run("%understand Angela Merkel met Macron in Berlin.")
    assert again.by["entities"].why == "your default"
    assert [(one.start, one.end) for one in again.entities] == [
        (one.start, one.end) for one in found.entities
    ]


def test_precision_is_that_of_the_weights(cells, tagger):
    found = cells.run(
        f"%understand --show entities --precision int8 --model {tagger} Angela Merkel met "
        "Macron "
        "in Berlin."
    )
    assert found.by["entities"].parameters["dtype"] == "int8"


def test_rows(cells):
    cells.shell.user_ns["rows"] = ["It was wonderful.", "It was terrible.", ""]
    found = cells.run("%understand --show sentiment --each rows")
    assert found.texts == ["sentiment: positive (+1.00)", "sentiment: negative (-1.00)", None]
    assert len(found.errors) == 1


def test_rows_of_a_file_into_a_file(cells, tmp_path):
    import json

    (tmp_path / "rows.txt").write_text("It was wonderful.\nIt was terrible.\n", "utf-8")
    cells.run(
        f"%understand --show sentiment --each {tmp_path / 'rows.txt'} --out-file "
        f"{tmp_path / 'moods.jsonl'}"
    )
    written = [
        json.loads(line) for line in (tmp_path / "moods.jsonl").read_text("utf-8").splitlines()
    ]
    assert [row["sentiment"]["label"] for row in written] == ["positive", "negative"]
    assert written[0]["by"] == {"sentiment": "textblob"}


def test_the_equivalent_python_runs_and_gives_the_same(cells):
    code = cells.run(
        '%understand --code --show phrases --count 2 --labels ""  The wind tunnel. The wind '
        "tunnel is old."
    )
    assert str(code).startswith("from llm_magics import understand\n")
    names = {}
    exec(str(code), names)
    assert [one.text for one in names["result"].phrases] == ["wind tunnel"]


def test_a_dry_run_names_what_each_aspect_would_take(cells, tagger):
    shown = str(
        cells.run(f"%understand --dry-run --show sentiment,entities --model {tagger} Some text.")
    )
    assert tagger.rpartition("/")[2] in shown
    table = cells.run("%understand --dry-run The film was wonderful.")
    assert ["sentiment", "textblob"] in [list(row[:2]) for row in table.rows]


def test_wrong_words_are_one_line(cells):
    assert "there is no 'mood' to show" in cells.refusal("%understand --show mood text")
    assert "which labels" in cells.refusal("%understand --show labels text")
    assert "there is no text" in cells.refusal("%understand")
