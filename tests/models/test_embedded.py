"""What ships with the package: every model has a card with figures, loads, is found by its pair,
and all together are small."""

from __future__ import annotations

import json
import re

import pytest

from llm_magics.models.catalog import embedded_task, languages
from llm_magics.models.manager.manager import ModelManager
from llm_magics.models.reference import EXTRACTIVE, embedded_names, embedded_root
from llm_magics.tasks.model_choice import choose_for
from llm_magics.tasks.translate.direction import AUTO, direction_of

MODELS = [name for name in embedded_names() if name != EXTRACTIVE]
TRANSLATORS = [name for name in MODELS if embedded_task(name) == "translate"]
FIGURES = {
    "translate": ("sacreBLEU (cased, detokenised)", "chrF2"),
    "language-model": ("perplexity of a token", "bits a character"),
}


@pytest.fixture(scope="module")
def manager():
    manager = ModelManager(device="cpu")
    yield manager
    manager.close()


@pytest.fixture
def no_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def card_rows(name):
    text = (embedded_root() / name / "card.md").read_text(encoding="utf-8")
    assert text.startswith(f"# embedded:{name}\n")
    return text, dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", text, re.MULTILINE))


def test_what_ships_takes_at_most_40_megabytes():
    files = [path for path in embedded_root().rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(MODELS)
    assert sum(path.stat().st_size for path in files) <= 40_000_000


@pytest.mark.parametrize("name", MODELS)
def test_the_card_of_a_shipped_model_says_where_it_comes_from_and_how_good_it_is(name):
    text, rows = card_rows(name)
    assert re.fullmatch(r"[\d,]+ (sentence pairs|texts)(; .+)?", rows["training rows"])
    for fact in ("model", "data", "licence of the data", "recipe", "commit"):
        assert rows[fact].strip(), fact
    compared = dict(re.findall(r"^\| ([^|]+?) \| [\d.]+ \| ([\d.]+) \|$", text, re.MULTILINE))
    if compared:  # the card of weights that replaced others: both figures of each
        for figure in ("first sentences", "Tatoeba test, sacreBLEU", "FLORES dev, chrF2"):
            assert float(compared[figure]) > 0, figure
        assert "this training held none of its sentences" in " ".join(text.split())
        assert "Not for: " in text
        return
    for figure in FIGURES[embedded_task(name)]:
        assert float(rows[figure]) > 0, figure
    assert re.search(r"of the [\d,]+ test rows|the [\d,]+ test texts", text)
    assert re.search(r"No test (text|sentence)[^.]* occurs? in training\.", text)
    assert "Limits: " in text


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_loads_and_is_what_its_folder_says(name, manager):
    config = json.loads((embedded_root() / name / "config.json").read_text("utf-8"))
    _, rows = card_rows(name)
    with manager.lease(f"embedded:{name}") as model:
        assert model.task == config["task"] == embedded_task(name)
        assert f"{model.n_parameters:,} parameters" in rows["model"]
        if model.task == "translate":
            assert f"{model.source_language}-{model.target_language}" == name
            assert {model.source_language, model.target_language} <= set(languages())
            direction = direction_of(model, "one two three", AUTO, None)
            assert f"{direction.source}-{direction.target}" == name
    assert manager.check() == []


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_shipped_translator_is_taken_for_its_pair_where_there_is_no_hub(name, no_hub):
    source, _, target = name.partition("-")
    reference, why = choose_for("translate", "", source=source, target=target)
    assert str(reference) == f"embedded:{name}"
    assert why == "it ships with llm_magics and needs no network"
