"""`--each` with references, with a model that translates back, and with several models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sacrebleu

import llm_magics
from llm_magics.rows.rows import Rows
from llm_magics.tasks.compare import Comparison

NEWS = [
    f"The river rose {i} metres. The school was closed. It opens again on Monday." for i in range(4)
]
RIGHT = [
    "The school was closed.",
    "It opens again.",
    "The river rose 2 metres.",
    "Nothing happened.",
]
SUMMARIZE = "%summarize --model embedded:extractive --language en --max-words 6"
EN, DE = (
    ["The cat sleeps.", "A dog runs in the park.", "Where is the station?"],
    ["Die Katze schläft.", "Im Park läuft ein Hund.", "Wo ist der Bahnhof?"],
)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def table(tmp_path):
    (tmp_path / "in.tsv").write_text(
        "en\tde\n" + "".join(f"{a}\t{b}\n" for a, b in zip(EN, DE, strict=True)), encoding="utf-8"
    )
    return "in.tsv"


@pytest.fixture
def other(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "other")


@pytest.mark.parametrize(
    "kind",
    ["column of a file", "column of a frame", "column of mappings", "list", "series", "file"],
)
def test_references_are_a_column_a_list_or_a_file(cells, tmp_path, kind):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"body": NEWS, "right": RIGHT})
    frame.to_csv(tmp_path / "in.csv", index=False)
    (tmp_path / "right.txt").write_text("\n".join(RIGHT), encoding="utf-8")
    cells.shell.user_ns.update(
        df=frame, texts=NEWS, expected=RIGHT, objects=frame.to_dict("records")
    )
    words = {
        "column of a file": "--each in.csv --column body --reference right",
        "column of a frame": "--each df --column body --reference right",
        "column of mappings": "--each objects --column body --reference right",
        "list": "--each texts --reference expected",
        "series": 'df --each df.body --reference df["right"]',
        "file": "--each texts --reference right.txt",
    }[kind].removeprefix("df ")
    found = cells.run(f"{SUMMARIZE} {words}")
    expected = [
        cells.run(f"one = {right!r}\n{SUMMARIZE} --reference one {text}").scores
        for text, right in zip(NEWS, RIGHT, strict=True)
    ]
    assert [one.scores for one in found] == expected
    assert found.scores == {
        name: pytest.approx(sum(one[name] for one in expected) / 4) for name in expected[0]
    }
    assert f"ROUGE-L {found.scores['rougeL']:.1f}" in repr(found)
    code = cells.run(f"{SUMMARIZE} --code {words}")
    cells.run(str(code))
    assert cells.shell.user_ns["results"].scores == found.scores


def test_references_that_are_not_there_are_named(cells, table):
    cells.shell.user_ns.update(texts=NEWS, few=RIGHT[:2], one="a text")
    said = cells.refusal(f"%translate --to de --each {table} --column en --reference fr")
    assert "--reference fr is neither a column (in.tsv has en, de) nor a variable" in said
    assert "few has 2 references, --each texts 4 rows" in cells.refusal(
        f"{SUMMARIZE} --each texts --reference few"
    )
    Path("right.txt").write_text("\n".join(RIGHT[:3]), encoding="utf-8")
    assert "has 3 references, --each texts 4 rows" in cells.refusal(
        f"{SUMMARIZE} --each texts --reference right.txt"
    )
    assert "of type str; with --each expected a list" in cells.refusal(
        f"{SUMMARIZE} --each texts --reference one"
    )
    assert "2 references for 3 rows" in cells.refusal(
        f"%translate --to de --each {table} --column en --reference few"
    )


def test_a_file_keeps_the_scores_of_every_row_and_a_resumed_one_scores_all(cells, table, tmp_path):
    words = f"%translate --model embedded:en-de --each {table} --column en --reference de"
    whole = cells.run(f"{words} --out-file out.jsonl")
    assert isinstance(whole, Rows)
    assert whole.path is not None
    written = lines(tmp_path / "out.jsonl")
    texts = [line["text"] for line in written]
    assert whole.scores == {
        "bleu": pytest.approx(sacrebleu.corpus_bleu(texts, [DE]).score),
        "chrf": pytest.approx(sacrebleu.corpus_chrf(texts, [DE]).score),
    }
    assert [line["scores"]["chrf"] for line in written] == [
        pytest.approx(sacrebleu.corpus_chrf([text], [[right]]).score)
        for text, right in zip(texts, DE, strict=True)
    ]
    before = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "out.jsonl").write_bytes(b"".join(before.splitlines(keepends=True)[:2]))
    found = cells.run(f"{words} --resume out.jsonl")
    assert (found.resumed, found.scores) == (2, whole.scores)
    assert (tmp_path / "out.jsonl").read_bytes() == before
    (tmp_path / table).write_text(
        "en\tde\n" + "".join(f"{text}\tother\n" for text in EN), encoding="utf-8"
    )
    assert "row 0 of out.jsonl was made from another text" in cells.refusal(
        f"{words} --resume out.jsonl"
    )


def test_every_row_is_translated_back(cells, tmp_path):
    cells.shell.user_ns["texts"] = EN
    words = "%translate --model embedded:en-fr --each texts --back-translate embedded:fr-en"
    found = cells.run(words)
    alone = [
        cells.run(f"%translate --model embedded:en-fr --back-translate embedded:fr-en {text}")
        for text in EN
    ]
    assert [one.back_translation.sentences for one in found] == [
        one.back_translation.sentences for one in alone
    ]
    assert [one.back_translation.score for one in found] == [
        one.back_translation.score for one in alone
    ]
    came = [" ".join(one.back_translation.sentences) for one in found]
    assert found.scores == {"back_chrf": pytest.approx(sacrebleu.corpus_chrf(came, [EN]).score)}
    assert "chrF of what came back" in repr(found)
    whole = cells.run(f"{words} --out-file out.jsonl")
    written = (tmp_path / "out.jsonl").read_bytes()
    assert [line["back_translation"]["sentences"] for line in lines(tmp_path / "out.jsonl")] == [
        [text] for text in came
    ]
    (tmp_path / "out.jsonl").write_bytes(written.splitlines(keepends=True)[0])
    assert cells.run(f"{words} --resume out.jsonl").scores == whole.scores == found.scores
    assert (tmp_path / "out.jsonl").read_bytes() == written


def test_a_model_that_cannot_go_back_is_an_error_before_any_row(cells, tiny_model):
    cells.shell.user_ns["texts"] = EN
    words = (
        f"%translate --from en --to de --model {tiny_model} --each texts --back-translate "
        f"{tiny_model}"
    )
    assert "translates en to de, not to English" in cells.refusal(words)


def test_many_rows_go_through_two_models(cells, tiny_model, other, table, tmp_path):
    words = (
        f"%translate --from en --to de --compare {tiny_model},{other} --each {table} --column en "
        "--reference de"
    )
    found = cells.run(f"{words} --out both")
    assert all(isinstance(one, Comparison) for one in found)
    one = cells.run(
        f"%translate --from en --to de --model {tiny_model} --each {table} --column en "
        "--reference de"
    )
    assert [each.results[0].text for each in found] == one.texts
    assert found.scores == {str(tiny_model): one.scores, str(other): one.scores}  # the same weights
    assert found.table().headers == ("", "row", str(tiny_model), str(other))
    cells.run(f"{words} --out-file out.jsonl")
    line = lines(tmp_path / "out.jsonl")[0]
    assert [line["results"][str(model)]["text"] for model in (tiny_model, other)] == [
        one.texts[0]
    ] * 2
    code = cells.run(f"{words} --code")
    assert "compare_each('translate', 'in.tsv', [" in str(code)
    cells.run(str(code))
    assert cells.shell.user_ns["results"].scores == found.scores
    plan = cells.run(f"{words} --dry-run")
    assert plan.headers == ("", str(tiny_model), str(other))


def test_compared_models_are_translated_back_too(cells, tmp_path):
    cells.shell.user_ns["texts"] = EN
    shutil.copytree(
        Path(llm_magics.__file__).parent / "models" / "embedded" / "en-fr", tmp_path / "copy"
    )
    found = cells.run(
        "%translate --to fr --compare embedded:en-fr,./copy --each texts --back-translate "
        "embedded:fr-en"
    )
    assert [list(scores) for scores in found.scores.values()] == [["back_chrf"]] * 2
    assert "chrF of what came back" in repr(found)
    assert "they agree by chrF 100.0" in repr(found)
