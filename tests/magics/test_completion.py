"""Completion of magic lines, as the completer of a shell and as the kernel's matcher see it."""

from __future__ import annotations

import os

import pytest
from IPython.core.completer import provisionalcompleter

from llm_magics.magics.core import completion


@pytest.fixture
def complete(cells):
    def complete(text, at=None):
        with provisionalcompleter():
            found = list(cells.shell.Completer.completions(text, len(text) if at is None else at))
        return [text[: item.start] + item.text + text[item.end :] for item in found], [
            item.text for item in found
        ]

    return complete


def test_flags_of_the_magic_and_nothing_else(complete):
    _, offers = complete("%translate --")
    assert "--to" in offers
    assert "--dry-run" in offers
    assert all(offer.startswith("--") for offer in offers)


def test_a_flag_that_was_given_is_not_offered_again(complete):
    assert "--to" not in complete("%translate --to de --")[1]


def test_languages_behind_to_and_auto_behind_from(complete):
    lines, offers = complete("%translate --to d")
    assert "%translate --to de" in lines
    assert "auto" not in offers
    assert "auto" in complete("%translate --from ")[1]
    assert complete("%translate --to=d")[0][:2] == ["%translate --to=da", "%translate --to=de"]


def test_models_loaded_ones_first_then_embedded_runs_and_the_cache(
    complete, home, tmp_path, tiny_model
):
    from llm_magics.session import current_session

    (home / "runs" / "mine" / "model").mkdir(parents=True)
    (home / "runs" / "mine" / "model" / "config.json").write_text("{}")
    (tmp_path / "hub" / "models--Helsinki-NLP--opus-mt-en-de").mkdir(parents=True)
    current_session().manager.load(str(tiny_model))
    _, offers = complete("%translate --model ")
    assert offers[0] == str(tiny_model)
    assert (
        offers.index("embedded:extractive")
        < offers.index("run:mine")
        < offers.index("Helsinki-NLP/opus-mt-en-de")
    )
    assert complete("%translate --model run:m")[0] == ["%translate --model run:mine"]
    assert complete("%translate --model=Helsinki-NLP/o")[0] == [
        "%translate --model=Helsinki-NLP/opus-mt-en-de"
    ]


def test_notebook_variables_that_hold_rows_or_text(complete, cells):
    cells.shell.user_ns.update(my_rows=["a"], my_text="b", my_number=3, _my_private=["c"])
    assert complete("%translate --each my_")[1] == ["my_rows", "my_text"]


def test_words_of_models_and_attention(complete):
    assert complete("%models ")[1] == [
        "load",
        "unload",
        "pin",
        "unpin",
        "info",
        "recommend",
        "remote",
        "panel",
    ]
    assert complete("%models recommend t")[1] == ["translate"]
    assert "embedded:extractive" in complete("%models load embedded:")[1]
    assert "embedded:extractive" in complete("%attention embedded:")[1]


def test_recipes_and_choices(complete):
    assert complete("%train --recipe num")[1] == ["number-words"]
    assert complete("%summarize --style ")[1] == ["paragraph", "bullets"]


def test_a_cell_magic_an_assignment_and_only_the_line_of_the_cursor(complete):
    assert "--to" in complete("x = %translate --t")[1]
    text = "%%translate --to d\nDear --to"
    assert "de" in complete(text, len("%%translate --to d"))[1]
    assert "--to" not in complete(text)[1]


def test_other_lines_are_left_to_ipython(complete):
    assert "print" in "".join(complete("pri")[1])
    assert any("timeit" in offer for offer in complete("%timei")[1])


def test_a_cache_that_is_not_there_offers_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nowhere"))
    assert completion.cached_models() == []
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", os.fspath(tmp_path))
    (tmp_path / "hub" / "models--a--b").mkdir(parents=True)
    assert completion.cached_models() == ["a/b"]
