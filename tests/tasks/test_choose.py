"""The model that was asked for is taken, else one that is at hand, and the result says which and
why."""

import shutil
from pathlib import Path

import pytest

from llm_magics.errors import (
    BrokenModel,
    HubUnreachable,
    ModelError,
    ModelNotFound,
    UnknownLanguage,
    WrongTask,
)
from llm_magics.models.folder import hub_cache
from llm_magics.models.reference import Reference
from llm_magics.tasks.choose import Candidate, candidates, choose_model, open_model
from llm_magics.tasks.model_choice import choose_for, translators

OPUS = "Helsinki-NLP/opus-mt-en-de"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache; the hub is switched off."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def silent_hub(tmp_path, monkeypatch):
    """A hub that accepts connections and never answers."""
    import socket

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        hub_cache._last_answer.clear()
        server.settimeout(0)
        yield server
        hub_cache._last_answer.clear()


def test_the_model_asked_for_is_the_only_candidate(cache):
    assert choose_model("translate", model="./folder", default=OPUS) == (
        Reference("local", "./folder"),
        "as asked",
    )


def test_the_default_comes_next(cache):
    assert choose_model("translate", default=OPUS) == (Reference("hub", OPUS), "your default")


def test_a_cached_recommendation_is_taken_before_the_embedded_one(cache, tiny):
    snapshot = cache / "models--Helsinki-NLP--opus-mt-en-de" / "snapshots" / "abc"
    shutil.copytree(tiny("marian"), snapshot)
    (cache / "models--Helsinki-NLP--opus-mt-en-de" / "refs").mkdir()
    (cache / "models--Helsinki-NLP--opus-mt-en-de" / "refs" / "main").write_text("abc")
    reference, why = choose_model("translate", source="en", target="de")
    assert str(reference) == OPUS
    assert why == "in the cache, it is trained for this pair of languages"


def test_without_a_hub_the_embedded_summariser_is_taken_and_said(cache):
    (candidate,) = candidates("summarize", source="en")
    assert str(candidate.reference) == "embedded:extractive"
    assert candidate.notice == (
        "the model hub is switched off (HF_HUB_OFFLINE); "
        "this model was taken instead of facebook/bart-large-cnn"
    )


def test_a_silent_hub_is_asked_once_and_given_up(silent_hub):
    for _ in range(3):
        first = candidates("summarize", source="en")[0]
    assert str(first.reference) == "embedded:extractive"
    assert "did not answer within 3 s" in first.notice
    silent_hub.accept()[0].close()
    with pytest.raises(BlockingIOError):
        silent_hub.accept()


def test_a_pair_without_any_model_on_this_machine_names_what_there_is(cache):
    with pytest.raises(HubUnreachable, match="German to French is on this machine"):
        candidates("translate", source="de", target="fr")
    with pytest.raises(UnknownLanguage, match="no model is known"):
        candidates("translate", source="br", target="yue")


def test_what_cannot_be_a_model_is_refused(cache):
    with pytest.raises(ModelNotFound, match="embedded:en-de"):
        candidates("translate", model="embeded:en-de")


def test_a_recommended_model_that_fails_gives_way_to_the_next_with_a_note(tiny, manager, tmp_path):
    broken = Path(shutil.copytree(tiny("marian"), tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"no")
    good = Candidate(Reference("local", tiny("marian")), "second")
    with open_model([Candidate(Reference("local", str(broken)), "first"), good], manager) as opened:
        assert (opened.why, opened.loaded.family) == ("second", "marian")
        assert "broken could not be used" in opened.notes[0]
    with (
        pytest.raises(BrokenModel),
        open_model([Candidate(Reference("local", str(broken)), "only")], manager),
    ):
        pass
    assert manager.check() == []


def test_an_error_inside_the_block_is_not_taken_for_a_failed_load(tiny, manager):
    one = Candidate(Reference("local", tiny("house")), "first")
    with pytest.raises(ModelError, match="inside"), open_model([one, one], manager):
        raise ModelError("inside")


def test_planning_chooses_as_the_task_would(cache):
    assert str(choose_for("summarize", "The cat sat on the mat.")[0]) == "embedded:extractive"
    assert choose_for("translate", "", model="run:mine") == (Reference("run", "mine"), "as asked")
    with pytest.raises(HubUnreachable):
        choose_for("translate", "", source="de", target="fr")


def test_a_refusal_that_rests_on_a_guessed_language_says_so(cache):
    with pytest.raises(HubUnreachable, match=r"French to German.*French was detected .*--from"):
        translators("Bonjour mes amis, comment allez-vous", source="auto", target="de")
    with pytest.raises(HubUnreachable) as caught:
        translators("Bonjour mes amis", source="fr", target="de")
    assert "detected" not in str(caught.value)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A package folder with two pairs and a language model; only what their config.json says is
    read."""
    import json

    for name, task in {
        "en-de": "translate",
        "de-en": "translate",
        "fairy-tales": "language-model",
    }.items():
        (tmp_path / "embedded" / name).mkdir(parents=True)
        (tmp_path / "embedded" / name / "config.json").write_text(
            json.dumps({"format": "llm_magics", "task": task})
        )
    for module in ("models.reference", "models.catalog"):
        monkeypatch.setattr(f"llm_magics.{module}.embedded_root", lambda: tmp_path / "embedded")


def names(task, **languages):
    return [str(candidate.reference) for candidate in candidates(task, **languages)]


def test_each_embedded_translator_serves_its_own_direction_and_no_other_model_does(cache, shipped):
    assert names("translate", source="en", target="de") == ["embedded:en-de"]
    assert names("translate", source="de", target="en") == ["embedded:de-en"]
    with pytest.raises(
        HubUnreachable, match=r"without a network there is embedded:de-en, embedded:en-de$"
    ):
        candidates("translate", source="en", target="fr")


def test_an_embedded_language_model_goes_on_with_texts_and_translates_nothing(cache, shipped):
    assert names("predict") == ["embedded:fairy-tales"]
    assert names("generate") == ["embedded:fairy-tales"]
    with pytest.raises(
        WrongTask,
        match=r"embedded:fairy-tales goes on with a text and cannot translate.*embedded:en-de",
    ):
        candidates("translate", model="embedded:fairy-tales")
    with pytest.raises(WrongTask, match="embedded:extractive picks sentences"):
        candidates("translate", default="embedded:extractive")


def test_what_wants_a_large_gpu_is_fetched_only_when_asked_for(cache, monkeypatch):
    monkeypatch.setattr("llm_magics.tasks.choose.hub_answers", lambda: True)
    offered = names("generate")
    assert offered[0] == "Qwen/Qwen2.5-0.5B-Instruct"
    assert not any("7B" in name for name in offered)
    with pytest.raises(
        ModelNotFound,
        match=r"want a large GPU, and are fetched only when asked for: --model Qwen/Qwen2.5-7B",
    ):
        candidates("entities", source="ja")
    assert names("generate", model="Qwen/Qwen2.5-7B-Instruct") == ["Qwen/Qwen2.5-7B-Instruct"]


def test_a_language_without_a_model_is_said_with_the_task(cache):
    with pytest.raises(UnknownLanguage, match="no model is known that marks entities in Breton"):
        candidates("entities", source="br")


def test_what_an_installed_package_holds_is_taken_before_anything_is_fetched(cache, monkeypatch):
    monkeypatch.setattr("llm_magics.models.catalog.package_names", lambda: ["minilm"])
    monkeypatch.setattr("llm_magics.tasks.choose.hub_answers", lambda: True)
    (first,) = candidates("similarity", source="en")
    assert (str(first.reference), first.why, first.notice) == (
        "package:minilm",
        "installed, it makes vectors of texts",
        "",
    )
    monkeypatch.setattr("llm_magics.models.catalog.package_names", lambda: [])
    assert names("similarity", source="en")[0] == "sentence-transformers/all-MiniLM-L6-v2"


def test_what_picks_sentences_says_that_precision_and_engine_made_no_difference():
    choice = [Candidate(Reference("embedded", "extractive"), "as asked")]
    for options, notes in (
        (
            {"dtype": "int8", "engine": "ctranslate2"},
            ("it has no weights: the precision and the engine made no difference",),
        ),
        ({}, ()),
        (None, ()),
    ):
        with open_model(choice, None, options) as opened:
            assert opened.notes == notes
