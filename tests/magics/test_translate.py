"""`%translate` and `%%translate` against the real session, with a tiny model of random weights."""

from __future__ import annotations

import pytest

from llm_magics.errors import WrongTask, printable
from llm_magics.magics import find_command
from llm_magics.tasks.results import Translation


def test_the_cell_is_translated_and_the_result_comes_back(cells, tiny_model):
    result = cells.run(
        f"%%translate --from en --to de --model {tiny_model}\nThe cat sleeps.\n\nA dog runs."
    )
    assert isinstance(result, Translation)
    assert result.source_text == "The cat sleeps.\n\nA dog runs."
    assert [pair.source for pair in result.sentences] == ["The cat sleeps.", "A dog runs."]
    assert all(pair.target for pair in result.sentences)
    assert (result.source_language, result.target_language) == ("en", "de")


@pytest.mark.parametrize(
    "text",
    [
        'He said "it\'s {fine}"',
        "rock 'n roll",
        "{undefined_name} $HOME",
        "unbalanced ( [ {",
        "--to nowhere is a flag",
        "100 % \\n {{x}}",
        "%translate is a magic",
        "!ls ?",
    ],
)
def test_text_reaches_the_model_as_it_was_written(cells, tiny_model, text):
    below = cells.run(f"%%translate --to de --model {tiny_model}\n{text}")
    assert below.source_text == text
    behind = cells.run(f"%translate --from en --model {tiny_model} -- {text}")
    assert behind.source_text == text
    assert behind.text == below.text


def test_a_line_magic_can_be_assigned_and_later_shown(cells, tiny_model):
    cells.run(f"x = %translate --to de --model {tiny_model} The cat sleeps.")
    assert isinstance(cells.run("x"), Translation)
    assert printable(cells.shell.user_ns["x"]) in cells.output.stdout


def test_precision_is_that_of_the_weights(cells, tiny_model):
    result = cells.run(f"%translate --to de --precision int8 --model {tiny_model} The cat sleeps.")
    assert result.provenance.parameters["dtype"] == "int8"
    assert (
        cells.run(f"%translate --to de --model {tiny_model} The cat sleeps.").provenance.parameters[
            "dtype"
        ]
        == "float32"
    )
    code = cells.run(f"%translate --to de --precision int8 --code --model {tiny_model} A cat.")
    assert "load_options={'dtype': 'int8'}" in code
    plan = dict(
        cells.run(f"%translate --to de --precision bf16 --dry-run --model {tiny_model} A cat.").rows
    )
    assert plan["dtype"] == "bfloat16"


def test_out_assigns_and_the_cell_still_has_its_value(cells, tiny_model):
    result = cells.run(f"%translate --to de --out german --model {tiny_model} The cat sleeps.")
    assert cells.shell.user_ns["german"] is result


def test_quiet_shows_nothing_and_still_returns(cells, tiny_model):
    result = cells.run(f"%translate --quiet --to de --model {tiny_model} The cat sleeps.")
    assert isinstance(result, Translation)
    assert cells.output.stdout.strip() in (
        "",
        "Out[0]:",
    )  # a terminal writes its prompt before it asks for a text
    cells.shell.user_ns["later"] = result
    cells.run("later")
    assert printable(result) in cells.output.stdout


@pytest.mark.parametrize("line", ["attention {model} --quiet The cat sleeps.", "models --quiet"])
def test_quiet_maps_and_tables_are_returned_too(cells, tiny_model, line):
    cells.run("x = %" + line.format(model=tiny_model))
    assert cells.output.stdout == ""
    assert cells.shell.user_ns["x"] is not None
    cells.run("%" + line.format(model=tiny_model))
    assert cells.output.stdout.strip() in ("", "Out[0]:")
    cells.run("x")
    assert len(cells.output.stdout) > 20


def test_text_of_a_variable(cells, tiny_model):
    cells.shell.user_ns["letters"] = {"first": "The cat sleeps."}
    result = cells.run(f"%translate --to de --in letters['first'] --model {tiny_model}")
    assert result.source_text == "The cat sleeps."


def test_a_local_variable_of_a_function_is_found(cells, tiny_model):
    cells.run(
        "def f():\n    inside = 'The cat sleeps.'\n    x = %translate --to de --in inside "
        f"--model {tiny_model}\n"
        "    return x\ny = f()"
    )
    assert cells.shell.user_ns["y"].source_text == "The cat sleeps."


def test_an_option_value_may_be_a_variable(cells, tiny_model):
    cells.shell.user_ns["folder"] = str(tiny_model)
    assert (
        cells.run("%translate --to de --model {folder} The cat sleeps.").source_text
        == "The cat sleeps."
    )
    assert "no variable 'fodler' in this notebook; did you mean 'folder'" in cells.refusal(
        "%translate --to de --model $fodler The cat sleeps."
    )


def test_rows_come_back_in_order_with_errors_in_place(cells, tiny_model):
    cells.shell.user_ns["rows"] = ["The cat sleeps.", "", "A dog runs.", 7]
    rows = cells.run(f"%translate --to de --each rows --out german --model {tiny_model}")
    assert cells.shell.user_ns["german"] is rows
    assert len(rows) == 4
    assert [text is None for text in rows.texts] == [False, True, False, True]
    single = cells.run(f"%translate --to de --from en --model {tiny_model} A dog runs.")
    assert rows[2].text == single.text
    assert len(rows.errors) == 2


def test_a_series_gives_a_series_with_its_index(cells, tiny_model):
    pandas = pytest.importorskip("pandas", reason="needs pandas, which datasets brings")
    cells.shell.user_ns["df"] = pandas.DataFrame(
        {"my text": ["The cat sleeps.", "A dog runs."]}, index=["a", "b"]
    )
    rows = cells.run(f'%translate --to de --each df["my text"] --model {tiny_model}')
    assert list(rows.to_series().index) == ["a", "b"]
    assert list(rows.to_series()) == rows.texts
    assert "whole table" in cells.refusal(f"%translate --to de --each df --model {tiny_model}")


def test_a_dataset_is_asked_for_its_column(cells, tiny_model):
    datasets = pytest.importorskip("datasets")
    cells.shell.user_ns["ds"] = datasets.Dataset.from_dict(
        {"en": ["The cat sleeps.", "A dog runs."], "n": [1, 2]}
    )
    assert "name a column, such as ds['en']" in cells.refusal(
        f"%translate --to de --each ds --model {tiny_model}"
    )
    rows = cells.run(f"%translate --to de --each ds['en'] --model {tiny_model}")
    assert rows.sources == ["The cat sleeps.", "A dog runs."]
    assert rows.errors == []


def test_a_terminal_says_which_model_it_was_and_what_to_know(cells, tiny_model):
    result = cells.run(f"%translate --from auto --to de --model {tiny_model} The cat sleeps.")
    assert str(result) == result.text
    assert result.plain().startswith(f"{result.text}\n[{tiny_model} · as asked")
    assert f"[{tiny_model} · as asked" in cells.output.stdout


def test_a_model_that_only_picks_sentences_is_refused(cells):
    for option in ("", "--dry-run "):
        with pytest.raises(WrongTask, match="picks sentences and cannot translate"):
            cells.run(f"%translate {option}--from en --to de --model embedded:extractive hello")


@pytest.mark.parametrize("name", ["translate", "summarize", "attention", "train", "models", "llm"])
def test_the_examples_of_the_help_reach_their_magic(cells, monkeypatch, name):
    """IPython takes a line that ends in ? for a question about its last word."""
    reached = []
    monkeypatch.setattr(
        "llm_magics.magics.core.command.Command.answer", lambda self, *_: reached.append(self.name)
    )
    examples = type(find_command(name)).examples
    for example in examples:
        cells.run(example)
    assert len(reached) == len(examples)


def test_the_equivalent_python_gives_the_same_text(cells, tiny_model):
    text = "He said: it's {fine}!"
    code = cells.run(f"%%translate --code --from en --to de --model {tiny_model}\n{text}")
    assert "from llm_magics import translate" in cells.output.stdout
    cells.run(str(code))
    assert (
        cells.shell.user_ns["result"].text
        == cells.run(f"%%translate --from en --to de --model {tiny_model}\n{text}").text
    )


def test_a_dry_run_says_what_it_would_take_and_loads_nothing(cells, tiny_model):
    from llm_magics.session import current_session

    table = cells.run(f"%translate --dry-run --to de --model {tiny_model} The cat sleeps.")
    shown = dict(table.rows)
    assert set(shown) >= {"model", "device", "memory needed", "memory free", "download"}
    assert current_session().manager.rows() == []


def test_settings_stand_in_for_options(cells, tiny_model):
    cells.run(f"%config LLM.translate_model = {str(tiny_model)!r}")
    cells.run("%config LLM.target_language = 'German'")
    result = cells.run("%translate The cat sleeps.")
    assert result.target_language == "de"
    assert result.provenance.why == "your default"
    plan = cells.run("%translate --dry-run The cat sleeps.")
    assert "your default" in plan.text()


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        ("%translate", "into which language?"),
        ("%translate --to de", "there is no text"),
        ("%%translate --to de\n   \n\t\n", "is empty; expected text"),
        ("%translate --to Germann hello", "did you mean de (German)?"),
        ("%translate --from xx --to de hello", "no language 'xx'"),
        ("%translate --tp de hello", "no option '--tp'; did you mean '--to'?"),
        ("%translate --to de --model no/such/model hello", "is not a model reference"),
        ("%translate --to de --model run:nothing hello", "nothing"),
        ("%translate --to de --model embeded:en-de hello", "did you mean embedded:en-de?"),
        ("%translate --to de --beams 0 hello", "--beams: '0' is not a whole number from 1 to 64"),
        ("%translate --to de --in nowhere", "no variable 'nowhere'"),
        ("%translate --to de --each 3+4", "would have to be computed"),
        ("%translate --to de --out 1x hello", "'1x' is no name that can be assigned to"),
        ("%%translate --to de hello\nthere", "text came from the cell and from the line"),
    ],
)
def test_what_cannot_be_done_is_answered_in_one_line(cells, cell, answer):
    assert answer in cells.refusal(cell)


def test_help_shows_options_and_examples(cells):
    for cell in ("%translate -h", "%translate --help", "%%translate --help\nanything"):
        assert cells.run(cell) is None
        assert "--to LANGUAGE" in cells.output.stdout
        assert "examples:" in cells.output.stdout


def test_question_mark_shows_the_same_help(cells):
    assert "--to LANGUAGE" in cells.shell.object_inspect_text("%translate")
