"""Lines of our magics that end with a question mark are work, not requests for help."""

from __future__ import annotations

import pytest

from llm_magics.magics.core.questions import make_transformer

keep = make_transformer(["ask", "translate"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("%ask Who wrote 'it'?\n", "get_ipython().run_line_magic('ask', \"Who wrote 'it'?\")\n"),
        (
            "x = %translate --to de Where is it? \n",
            "x = get_ipython().run_line_magic('translate', '--to de Where is it?')\n",
        ),
        ("    %ask Why??", "    get_ipython().run_line_magic('ask', 'Why??')"),
    ],
)
def test_a_question_becomes_the_call_it_would_be_without_its_mark(given, expected):
    assert keep([given]) == [expected]


@pytest.mark.parametrize(
    "lines",
    [
        ["%ask?\n"],
        ["%%ask\n", "Who?\n"],
        ["%timeit x?\n"],
        ["%asking who?\n"],
        ["ask.me?\n"],
        ["%ask Who is it\n"],
        ["text = '''\n", "%ask Who?\n", "'''\n"],
    ],
)
def test_everything_else_stays_as_it_is(lines):
    assert keep(lines) == lines


def test_a_line_that_ends_with_a_question_mark_is_answered(cells):
    cells.shell.user_ns["article"] = (
        "The Danube rises in the Black Forest. The Rhine rises in the Alps."
    )
    assert (
        cells.run("%ask --context article Where does the Rhine rise?").text
        == "The Rhine rises in the Alps."
    )
    assert cells.run(
        "answers = %ask --context article Where does the Danube rise?\nanswers[0].text"
    ) == ("The Danube rises in the Black Forest.")


def test_unloading_takes_the_transformer_out_again(home):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    before = list(shell.input_transformer_manager.line_transforms)
    shell.run_line_magic("load_ext", "llm_magics")
    assert len(shell.input_transformer_manager.line_transforms) == len(before) + 1
    shell.run_line_magic("unload_ext", "llm_magics")
    assert shell.input_transformer_manager.line_transforms == before
