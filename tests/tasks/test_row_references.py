"""Rows with their references, their scores together, and several models over many rows."""

from __future__ import annotations

import gc
import json
import tracemalloc

import pytest
import sacrebleu

from llm_magics.errors import InputError, ModelNotFound, WrongTask
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.scores import with_references
from llm_magics.rows.source import BadRow, Referenced
from llm_magics.tasks import compare_each as compare_each_module
from llm_magics.tasks.compare import compare_models
from llm_magics.tasks.compare_each import compare_each
from llm_magics.tasks.summarize.task import summarize_each
from llm_magics.tasks.translate.batch import translate_each

LIMIT = {"source": "en", "target": "de", "max_new_tokens": 8}
TEXTS = ["The cat sat.", "Where is the station?", "", "The dog runs. It is small."]
RIGHT = ["Die Katze saß.", "Wo ist der Bahnhof?", "Nichts.", None]


def test_a_column_of_references_is_that_beside_the_texts():
    rows = [{"de": "b", "en": "a"}, {"en": "c"}, {"de": "d"}, "no mapping"]
    found = list(with_references(iter(rows), "de"))
    assert found[:2] == [Referenced("a", "b"), Referenced("c", None)]
    assert [type(row) for row in found[2:]] == [BadRow, BadRow]
    with pytest.raises(InputError, match="no column 'fr': a row has de, en"):
        list(with_references(iter(rows), "fr"))
    with pytest.raises(InputError, match="no column 'de': they are texts"):
        list(with_references(["a"], "de"))


def test_there_are_as_many_references_as_rows_where_both_are_counted(tmp_path):
    (tmp_path / "right.txt").write_text("b\nd\n", encoding="utf-8")
    assert list(with_references(["a", "c"], tmp_path / "right.txt")) == [
        Referenced("a", "b"),
        Referenced("c", "d"),
    ]
    assert list(with_references(["a", "c"], str(tmp_path / "right.txt")))[1] == Referenced("c", "d")
    with pytest.raises(InputError, match="2 references for 1 rows; give one a row"):
        with_references(["a"], ["b", "c"])
    assert list(with_references(iter(["a", "c"]), ["b"])) == [
        Referenced("a", "b"),
        Referenced("c", None),
    ]


def test_a_row_without_a_reference_is_done_and_not_scored(tiny, manager):
    found = translate_each(TEXTS, manager=manager, model=tiny("house"), reference=RIGHT, **LIMIT)
    assert [type(row).__name__ for row in found] == [
        "Translation",
        "Translation",
        "RowError",
        "Translation",
    ]
    assert found[3].scores == {}
    assert found[3].notes == ("no reference for this row: not scored",)
    texts = [row.text for row in found[:2]]
    assert found.scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, [RIGHT[:2]]).score)
    assert found.scored.startswith("BLEU ")
    assert found.scored.endswith(" (by the references of 2 of 3 rows)")
    picked = summarize_each(
        ["One. Two.", "Three. Four."], manager=manager, reference=["One.", None], language="en"
    )
    assert picked.scored.endswith(" (by the references of 1 of 2 rows)")
    plain = translate_each(TEXTS, manager=manager, model=tiny("house"), **LIMIT)
    assert (type(plain), plain.scores) == (Rows, {})
    assert [row.text for row in plain[:2]] == texts


def test_scores_of_a_stream_take_memory_that_does_not_grow(tmp_path):
    heap = {}

    def on_row(i, result):
        if i in (99, 499):
            gc.collect()
            heap[i] = tracemalloc.get_traced_memory()[0]

    rows = (
        {
            "text": f"The river rose in the night. Two bridges were closed on day {i}.",
            "right": f"Closed on day {i}.",
        }
        for i in range(500)
    )
    tracemalloc.start()
    try:
        found = summarize_each(
            rows,
            model="embedded:extractive",
            language="en",
            max_words=8,
            on_row=on_row,
            reference="right",
            out_file=tmp_path / "out.jsonl",
        )
    finally:
        tracemalloc.stop()
    records = list(found)
    assert found.scores["rouge1"] == pytest.approx(
        sum(record["scores"]["rouge1"] for record in records) / 500
    )
    assert heap[499] - heap[99] < 100_000


def test_each_row_is_compared_as_it_would_be_alone(tiny, manager, monkeypatch, tmp_path):
    monkeypatch.setattr(compare_each_module, "WINDOW_ROWS", 2)
    models = [tiny("house"), tiny("marian")]
    found = compare_each("translate", TEXTS, models, manager=manager, reference=RIGHT, **LIMIT)
    assert isinstance(found[2], RowError)
    for row, text in zip(found, TEXTS, strict=True):
        if text:
            alone = compare_models("translate", text, models, manager=manager, align=False, **LIMIT)
            assert [one.text for one in row.results] == [one.text for one in alone.results]
            assert row.agreement == alone.agreement
    for model in models:
        single = translate_each(TEXTS, manager=manager, model=model, reference=RIGHT, **LIMIT)
        assert found.scores[model] == single.scores
    out = tmp_path / "out.jsonl"
    written = compare_each(
        "translate", TEXTS, models, manager=manager, reference=RIGHT, out_file=out, **LIMIT
    )
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert list(records[0]["results"]) == models
    assert records[0]["agreement"] == found[0].agreement[0][1]
    assert written.table().headers == ("row", *models)
    before = out.read_bytes()
    out.write_bytes(before.splitlines(keepends=True)[0])
    again = compare_each(
        "translate",
        TEXTS,
        models,
        manager=manager,
        reference=RIGHT,
        out_file=out,
        resume=True,
        **LIMIT,
    )
    assert (again.resumed, again.scores, out.read_bytes()) == (1, found.scores, before)


def test_a_model_that_fails_leaves_the_others_their_rows_and_is_tried_once(tiny, manager):
    rows = ["The cat sat on the mat. It was red.", "", "Where is the station? Nobody knows."]
    found = compare_each(
        "summarize",
        rows,
        ["embedded:extractive", tiny("house")],
        manager=manager,
        language="en",
        max_words=6,
    )
    assert [type(row).__name__ for row in found] == ["Comparison", "RowError", "Comparison"]
    assert found[0].models == ("embedded:extractive",)
    assert "cannot summarise" in found[0].failures[tiny("house")]
    assert found[0].record()["agreement"] is None
    assert found.scored.startswith(f"{tiny('house')} left 2 rows undone: ")
    with pytest.raises(WrongTask):
        compare_each("summarize", rows, [tiny("house"), tiny("marian")], manager=manager)
    with pytest.raises(ModelNotFound):
        compare_each(
            "translate",
            rows,
            ["embedded:nothing", "embedded:neither"],
            manager=manager,
            target="de",
        )
    with pytest.raises(InputError, match="2 to 8 different models"):
        compare_each("translate", rows, [tiny("house")], manager=manager)


def test_after_a_stop_rows_that_a_model_has_not_done_are_left_for_a_resume(
    tiny, manager, monkeypatch, tmp_path
):
    monkeypatch.setattr(compare_each_module, "WINDOW_ROWS", 2)
    texts, models, done = (
        ["The cat sat.", "The dog ran.", "It is red.", "It is small."],
        [tiny("house"), tiny("marian")],
        [],
    )
    keep = {"manager": manager, "out_file": tmp_path / "out.jsonl", **LIMIT}
    first = compare_each(
        "translate",
        texts,
        models,
        on_row=lambda i, row: done.append(i),
        stop=lambda: len(done) >= 1,
        **keep,
    )
    assert 1 <= len(first) <= 2
    second = compare_each("translate", texts, models, resume=True, **keep)
    assert (second.resumed, len(second), second.failed) == (len(first), 4, 0)
    assert all(len(record["results"]) == 2 for record in second)
