import pytest

from llm_magics.display.html import render
from llm_magics.display.table import cell_width, table


def test_columns_line_up_with_wide_and_combining_characters():
    shown = table(["name", "n"], [["数字", 1], ["e\u0301a", 22], ["plain", 333]], align="lr").text()
    lines = shown.splitlines()
    assert lines[0] == "name     n"
    assert {cell_width(line) for line in lines} == {10}
    assert lines[2] == "数字     1"


def test_a_cell_stays_on_its_line_and_is_cut():
    shown = table(["a"], [["x\ny" + "z" * 100]]).text().splitlines()
    assert len(shown) == 3
    assert shown[2].endswith("…")
    assert cell_width(shown[2]) == 60


def test_html_holds_no_markup_of_the_cells():
    html = render(table(["<i>"], [["<script>"], [None]], caption="<u>").node())
    for markup in ("<i>", "<script", "<u>"):
        assert markup not in html
    assert html.count("<td") == 2


def test_both_forms_are_offered_to_a_notebook():
    one = table(["a"], [[1]])
    assert one._repr_mimebundle_()["text/plain"] == str(one)


def test_a_table_without_rows_is_its_head():
    assert table(["a", "b"], []).text() == "a  b\n─  ─"


@pytest.mark.parametrize(("rows", "align"), [([[1]], ""), ([[1, 2]], "x"), ([[1, 2]], "lll")])
def test_rows_and_alignment_must_fit_the_heads(rows, align):
    with pytest.raises(ValueError, match=r"heads|align"):
        table(["a", "b"], rows, align=align)
