"""`--engine ctranslate2` in the magics that write with a model, against the real session."""

from __future__ import annotations

import sys

import pytest

from llm_magics.errors import WrongTask

pytest.importorskip("ctranslate2", reason="needs pip install 'llm-magics-notebook[fast]'")


@pytest.fixture(scope="module")
def marian(tmp_path_factory, tiny_builders):
    return tiny_builders["marian"](tmp_path_factory.mktemp("marian") / "opus-mt-en-de")


@pytest.fixture(scope="module")
def t5(tmp_path_factory, tiny_builders):
    return tiny_builders["mt5"](tmp_path_factory.mktemp("t5") / "mt5")


def test_a_translation_says_its_engine_and_is_that_of_torch_without_links(cells, marian):
    fast = cells.run(
        f"%%translate --to de --engine ctranslate2 --model {marian}\nThe cat sat on the mat. "
        "Where is it?"
    )
    slow = cells.run(f"%%translate --to de --model {marian}\nThe cat sat on the mat. Where is it?")
    assert fast.text == slow.text
    assert fast.provenance.parameters["engine"] == "ctranslate2"
    assert "engine" not in slow.provenance.parameters
    assert ["ctranslate2" in one.provenance.versions for one in (fast, slow)] == [True, False]
    assert "ctranslate2" in fast._repr_mimebundle_()[0]["text/html"]
    assert all(pair.aligned for pair in slow.sentences)
    assert not any(pair.aligned for pair in fast.sentences)
    assert fast.notes == slow.notes


def test_alternatives_come_from_its_beams(cells, marian):
    result = cells.run(
        f"%translate --to de --engine ctranslate2 --alternatives 2 --model {marian} The cat "
        "sat "
        "on the mat."
    )
    assert result.provenance.parameters["num_beams"] == 3
    assert len(result.sentences[0].alternatives) == 2


def test_summaries_answers_and_many_rows_take_it_too(cells, t5, marian):
    for line in (
        (
            f"%summarize --engine ctranslate2 --model {t5} The Danube is long. It rises in the "
            "Black "
            "Forest."
        ),
        f"%%ask --engine ctranslate2 --model {t5}\nThe Danube is long.\n---\nWhat is long?",
    ):
        assert cells.run(line).provenance.parameters["engine"] == "ctranslate2"
    cells.shell.user_ns["rows"] = ["A cat.", "A dog."]
    rows = cells.run(
        f"%translate --to de --engine ctranslate2 --precision int8 --model {marian} --each rows"
    )
    assert [row.provenance.parameters["engine"] for row in rows] == ["ctranslate2"] * 2
    assert rows[0].provenance.parameters["dtype"] == "int8"


def test_rows_of_another_engine_are_not_gone_on_with(cells, marian):
    cells.shell.user_ns["rows"] = ["A cat.", "A dog."]
    cells.run(f"%translate --to de --model {marian} --each rows --out-file rows.jsonl")
    assert "made with another task, model or other options" in cells.refusal(
        f"%translate --to de --engine ctranslate2 --model {marian} --each rows --resume rows.jsonl"
    )
    cells.run(f"%translate --to de --model {marian} --each rows --resume rows.jsonl")


def test_code_plan_help_and_table_tell_of_it(cells, marian, t5):
    line = f"%translate --to de --engine ctranslate2 --precision int8 --model {marian}"
    code = cells.run(f"{line} --code A cat.")
    assert "load_options={'dtype': 'int8', 'engine': 'ctranslate2'}" in code
    plan = cells.run(f"{line} --dry-run A cat.")
    assert dict(plan.rows) | {"engine": "ctranslate2", "dtype": "int8"} == dict(plan.rows)
    assert "is converted for CTranslate2 first" in plan.caption
    assert "engine" not in dict(
        cells.run(f"%translate --to de --dry-run --model {marian} A cat.").rows
    )
    cells.run(f"{line} A cat.")
    assert [row[3] for row in cells.run("%models").rows] == ["int8 ctranslate2"]
    cells.run(f"%models load {t5} --engine ctranslate2")
    assert {row[3] for row in cells.run("%models").rows} == {
        "int8 ctranslate2",
        "float32 ctranslate2",
    }
    assert cells.run(f"%models load {t5} --engine ctranslate2 --code").endswith(
        ", engine='ctranslate2')"
    )
    cells.run(f"%models unload {t5}")
    assert len(cells.run("%models").rows) == 1
    for magic in ("translate", "summarize", "ask"):
        cells.run(f"%{magic} -h")
        assert "pip install 'llm-magics-notebook[fast]'" in " ".join(cells.output.stdout.split())


def test_attention_opens_the_model_in_torch_beside_it(cells, marian):
    cells.run(f"%translate --to de --engine ctranslate2 --model {marian} A cat.")
    cells.run(f"%attention {marian} A cat.")
    assert {row[3] for row in cells.run("%models").rows} == {"float32 ctranslate2", "float32"}


def test_what_it_cannot_do_is_one_line(cells, marian, tiny_model, monkeypatch):
    fast = "%translate --to de --engine ctranslate2"
    with pytest.raises(WrongTask, match="a model of this project, which torch computes"):
        cells.run(f"{fast} --model {tiny_model} A cat.")
    assert "does not compute float16 on cpu: use float32 or int8" in cells.refusal(
        f"{fast} --precision fp16 --model {marian} A cat."
    )
    assert "no option '--engine'" in cells.refusal(
        f"%predict --engine ctranslate2 --model {marian} A cat."
    )
    assert "invalid choice: 'onnx'" in cells.refusal("%translate --to de --engine onnx A cat.")
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    assert "pip install 'llm-magics-notebook[fast]'" in cells.refusal(
        f"{fast} --model {marian} A cat."
    )
