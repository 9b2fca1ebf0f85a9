"""A variable or a file: one rule for every option that may name either."""

from __future__ import annotations

import pytest

OPTIONS = [
    "%ask --context {} Where is it?",
    "%translate --to de --reference {} A cat.",
    "%translate --to de --each {}",
    "%translate --to de --in {}",
    "%translate --to de --glossary {} A cat.",
    "%translate --to de --each lines --reference {}",
]
EXTRACT = "%summarize --model embedded:extractive"


@pytest.fixture
def place(cells, tmp_path):
    cells.shell.user_ns["lines"] = ["A cat.", "A dog."]
    return tmp_path


@pytest.mark.parametrize("line", OPTIONS)
def test_a_name_that_is_nothing_is_looked_for_among_variables_and_files(cells, place, line):
    refusal = cells.refusal(line.format("nowhere"))
    assert all(word in refusal for word in ("variable", "file", "nowhere"))


@pytest.mark.parametrize("line", OPTIONS)
def test_a_file_that_is_not_there_is_named_with_the_folder_it_was_looked_for_in(cells, place, line):
    refusal = cells.refusal(line.format("nowhere.csv"))
    assert f"there is no such file in {place}, and no variable 'nowhere'" in refusal


def test_a_markdown_file_is_read_by_every_option_that_takes_a_text(cells, place):
    text = "The Rhine rises in the Alps. The Danube rises in the Black Forest."
    (place / "notes.md").write_text(text, encoding="utf-8")
    assert cells.run(f"{EXTRACT} --in notes.md").source_text == text
    answers = cells.run("%ask --context notes.md --model embedded:extractive Where is the Danube?")
    assert "Black Forest" in answers.text
    scored = cells.run(f"{EXTRACT} --reference notes.md {text}")
    assert scored.scores


def test_each_does_not_deny_a_file_that_is_there(cells, place):
    (place / "notes.md").write_text("One.\n", encoding="utf-8")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which message, is what is tested
        cells.run(f"{EXTRACT} --each notes.md")
    assert "no variable" not in str(caught.value)
    assert ".md" in str(caught.value) or "notes.md" in str(caught.value)


def test_a_file_with_a_known_ending_comes_before_a_variable_of_its_stem(cells, place):
    class Notes:
        txt = "From the variable. It says so."

    cells.shell.user_ns["notes"] = Notes()
    assert cells.run(f"{EXTRACT} --in notes.txt").source_text == Notes.txt
    (place / "notes.txt").write_text("From the file. It says so.", encoding="utf-8")
    assert cells.run(f"{EXTRACT} --in notes.txt").source_text == "From the file. It says so."


def test_a_variable_comes_before_a_file_without_an_ending(cells, place):
    (place / "notes").write_text("From the file. It says so.", encoding="utf-8")
    assert cells.run(f"{EXTRACT} --in notes").source_text == "From the file. It says so."
    cells.shell.user_ns["notes"] = "From the variable. It says so."
    assert cells.run(f"{EXTRACT} --in notes").source_text == "From the variable. It says so."


def test_a_folder_is_not_taken_for_a_text(cells, place):
    (place / "folder").mkdir()
    assert "is a folder, expected a text file" in cells.refusal(f"{EXTRACT} --in folder")


def test_the_glossary_may_be_a_file_of_pairs(cells, place):
    (place / "terms.csv").write_text('cat,Kater\n"dog, big",Rüde\n', encoding="utf-8")
    line = "%translate --from en --to de --model embedded:en-de --glossary terms.csv --code A cat."
    assert "glossary={'cat': 'Kater', 'dog, big': 'Rüde'}" in str(cells.run(line))
    (place / "terms.csv").write_text("cat\n", encoding="utf-8")
    assert "pair 1: expected source and target" in cells.refusal(line)


def test_a_question_on_one_line_reaches_the_magic_and_its_help_says_nothing_else(cells):
    from llm_magics.magics import find_command

    assert "ends in ?" not in find_command("translate").help()
    found = cells.run("%translate --to de --model embedded:en-de --dry-run Where is it?")
    assert "would use" in found.text()
