"""Many rows go through the model together and come back each in its place."""

import pytest

from llm_magics.errors import InputError, ModelNotFound
from llm_magics.rows.rows import RowError
from llm_magics.tasks.results import Translation
from llm_magics.tasks.translate import batch as rows_module
from llm_magics.tasks.translate.batch import translate_each
from llm_magics.tasks.translate.task import translate

LIMIT = {"source": "en", "target": "de", "max_new_tokens": 8}
ROWS = [
    "The cat sat.",
    "",
    "Where is the station? I do not know.",
    None,
    "😀",
    "The cat sat.\n\n- A small dog runs.",
]


@pytest.mark.parametrize("family", ["marian", "house", "llama"])
def test_each_row_is_what_it_would_be_alone(family, tiny, manager):
    seen = {}
    results = translate_each(
        ROWS, manager=manager, model=tiny(family), on_row=seen.__setitem__, **LIMIT
    )
    assert [type(row) for row in results] == [
        Translation,
        RowError,
        Translation,
        RowError,
        Translation,
        Translation,
    ]
    for text, row in zip(ROWS, results, strict=True):
        if isinstance(row, Translation) and text != "😀":
            assert (
                row.text
                == translate(text, manager=manager, model=tiny(family), align=False, **LIMIT).text
            )
    assert results[4].text == "😀"
    assert [seen[i] for i in range(6)] == results


def test_broken_rows_say_why(tiny, manager):
    results = translate_each(ROWS, manager=manager, model=tiny("house"), **LIMIT)
    assert str(results[1]) == "row 1: there is no text: nothing but white space was given"
    assert results[3].reason == "a text is needed, a NoneType was given"


def test_windows_do_not_change_the_results(tiny, manager, monkeypatch):
    whole = translate_each(ROWS, manager=manager, model=tiny("house"), **LIMIT)
    monkeypatch.setattr(rows_module, "WINDOW_ROWS", 2)
    assert translate_each(iter(ROWS), manager=manager, model=tiny("house"), **LIMIT) == whole


def test_rows_are_read_only_as_far_as_needed(tiny, manager, monkeypatch):
    monkeypatch.setattr(rows_module, "WINDOW_ROWS", 2)
    taken, done = [], []

    def source():
        for i in range(100):
            taken.append(i)
            yield "The cat sat."

    results = translate_each(
        source(),
        manager=manager,
        model=tiny("house"),
        stop=lambda: len(done) >= 3,
        on_row=lambda i, row: done.append(i),
        **LIMIT,
    )
    assert len(taken) <= 6
    assert 3 <= len(results) <= 4


def test_after_a_stop_rows_are_whole_or_errors(tiny, manager):
    calls = []

    def stop():
        calls.append(1)
        return len(calls) > 4

    texts = [f"The cat sat on {'the mat and on ' * i}the book." for i in range(6)]
    results = translate_each(texts, manager=manager, model=tiny("house"), stop=stop, **LIMIT)
    for text, row in zip(texts, results, strict=False):
        if isinstance(row, Translation):
            assert row == translate_each([text], manager=manager, model=tiny("house"), **LIMIT)[0]
        else:
            assert row.reason == "it was stopped before this row was done"


def test_no_rows_give_no_results(manager):
    assert translate_each([], manager=manager, target="de") == []
    assert [type(row) for row in translate_each([""], manager=manager, target="de")] == [RowError]


def test_wrong_arguments_are_an_error_not_a_row(tiny, manager):
    with pytest.raises(InputError, match="--to de"):
        translate_each(["The cat sat."], manager=manager)
    with pytest.raises(ModelNotFound):
        translate_each(["The cat sat."], manager=manager, model="embedded:nothing", target="de")


def test_a_language_that_was_detected_is_noted_on_every_row(manager, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows = translate_each(
        ["Good morning, my friend.", "The cat sleeps."],
        manager=manager,
        target="de",
        max_new_tokens=4,
    )
    assert all(row.notes[0].startswith("English was detected") for row in rows)
