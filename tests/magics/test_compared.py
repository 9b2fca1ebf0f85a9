"""Alternatives, terms, references and comparisons from the line of a magic."""

from __future__ import annotations

import pytest

from llm_magics.tasks.compare import Comparison

EN_DE = "%translate --from en --to de"
NEWS = (
    "The river rose in the night. Two bridges were closed. The school will open again on Monday "
    "morning."
)


def test_terms_alternatives_and_a_reference_reach_the_result(cells, tiny_model):
    cells.shell.user_ns["right"] = "Die Katze schläft."
    result = cells.run(
        f"{EN_DE} --model {tiny_model} --alternatives 2 --keep cat,dog --reference right The "
        "cat "
        "sleeps."
    )
    assert set(result.scores) == {"bleu", "chrf"}
    assert [str(use.term) for use in result.terms] == ["cat"]
    assert len(result.sentences[0].alternatives) <= 2


def test_a_glossary_is_pairs_or_a_variable(cells, tiny_model):
    pairs = cells.run(f"{EN_DE} --model {tiny_model} --glossary cat=Kater,dog=Rüde The cat sleeps.")
    cells.shell.user_ns["words"] = {"cat": "Kater", "dog": "Rüde"}
    held = cells.run(f"{EN_DE} --model {tiny_model} --glossary words The cat sleeps.")
    assert held.terms == pairs.terms
    assert str(held.terms[0].term) == "cat = Kater"
    assert "expected pairs" in cells.refusal(
        f"{EN_DE} --model {tiny_model} --glossary cat= The cat sleeps."
    )
    cells.shell.user_ns["words"] = ["cat"]
    assert "expected a dict" in cells.refusal(
        f"{EN_DE} --model {tiny_model} --glossary words The cat sleeps."
    )


def test_two_models_are_compared_in_one_cell(cells, tiny_model, tmp_path):
    import shutil

    other = shutil.copytree(tiny_model, tmp_path / "other")
    found = cells.run(
        f"%%translate --from en --to de --compare {tiny_model},{other} --out both\nThe cat "
        "sleeps. A dog runs."
    )
    assert isinstance(found, Comparison)
    assert cells.shell.user_ns["both"] is found
    assert found.agreement[0][1] == pytest.approx(100)  # the same weights
    code = cells.run(
        f"%%translate --code --from en --to de --compare {tiny_model},{other}\nThe cat sleeps."
    )
    assert str(code).startswith("from llm_magics import compare_models\n")
    cells.run(str(code))
    assert cells.shell.user_ns["result"].models == (str(tiny_model), str(other))
    plan = cells.run(
        f"%%translate --dry-run --from en --to de --compare {tiny_model},{other}\nThe cat sleeps."
    )
    assert plan.headers == ("", str(tiny_model), str(other))


def test_what_does_not_go_together_is_refused(cells):
    cells.shell.user_ns["rows"] = [NEWS]
    summarize = "%summarize --model embedded:extractive"
    assert "leave --model out" in cells.refusal(f"{summarize} --compare a,b Some text.")
    assert "two models or more" in cells.refusal("%summarize --compare a Some text.")
    assert "expected text" in cells.refusal(f"{summarize} --reference rows Some text.")


def test_a_summary_is_scored_by_a_file(cells, tmp_path):
    (tmp_path / "right.txt").write_text("Two bridges were closed.", encoding="utf-8")
    result = cells.run(
        f"%%summarize --model embedded:extractive --max-words 5 --reference right.txt\n{NEWS}"
    )
    assert result.scores["rouge1"] > 0


def test_a_model_that_fails_is_named_wherever_a_comparison_is_shown(cells, tmp_path):
    both = "embedded:extractive,embedded:en-de"
    found = cells.run(f"%%summarize --compare {both}\n{NEWS}")
    assert "\nembedded:en-de: " in found.plain()
    plan = cells.run(
        "%%summarize --dry-run --engine ctranslate2 --compare "
        f"embedded:extractive,embedded:nothing\n{NEWS}"
    )
    assert "embedded:nothing: " in plan.text()
    cells.shell.user_ns["rows"] = [NEWS, NEWS]
    rows = cells.run(f"%summarize --compare {both} --each rows")
    written = cells.run(
        f"%summarize --compare {both} --each rows --out-file {tmp_path / 'both.jsonl'}"
    )
    for shown in (rows.table(), written.table()):
        assert shown.headers[-1] == "embedded:en-de"
        assert "cannot summarise" in shown.rows[0][-1]
        assert "embedded:en-de left 2 rows undone: " in shown.caption
