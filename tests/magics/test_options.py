"""The scanner and the parser of magic lines."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.error import UsageError

from llm_magics.magics.core.options import (
    Option,
    build_parser,
    number,
    parse,
    scan,
    suggestion,
    whole,
)

OPTIONS = (
    Option("--to", "language", "LANGUAGE"),
    Option("--beams", "beams", "N", whole(1, 64), default=1),
    Option("--dtype", "precision", "DTYPE", choices=("float16", "float32")),
    Option("--each", "rows", "EXPR"),
    Option("--quiet", "nothing"),
    Option("--help", "help"),
)


def scanned(line, words=0, text=True):
    return scan(line, "%t", OPTIONS, most_words=words, text=text)


def values(line):
    return parse(build_parser("%t", OPTIONS, "%t", "", ""), scanned(line).arguments)


def refusal(line, **how):
    with pytest.raises(UsageError) as caught:
        scanned(line, **how)
    assert type(caught.value) is UsageError
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        'He said "it\'s {fine}"  and   left',
        "rock 'n roll",
        "'tis",
        "{a} $b {{c}}",
        "-5 degrees",
        "- a dash",
        "— Oui",
        "100 % of --unknown-things",
        "a\\b",
        "--- three dashes",
        "x = [1, 2",
        "\ud800 half a character",
    ],
)
def test_text_behind_the_options_is_verbatim(text):
    assert scanned(f"--to de {text}").text == text
    assert scanned(text).text == text


def test_options_and_values_in_every_writing():
    for line in (
        "--to de --quiet x",
        "--quiet --to=de x",
        "--to 'de' --quiet x",
        '  --to="de"  --quiet  x',
    ):
        found = scanned(line)
        assert set(found.arguments) == {"--to=de", "--quiet"}
        assert found.text == "x"


def test_a_quoted_value_keeps_its_spaces_and_loses_its_quotes():
    assert scanned('--to " | " x').arguments == ("--to= | ",)
    assert scanned('--to=" | " x').arguments == ("--to= | ",)


def test_an_expression_may_hold_spaces_and_quotes_in_its_brackets():
    assert scanned('--each df["my col"][: 10] rest').arguments == ('--each=df["my col"][: 10]',)


def test_two_dashes_end_the_options():
    found = scanned("--quiet -- --to is a flag")
    assert (found.arguments, found.text) == (("--quiet",), "--to is a flag")


def test_an_option_behind_the_text_is_refused_instead_of_translated():
    assert "'--to' stands behind the text" in refusal("hello --to de")


def test_an_unknown_option_is_answered_with_the_nearest():
    assert "no option '--tp'; did you mean '--to'?" in refusal("--tp de hello")
    assert "no option '-to'; did you mean '--to'?" in refusal("-to de hello")
    assert "%t -h lists them" in refusal("--zzzzzz")


def test_an_abbreviated_option_is_unknown():
    assert "no option '--be'" in refusal("--be 2 x")


def test_a_typographic_dash_is_named():
    assert "'—to' begins with a dash that is no hyphen; did you mean '--to'?" in refusal(
        "—to de hello"
    )


def test_a_missing_value_is_named():
    for line in ("--to", "--to=", "--to --quiet x"):
        assert "--to needs a value: --to LANGUAGE" in refusal(line)


def test_a_value_where_none_is_taken_and_a_repeated_option_are_refused():
    assert "--quiet takes no value" in refusal("--quiet=yes x")
    assert "--to was given twice" in refusal("--to de --to fr x")


def test_an_open_quote_or_bracket_is_named():
    assert "--to: the quote ' is not closed" in refusal("--to 'de x")
    assert "lacks a closing ']'" in refusal("--each df[1 x")


def test_words_come_before_the_text_with_options_among_them():
    found = scanned("load --to de ref the  text", words=2)
    assert (found.words, found.arguments, found.text) == (
        ("load", "ref"),
        ("--to=de",),
        "the  text",
    )


def test_a_word_too_many_is_refused_where_no_text_is_taken():
    assert "'three' was not expected here" in refusal("one two three", words=2, text=False)


@pytest.mark.parametrize("value", ["0", "65", "1e3", "nan", "-1", "1.5", "½", "9" * 400])
def test_a_whole_number_out_of_its_range_is_refused(value):
    with pytest.raises(UsageError, match="is not a whole number from 1 to 64"):
        values(f"--beams={value}")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e309", "-1", "x", ""])
def test_a_number_must_be_finite_and_in_range(value):
    with pytest.raises(argparse.ArgumentTypeError):
        number(0, 10)(value)


def test_defaults_and_conversions():
    assert values("x")["beams"] == 1
    assert values("--beams 4")["beams"] == 4
    with pytest.raises(UsageError, match="float16"):
        values("--dtype int3")


def test_the_nearest_known_word_is_suggested_only_when_it_is_near():
    assert suggestion("tranlate", ["translate", "train"]) == "; did you mean 'translate'?"
    assert suggestion("qqqq", ["translate", "train"]) == ""


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80), st.integers(0, 2), st.booleans())
def test_any_line_is_scanned_or_refused_in_one_line(line, words, text):
    found, error = None, None
    try:
        found = scanned(line, words=words, text=text)
    except UsageError as raised:
        error = raised
    if error is None:
        assert line.endswith(found.text)
    else:
        assert type(error) is UsageError
        assert len(str(error).splitlines()) == 1
