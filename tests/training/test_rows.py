"""Rows from every kind of source, and what a bad one is called."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magics.errors import DataError
from llm_magics.training.data.rows import read_rows

PAIR = {"source": "en", "target": "de"}
PAIR_KINDS = {"source": "text", "target": "text"}
ROWS = [("a, b", "ä"), ('say "x"', "zwei\nZeilen"), ("three", "drei")]
LABELLED = ({"text": "text", "label": "label"}, {"text": "text", "label": "label"})
QA_ROLES = {role: role for role in ("context", "question", "answers")}
QA_KINDS = {"context": "text", "question": "text", "answers": "answers"}


def pairs(source, **options):
    return read_rows(source, PAIR, PAIR_KINDS, **options)


def written(path, rows=ROWS):
    """The rows in the file format that the path's ending names."""
    frame = pd.DataFrame(rows, columns=["en", "de"])
    plain = path.name.removesuffix(".gz")
    text = {
        ".jsonl": lambda: "".join(
            json.dumps({"en": a, "de": b, "more": 1}) + "\n" for a, b in rows
        ),
        ".json": lambda: json.dumps([{"en": a, "de": b} for a, b in rows]),
        ".csv": lambda: frame.to_csv(index=False),
        ".tsv": lambda: frame.to_csv(index=False, sep="\t"),
    }
    if plain.endswith(".parquet"):
        frame.to_parquet(path)
    else:
        data = text[os.path.splitext(plain)[1]]().encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "x.jsonl",
        "x.jsonl.gz",
        "x.json",
        "x.json.gz",
        "x.csv",
        "x.csv.gz",
        "x.tsv",
        "x.tsv.gz",
        "X.CSV",
        "x.parquet",
    ],
)
def test_every_file_format_gives_the_same_rows(tmp_path, name):
    path = tmp_path / name
    written(tmp_path / name.lower()).rename(path)
    assert pairs(path).values == ROWS
    assert pairs(str(path)).values == ROWS
    assert pairs(path).places[2].startswith(name)


def test_objects_of_a_notebook_give_the_same_rows():
    import datasets

    frame = pd.DataFrame(ROWS, columns=["en", "de"], index=["x", "y", "z"])
    for source in (
        frame,
        datasets.Dataset.from_pandas(frame, preserve_index=False),
        ROWS,
        [list(row) for row in ROWS],
        frame.to_dict("records"),
        datasets.Dataset.from_pandas(frame).with_format("numpy"),
    ):
        assert pairs(source).values == ROWS
    assert pairs(frame).places[1] == "data frame row 1"
    assert pairs(ROWS).places == ["list item 0", "list item 1", "list item 2"]
    assert read_rows(["x", "y"], {"text": "text"}, {"text": "text"}).values == [("x",), ("y",)]


def test_places_are_lines_of_the_file(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('en,de\n"a\nb",c\n\nd,e\nf,\n')
    assert pairs(tmp_path / "x.csv", skip_bad=True).places == ["x.csv:2", "x.csv:5"]
    with pytest.raises(DataError, match="^x.csv:6: column 'de' is missing or empty"):
        pairs(path)
    (tmp_path / "x.txt").write_text("one\n\ntwo\r\n")
    rows = read_rows(tmp_path / "x.txt", {"text": "text"}, {"text": "text"})
    assert (rows.values, rows.places) == ([("one",), ("two",)], ["x.txt:1", "x.txt:3"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "x.jsonl:2: not a JSON object"),
        ("[1]", r"x.jsonl:2: expected an object with en, de, got list: \[1\]"),
        ('"en"', "x.jsonl:2: expected an object with en, de, got str"),
        (
            '{"en": "x", "deu": "y"}',
            r"x.jsonl:2: no column 'de' for target; did you mean 'deu'\? \(columns: en, deu;",
        ),
        ('{"en": "x", "de": null}', "x.jsonl:2: column 'de' is missing or empty"),
        ('{"en": "x", "de": " "}', "x.jsonl:2: column 'de': is empty"),
        ('{"en": "x", "de": 3}', "x.jsonl:2: column 'de': expected text, got a number: 3"),
        (
            '{"en": "x", "de": "a\\ud800"}',
            "x.jsonl:2: column 'de': holds half a character .* at index 1",
        ),
        ("[" * 100_000, "x.jsonl:2: not a JSON object"),
    ],
)
def test_a_bad_line_is_named_and_can_be_left_out(tmp_path, line, message):
    path = tmp_path / "x.jsonl"
    path.write_text('{"en": "a", "de": "b"}\n' + line + '\n\n{"en": "c", "de": "d"}\n')
    with pytest.raises(DataError, match=message):
        pairs(path)
    rows = pairs(path, skip_bad=True)
    assert (rows.values, rows.places) == ([("a", "b"), ("c", "d")], ["x.jsonl:1", "x.jsonl:4"])
    assert len(rows.skipped) == 1
    assert rows.skipped[0].startswith("x.jsonl:2: ")


def test_a_file_of_bad_rows_only_is_an_error_even_where_bad_rows_are_left_out(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"english": "a"}\n' * 3)
    with pytest.raises(DataError, match="all 3 rows are bad; the first: x.jsonl:1: no column 'en'"):
        pairs(path, skip_bad=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("en,de\na,b,c\n", "x.csv:2: 3 cells, the heading has 2 columns"),
        ("en,de\na\n", "x.csv:2: 1 cells"),
        ('en,de\n"a"b,c\n', "x.csv:2: not a row of CSV"),
        ('en,de\na,b\n"c,d\ne,f\n', "x.csv:3: a quote opens in this row and is never closed"),
        ("en;de\na;b\n", "columns are to be separated by ',', not ';'"),
        ("English,de\na,b\n", r"x.csv: no column 'en' for source; did you mean 'English'\?"),
        ("en,de,en\na,b,c\n", "x.csv: 2 columns are called 'en'"),
    ],
)
def test_a_bad_table_of_text_is_named(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        pairs(tmp_path / "x.csv")


def test_bad_csv_rows_are_counted_but_a_swallowed_file_is_not_a_row(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('en,de\na,b\n"c"d,e\nf,g,h\ni,j\n')
    rows = pairs(path, skip_bad=True)
    assert rows.values == [("a", "b"), ("i", "j")]
    assert [line.split(": ")[0] for line in rows.skipped] == ["x.csv:3", "x.csv:4"]
    path.write_text('en,de\na,b\n"c,d\n' + "e,f\n" * 9)
    with pytest.raises(DataError, match="never closed"):
        pairs(path, skip_bad=True)


def test_text_in_another_encoding_is_named_by_its_line(tmp_path):
    for name, head in (("x.csv", "en,de\n"), ("x.jsonl", '{"en": "a", "de": "b"}\n')):
        (tmp_path / name).write_bytes(head.encode() + "Mädchen,b\n".encode("latin-1"))
        with pytest.raises(DataError, match=rf"{name}:2: not UTF-8 \(byte 0xe4 at column 2\)"):
            pairs(tmp_path / name)
        (tmp_path / name).write_bytes((head * 2).encode("utf-16"))
        with pytest.raises(DataError, match=rf"{name}:1: not UTF-8 \(UTF-16"):
            pairs(tmp_path / name)
        (tmp_path / name).write_bytes(
            b"\xef\xbb\xbf" + (head if name == "x.jsonl" else head + "a,b\n").encode()
        )
        assert pairs(tmp_path / name).values == [("a", "b")]


@pytest.mark.parametrize(
    "broken",
    [
        lambda data: data[:-20],
        lambda data: data[:2000] + b"\0" * 50 + data[2050:],
        lambda data: b"no gzip",
    ],
)
def test_a_broken_gzip_file_is_an_error_not_a_short_corpus(tmp_path, broken):
    path = tmp_path / "x.jsonl.gz"
    lines = "".join(
        json.dumps({"en": f"{n * 7919}", "de": f"{n * 104729}"}) + "\n" for n in range(3000)
    )
    path.write_bytes(broken(gzip.compress(lines.encode())))
    with pytest.raises(DataError, match=r"x.jsonl.gz(:\d+)?: (cannot be read|not )"):
        pairs(path, skip_bad=True)


def test_a_file_that_is_missing_or_of_another_kind_is_named(tmp_path):
    with pytest.raises(DataError, match="x.jsonl: cannot be read: .*No such file"):
        pairs(tmp_path / "x.jsonl")
    with pytest.raises(DataError, match=r"x.docx: rows are read from .jsonl, .* not from .docx"):
        pairs(tmp_path / "x.docx")
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        pairs(tmp_path / "x.parquet")
    (tmp_path / "x.json").write_text('{"en": "a"}\n{"en": "b"}\n')
    with pytest.raises(DataError, match=r"name a file with one object a line .jsonl"):
        pairs(tmp_path / "x.json")
    (tmp_path / "x.txt").write_text("a\n")
    with pytest.raises(DataError, match="source, target are needed"):
        pairs(tmp_path / "x.txt")
    with pytest.raises(DataError, match="cannot read rows from int"):
        pairs(3)


def test_missing_values_of_a_data_frame_are_missing():
    for gone in (None, float("nan"), pd.NA, pd.NaT):
        frame = pd.DataFrame({"en": ["a", gone, "c"], "de": ["x", "y", "z"]}, dtype=object)
        with pytest.raises(DataError, match="data frame row 1: column 'en' is missing"):
            pairs(frame)
        assert pairs(frame, skip_bad=True).values == [("a", "x"), ("c", "z")]
    with pytest.raises(DataError, match=r"data frame: no column 'de' for target \(columns: en"):
        pairs(pd.DataFrame({"en": ["a"]}), skip_bad=True)


def test_labels_become_text():
    frame = pd.DataFrame({"text": ["a", "b", "c"], "label": [1.0, None, 2.0]})
    assert read_rows(frame, *LABELLED, skip_bad=True).values == [("a", "1"), ("c", "2")]
    given = [("a", 1), ("b", np.int64(2)), ("c", True), ("d", " pos ")]
    assert [label for _, label in read_rows(given, *LABELLED).values] == ["1", "2", "True", "pos"]
    with pytest.raises(DataError, match="expected a label .* got a number: 0.5"):
        read_rows([("a", 0.5)], *LABELLED)


def test_tokens_and_tags_go_together(tmp_path):
    roles = {"tokens": "tokens", "tags": "tags"}
    rows = [{"tokens": ["Ann", "sings"], "tags": ["B-PER", 0]}]
    assert read_rows(rows, roles, roles).values == [(["Ann", "sings"], ["B-PER", "0"])]
    frame = pd.DataFrame({"tokens": [np.array(["Ann"], dtype=object)], "tags": [np.array([3])]})
    assert read_rows(frame, roles, roles).values == [(["Ann"], ["3"])]
    for bad, message in (
        ({"tokens": ["a"], "tags": ["x", "y"]}, "1 words but 2 tags"),
        ({"tokens": [], "tags": []}, "column 'tokens': is empty"),
        ({"tokens": "a b", "tags": ["x"]}, "expected a list of words, got text.*CSV has no lists"),
        ({"tokens": ["a", ""], "tags": ["x", "y"]}, "word 1 is ''"),
        ({"tokens": ["a"], "tags": [None]}, "tag 0: expected a label"),
    ):
        with pytest.raises(DataError, match=message):
            read_rows([bad], roles, roles)


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["Ann", "sings"], "answer_start": [0, 4]},
        [{"text": "Ann", "start": 0}, {"text": "sings", "answer_start": 4}],
        [("Ann", 0), ["sings", 4]],
        {"text": np.array(["Ann", "sings"], dtype=object), "answer_start": np.array([0, 4])},
    ],
)
def test_answers_come_in_several_forms_and_leave_in_one(answers):
    row = {"context": "Ann sings.", "question": "?", "answers": answers}
    assert read_rows([row], QA_ROLES, QA_KINDS).values == [
        ("Ann sings.", "?", [("Ann", 0), ("sings", 4)])
    ]


def test_a_question_may_have_no_answer_but_none_that_is_elsewhere():
    for none in ([], {"text": [], "answer_start": []}):
        assert read_rows([("c", "q", none)], QA_ROLES, QA_KINDS).values == [("c", "q", [])]
    for bad, message in (
        (
            [("sings", 3)],
            "answer 'sings' is not at character 3 of the context, where ' sing' stands",
        ),
        ([("sings", -1)], "starts at -1, so it is not in the context"),
        ([("", 0)], "the text of an answer is ''"),
        ([{"answer": "x"}], "the text of an answer is None"),
        ({"text": ["a"], "answer_start": []}, "both of one length"),
        ("x", "expected a list of answers"),
    ):
        with pytest.raises(DataError, match=message):
            read_rows([("Ann sings.", "q", bad)], QA_ROLES, QA_KINDS)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with one data set as `save_to_disk` writes it, two as splits, and two parquet
    files."""
    import datasets

    folder = tmp_path_factory.mktemp("saved")
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["neg", "pos"]),
            "tags": datasets.List(datasets.ClassLabel(names=["O", "B"])),
            "translation": datasets.Translation(["en", "de"]),
        }
    )
    train, test = (
        datasets.Dataset.from_dict(
            {
                "text": [f"{part} one", f"{part} two"],
                "label": [1, 0],
                "tags": [[0, 1], [1, 0]],
                "translation": [{"en": "a", "de": "b"}, {"en": "c", "de": "d"}],
            },
            features=features,
        )
        for part in ("train", "test")
    )
    train.save_to_disk(folder / "one")
    datasets.DatasetDict(train=train, test=test).save_to_disk(folder / "splits")
    (folder / "files").mkdir()
    train.to_parquet(folder / "files" / "train.parquet")
    test.to_parquet(folder / "files" / "test.parquet")
    return folder


@pytest.mark.parametrize(
    ("source", "first"),
    [
        ("disk:{}/one", "train one"),
        ("disk:{}/splits", "train one"),
        ("disk:{}/splits:test", "test one"),
        ("disk:{}/files:test", "test one"),
        ("{}/files", "train one"),
        ("{}/splits", "train one"),
        ("disk:{}/files:test[1:]", "test two"),
    ],
)
def test_a_data_set_in_a_folder_is_read_with_the_names_of_its_labels(saved, source, first):
    rows = read_rows(source.format(saved), *LABELLED)
    assert rows.values[0] == (first, "pos" if first.endswith("one") else "neg")
    assert rows.places[0].endswith(" row 0")


def test_columns_inside_columns_are_named_with_a_dot_and_tags_by_their_names(saved):
    import datasets

    data = datasets.load_from_disk(str(saved / "one"))
    inside = {"source": "translation.en", "target": "translation.de"}
    assert read_rows(data, inside, PAIR_KINDS).values == [("a", "b"), ("c", "d")]
    labelled = datasets.Features({name: data.features[name] for name in ("text", "label")})
    unlabelled = datasets.Dataset.from_dict(
        {"text": ["a", "b"], "label": [-1, 1]}, features=labelled
    )
    with pytest.raises(DataError, match="data set row 0: column 'label' is missing"):
        read_rows(unlabelled, *LABELLED)
    columns = data.add_column("tokens", [["x", "y"], ["z", "w"]])
    roles = {"tokens": "tokens", "tags": "tags"}
    assert read_rows(columns, roles, roles).values[0] == (["x", "y"], ["O", "B"])


def test_a_data_set_with_a_wrong_split_or_column_says_what_there_is(saved):
    import datasets

    for source, message in (
        ("disk:{}/splits:dev", "no split 'dev'; it has train, test"),
        ("disk:{}/files:dev", 'Unknown split "dev"'),
        ("disk:{}/one:test", "a single part"),
        ("disk:{}/none", "there is no folder"),
        ("hub:../x", "expected hub:OWNER/NAME"),
    ):
        with pytest.raises(DataError, match=message):
            read_rows(source.format(saved), *LABELLED)
    with pytest.raises(DataError, match=r"one: no column 'txt' for text; did you mean 'text'\?"):
        read_rows(f"disk:{saved}/one", {"text": "txt", "label": "label"}, LABELLED[1])
    data = datasets.load_from_disk(str(saved / "splits"))
    with pytest.raises(DataError, match=r"splits train, test; give one, as in data\['train'\]"):
        read_rows(data, *LABELLED)
    with pytest.raises(DataError, match="is a stream"):
        read_rows(data["train"].to_iterable_dataset(), *LABELLED)


def test_a_data_set_of_the_hub_without_the_hub_is_one_clear_error():
    code = (
        "from llm_magics.training.data.rows import read_rows\nfrom llm_magics.errors import "
        "DataError\n"
        "try: read_rows('hub:nyu-mll/glue/sst2:train', {'text': 'sentence'}, {'text': 'text'})\n"
        "except DataError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.stdout.startswith(
        "hub:nyu-mll/glue/sst2:train: cannot be loaded (the hub is switched off by HF_HUB_OFFLINE)"
    )
    assert done.stdout.count("\n") == 1


CELL = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5), st.sampled_from([",", "\t"]))
def test_what_the_csv_module_writes_is_read_back_exactly(tmp_path_factory, rows, delimiter):
    path = tmp_path_factory.mktemp("csv") / ("x.csv" if delimiter == "," else "x.tsv")
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(
            [("en", "de"), *rows]
        )
    assert pairs(path).values == rows


def test_a_huge_cell_is_read_and_the_limit_of_the_csv_module_is_left_as_it_was(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("en,de\n" + "a" * 1_000_000 + ",b\n")
    before = csv.field_size_limit(1000)
    try:
        assert len(pairs(path).values[0][0]) == 1_000_000
        assert csv.field_size_limit() == 1000
    finally:
        csv.field_size_limit(before)


def test_an_empty_source_has_no_rows(tmp_path):
    (tmp_path / "x.jsonl").write_text("")
    (tmp_path / "x.csv").write_text("")
    for source in (
        tmp_path / "x.jsonl",
        tmp_path / "x.csv",
        [],
        pd.DataFrame({"en": [], "de": []}),
    ):
        assert pairs(source).values == []
