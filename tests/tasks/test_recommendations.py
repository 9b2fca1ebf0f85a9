"""What the catalogue recommends, against the memory of this machine, and which model would be taken
now."""

from __future__ import annotations

import shutil

import pytest

from llm_magics.display.html import render
from llm_magics.errors import InputError, UnknownLanguage
from llm_magics.models.manager.manager import ModelManager
from llm_magics.tasks.recommend import recommendations

GIGABYTE = 10**9


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty hub cache; the hub is switched off."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def two_gigabytes():
    manager = ModelManager(device="cpu", budget_bytes={"cpu": 2 * GIGABYTE})
    yield manager
    manager.close()


def row(found, name):
    return next(row for row in found.models if row.model == name)


def test_a_model_fits_where_its_weights_do(two_gigabytes):
    found = recommendations("translate", manager=two_gigabytes, target="fr")
    assert (found.source, found.target) == ("en", "fr")
    assert found.free_bytes["cpu"] <= 2 * GIGABYTE
    pair, many = (
        row(found, "Helsinki-NLP/opus-mt-en-fr"),
        row(found, "facebook/nllb-200-distilled-600M"),
    )
    assert (pair.needed_bytes["cpu"], pair.fits["cpu"]) == (4 * 75_000_000, True)
    assert (many.needed_bytes["cpu"], many.fits["cpu"]) == (4 * 615_000_000, False)
    assert (pair.at_hand, pair.download_bytes) == ("to be fetched", 300_000_000)
    assert "not for commercial use" in many.licence


def test_without_a_hub_the_embedded_model_is_taken_and_the_reason_said(two_gigabytes):
    found = recommendations("translate", manager=two_gigabytes, target="German")
    assert found.taken == "embedded:en-de"
    assert found.why.startswith(
        "it ships with llm_magics and needs no network; the model hub is switched off"
    )
    shipped = row(found, "embedded:en-de")
    assert (shipped.at_hand, shipped.download_bytes, shipped.fits["cpu"]) == (
        "ships with llm_magics",
        0,
        True,
    )
    assert 0 < shipped.needed_bytes["cpu"] < 50_000_000
    assert two_gigabytes.rows() == [], "nothing was loaded"


def test_a_cached_model_is_measured_and_taken(two_gigabytes, cache, tiny):
    folder = cache / "models--Helsinki-NLP--opus-mt-en-fr"
    shutil.copytree(tiny("marian"), folder / "snapshots" / "abc")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    found = recommendations("translate", manager=two_gigabytes, target="fr")
    here = row(found, "Helsinki-NLP/opus-mt-en-fr")
    weights = (folder / "snapshots" / "abc" / "model.safetensors").stat().st_size
    assert found.taken == here.model
    assert here.at_hand == "in the cache"
    assert here.download_bytes == 0
    assert here.needed_bytes["cpu"] == pytest.approx(weights, rel=0.2), (
        "read from the files, not from the catalogue"
    )


def test_the_users_default_comes_before_the_catalogue(two_gigabytes):
    found = recommendations("predict", manager=two_gigabytes, default="run:mine")
    assert (found.taken, found.why) == ("run:mine", "your default")
    assert "taken now: run:mine, your default" in found.plain()


def test_a_task_that_would_be_refused_says_why_in_place_of_a_choice(two_gigabytes):
    found = recommendations("entities", manager=two_gigabytes, source="de")
    assert found.taken is None
    assert "HF_HUB_OFFLINE" in found.why
    assert "none would be taken now: " in found.plain()


def test_what_understanding_does_without_a_model_is_said(two_gigabytes):
    found = recommendations("sentiment", manager=two_gigabytes, source="en")
    assert found.taken is None
    assert found.why == "textblob does it, a lexicon, no model"


def test_the_table_marks_what_is_taken_and_links_papers(two_gigabytes):
    found = recommendations("translate", manager=two_gigabytes, target="de")
    (marked,) = [line for line in found.plain().splitlines() if line.startswith("→  ")]
    assert "embedded:en-de" in marked
    shown = render(found.node())
    assert '<a href="https://aclanthology.org/2020.eamt-1.61/">paper</a>' in shown
    assert '<a href="https://huggingface.co/Helsinki-NLP/opus-mt-en-de">page</a>' in shown
    assert str(found).splitlines()[0] == "Helsinki-NLP/opus-mt-en-de"


@pytest.mark.parametrize(
    ("task", "languages", "said"),
    [
        ("translat", {"target": "fr"}, "did you mean 'translate'"),
        ("dance", {}, "the tasks are translate, summarize"),
        ("translate", {}, "no target language was given"),
        ("translate", {"target": "en"}, "both languages are English"),
        ("ask", {"target": "fr"}, "only a translation has a target language"),
    ],
)
def test_what_cannot_be_recommended_is_said_in_one_line(two_gigabytes, task, languages, said):
    with pytest.raises(InputError, match=said):
        recommendations(task, manager=two_gigabytes, **languages)


def test_an_unknown_language_gets_a_suggestion(two_gigabytes):
    with pytest.raises(UnknownLanguage, match="did you mean fr"):
        recommendations("translate", manager=two_gigabytes, target="Frensh")
