"""Notebook variables on a magic line are found, never evaluated."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import pytest
from IPython.core.error import UsageError

from llm_magics.magics.core.namespace import expand, look_up, variable_name

SCOPE = {
    "rows": ["a", "b", "c"],
    "df": {"my col": [1, 2], "text": ["x"]},
    "obj": SimpleNamespace(text=["t"]),
    "lang": "de",
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("rows", ["a", "b", "c"]),
        ("rows[0]", "a"),
        ("rows[-1]", "c"),
        ("rows[:2]", ["a", "b"]),
        ("rows[::2]", ["a", "c"]),
        ('df["my col"]', [1, 2]),
        ("df['text'][0]", "x"),
        ("obj.text", ["t"]),
        ("  rows ", ["a", "b", "c"]),
    ],
)
def test_names_attributes_columns_and_slices_are_found(expression, value):
    assert look_up(expression, SCOPE, "%t") == value


@pytest.mark.parametrize(
    "expression",
    [
        "rows + rows",
        "__import__('os')",
        "rows.copy()",
        "[r for r in rows]",
        "rows[lang]",
        "lambda: 0",
        "f'{rows}'",
        "1 +",
        "rows[",
        "",
        "\x00",
        "rows; rows",
    ],
)
def test_whatever_would_have_to_run_is_refused(expression):
    with pytest.raises(UsageError) as caught:
        look_up(expression, SCOPE, "%t")
    assert type(caught.value) is UsageError


def test_a_missing_variable_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="no variable 'row' in this notebook; did you mean 'rows'"):
        look_up("row", SCOPE, "%t")


def test_a_missing_attribute_or_column_is_named():
    with pytest.raises(UsageError, match="obj.nothing"):
        look_up("obj.nothing", SCOPE, "%t")
    with pytest.raises(UsageError, match="df\\['nope'\\]"):
        look_up("df['nope']", SCOPE, "%t")


def test_only_a_whole_value_is_expanded():
    assert expand("{lang}", SCOPE, "%t") == "de"
    assert expand("$lang", SCOPE, "%t") == "de"
    for value in ("x{lang}", "$lang!", "{", "{{lang}}", "de"):
        assert expand(value, SCOPE, "%t") == value
    with pytest.raises(UsageError, match="no variable 'lagn'"):
        expand("{lagn}", SCOPE, "%t")


@pytest.mark.parametrize("name", ["1x", "class", "a b", "a.b", ""])
def test_out_takes_only_names(name):
    with pytest.raises(argparse.ArgumentTypeError):
        variable_name(name)
