"""%ask and %%ask as a user types them."""

from __future__ import annotations

TEXT = "The Danube rises in the Black Forest. The Rhine rises in the Alps."


def test_a_cell_with_the_text_above_and_questions_below(cells):
    asked = "Where does the Rhine rise?\nWhere does the Danube rise?"
    found = cells.run(f"%%ask --model embedded:extractive\n{TEXT}\n---\n{asked}")
    assert [answer.text for answer in found] == [
        "The Rhine rises in the Alps.",
        "The Danube rises in the Black Forest.",
    ]


def test_the_context_may_be_a_variable_or_a_file(cells, tmp_path):
    cells.shell.user_ns["article"] = TEXT
    assert (
        cells.run("%ask --context article Where does the Rhine rise?").text
        == "The Rhine rises in the Alps."
    )
    (tmp_path / "rivers.txt").write_text(TEXT, "utf-8")
    found = cells.run("%ask --context rivers.txt --out kept Where does the Danube rise?")
    assert found.text == "The Danube rises in the Black Forest."
    assert cells.shell.user_ns["kept"] is found


def test_rows_of_questions_share_one_context(cells):
    cells.shell.user_ns.update(
        article=TEXT, asked=["Where does the Rhine rise?", "Where does the Danube rise?"]
    )
    rows = cells.run("%ask --each asked --context article --model embedded:extractive")
    assert rows.texts == ["The Rhine rises in the Alps.", "The Danube rises in the Black Forest."]


def test_the_equivalent_python_runs(cells):
    shown = str(
        cells.run(
            f"%%ask --code --model embedded:extractive\n{TEXT}\n---\nWhere does the Rhine rise?"
        )
    )
    space = {}
    exec(shown, space)
    assert space["answers"].text == "The Rhine rises in the Alps."


def test_what_is_missing_is_said(cells):
    cells.shell.user_ns.update(empty=" ", number=3)
    assert "name one with --context" in cells.refusal("%ask Where?")
    assert "no question below" in cells.refusal("%%ask\ntext\n---\n")
    assert "no text above" in cells.refusal("%%ask\n---\nWhere?")
    assert "--context empty is empty" in cells.refusal("%ask --context empty Where?")
    assert "is of type int, expected text" in cells.refusal("%ask --context number Where?")
    assert "there is no variable 'articel'" in cells.refusal("%ask --context articel Where?")
