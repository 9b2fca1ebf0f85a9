"""Rows as other programs write them, read the same for --each and for --data."""

from __future__ import annotations

import gzip
import json

import pytest

from llm_magics.errors import DataError
from llm_magics.rows.source import column_names, open_rows
from llm_magics.training.data.corpus import check_columns, load_corpus
from llm_magics.training.data.rows import read_rows
from llm_magics.training.recipe.recipe import recipe_from_dict

PAIRS = [("one two", "eins zwei"), ("three, four", "drei, vier"), ("five", "fünf")]
KINDS = {"source": "text", "target": "text"}
COLUMNS = {"source": "en", "target": "de"}


def pairs(source, /, **columns):
    return read_rows(source, columns or COLUMNS, KINDS).values


def table(path, mark, *, heading=("en", "de"), mode="utf-8"):
    lines = [heading, *PAIRS]
    quoted = (mark.join(f'"{cell}"' for cell in line) for line in lines)
    path.write_text("\r\n".join(quoted) + "\r\n", encoding=mode)
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_what_the_heading_shows(tmp_path, mark):
    path = table(tmp_path / "x.csv", mark, mode="utf-8-sig")
    assert pairs(path) == PAIRS
    assert list(open_rows(path, "de")) == [target for _, target in PAIRS]
    assert column_names(path) == ["en", "de"]


def test_a_heading_with_one_column_keeps_its_signs(tmp_path):
    (tmp_path / "x.csv").write_text("text\na; b\n", encoding="utf-8")
    assert list(open_rows(tmp_path / "x.csv")) == ["a; b"]


def test_a_heading_with_blanks_is_found(tmp_path):
    path = table(tmp_path / "x.csv", ",", heading=(" en", "de "))
    assert pairs(path) == PAIRS
    assert list(open_rows(path, "en")) == [source for source, _ in PAIRS]
    rows = [{" en ": source, "de": target} for source, target in PAIRS]
    assert pairs(rows) == PAIRS
    assert list(open_rows(rows, "en")) == [source for source, _ in PAIRS]


def nested(kind, tmp_path):
    rows = [{"translation": {"en": source, "de": target}} for source, target in PAIRS]
    path = tmp_path / f"x.{kind}"
    if kind == "list":
        return rows
    if kind in ("parquet", "frame"):
        frame = pytest.importorskip("pandas").DataFrame(rows)
        if kind == "frame":
            return frame
        frame.to_parquet(path)
    elif kind == "json":
        path.write_text(json.dumps({"data": rows}), encoding="utf-8")
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if kind.endswith(".gz") else text)
    return path


@pytest.mark.parametrize(
    "kind", ["jsonl", "ndjson", "jsonl.gz", "json", "parquet", "list", "frame"]
)
def test_a_column_inside_another_is_read(kind, tmp_path):
    source = nested(kind, tmp_path)
    assert pairs(source, source="translation.en", target="translation.de") == PAIRS
    if kind != "frame":
        assert list(open_rows(source, "translation.de")) == [target for _, target in PAIRS]


def recipe(path, source, target):
    data = {"train": str(path), "source_language": source, "target_language": target}
    return recipe_from_dict(
        {"name": "x", "task": "translate", "data": {**data, "validation_share": 0.0}}
    )


@pytest.mark.parametrize(
    ("heading", "source", "target"),
    [
        (("en", "de"), "en", "de"),
        (("English", "German"), "en", "de"),
        (("EN", "de-DE"), "en", "de"),
        (("eng", "deu"), "en", "de"),
    ],
)
def test_columns_are_called_by_their_languages_in_any_way(tmp_path, heading, source, target):
    path = table(tmp_path / "x.csv", ";", heading=heading)
    corpus = load_corpus(recipe(path, source, target), KINDS)
    assert corpus.train == PAIRS


def test_a_bad_row_among_columns_of_languages_is_named(tmp_path):
    path = tmp_path / "nan.jsonl"
    rows = [{"en": "a", "de": "b"}, {"en": "c", "de": float("nan")}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"nan\.jsonl:2: column 'de'"):
        check_columns(recipe(path, "en", "de"), KINDS)


def test_the_questions_of_squad_are_rows(tmp_path):
    context = "The river rises in the Alps."
    questions = [
        {"question": "Where?", "answers": [{"text": "the Alps", "answer_start": 19}]},
        {"question": "When?", "answers": [], "is_impossible": True},
    ]
    path = tmp_path / "squad.json"
    document = {
        "version": "v2.0",
        "data": [{"title": "x", "paragraphs": [{"context": context, "qas": questions}]}],
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    roles = {name: name for name in ("question", "context", "answers")}
    kinds = {"question": "text", "context": "text", "answers": "answers"}
    assert read_rows(path, roles, kinds).values == [
        ("Where?", context, [("the Alps", 19)]),
        ("When?", context, []),
    ]
    assert list(open_rows(path, "question")) == ["Where?", "When?"]


@pytest.mark.parametrize("kind", ["csv.gz", "tsv.gz", "txt.gz"])
def test_packed_files_are_rows_of_each_too(kind, tmp_path):
    path = tmp_path / f"x.{kind}"
    mark = {"csv": ",", "tsv": "\t", "txt": ""}[kind[:3]]
    text = "a\nb\n" if not mark else f"en{mark}de\na{mark}x\nb{mark}y\n"
    path.write_bytes(gzip.compress(text.encode()))
    assert list(open_rows(path, "en" if mark else None)) == ["a", "b"]
