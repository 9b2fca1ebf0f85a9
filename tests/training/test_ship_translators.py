"""What ships: blends, judgements, the list of first sentences and its floor."""

from __future__ import annotations

import gzip
import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from torch import nn

from llm_magics.errors import TrainingError
from llm_magics.models.folder.native import load_native
from llm_magics.models.reference import embedded_root
from llm_magics.training.data.answers import expanded
from llm_magics.training.ship_translators import PAIRS, blended, pack, worse_figures
from llm_magics.training.translator_scores import (
    is_accepted,
    is_loop,
    read_tasks,
    scores_of,
)

LIST = Path(__file__).parents[1] / "data" / "first_sentences" / "sentences.jsonl"
FLOORS = json.loads((LIST.parent / "floors.json").read_text(encoding="utf-8"))


def test_a_blend_lies_between_the_weights():
    new, old = nn.Linear(2, 2), nn.Linear(2, 2)
    blend = blended(new, old, 0.25)
    torch.testing.assert_close(blend.weight, 0.25 * new.weight + 0.75 * old.weight)
    with pytest.raises(TrainingError, match="cannot be blended"):
        blended(nn.Linear(2, 3), old, 0.5)


def test_one_worse_figure_is_enough():
    before = {"bleu": 30.0, "loops": 3, "seconds a sentence": 0.05}
    assert worse_figures(before, {"bleu": 30.0, "loops": 3, "seconds a sentence": 0.06}) == []
    assert worse_figures(before, {"bleu": 29.9, "loops": 3, "seconds a sentence": 0.05})
    assert worse_figures(before, {"bleu": 31.0, "loops": 4, "seconds a sentence": 0.05})
    assert worse_figures(before, {"bleu": 31.0, "loops": 3, "seconds a sentence": 0.2})


def test_an_answer_is_accepted_but_for_marks_and_its_first_letter():
    accepted = ["Ich habe [|schon ]gegessen."]
    assert is_accepted("ich habe schon gegessen", accepted)
    assert not is_accepted("ich Habe gegessen", accepted)
    assert is_accepted("ICH HABE GEGESSEN", accepted, any_case=True)
    assert not is_accepted("Ich habe Hunger.", accepted)


def test_a_loop_is_a_piece_four_times_in_a_row():
    assert is_loop("das das das das ist")
    assert is_loop("Tourourourour")
    assert not is_loop("Was, was, was?")
    assert not is_loop("Warte .... 10000 Mal")


def test_the_list_has_two_hundred_sentences_with_answers_in_every_language():
    rows = [json.loads(line) for line in LIST.read_text(encoding="utf-8").splitlines()]
    assert len(rows) >= 200
    for row in rows:
        assert row["kind"] in ("phrase", "sentence")
        for language in ("en", "de", "fr", "zh"):
            assert row[language]
            assert all(expanded(pattern) for pattern in row[language])


@pytest.mark.parametrize("pair", PAIRS)
def test_first_sentences_are_accepted_as_often_as_before(pair):
    source, target = pair.split("-")
    module, tokenizer, _ = load_native(embedded_root() / pair)
    scores = scores_of(module, tokenizer, target, read_tasks(LIST, source, target), {})
    right = scores.asked - len(scores.refused)
    assert right >= FLOORS[pair], scores.refused
    assert scores.figures["empty"] == 0


def test_the_data_are_packed_without_rows_that_are_too_long(tmp_path, monkeypatch):
    data = tmp_path / "data"
    for name in _files("en-de"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        rows = [{"en": "Hello.", "de": "Hallo.", "src": "x"}, {"en": "a " * 400, "de": "b " * 400}]
        opener = gzip.open if name.endswith(".gz") else open
        with opener(data / name, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    monkeypatch.setenv("LLM_MAGICS_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    pack(tmp_path / "packed", ["en-de"])
    with gzip.open(tmp_path / "packed" / "tatoeba_en_de" / "train.jsonl.gz", "rt") as file:
        assert [json.loads(line) for line in file] == [{"en": "Hello.", "de": "Hallo."}]


def _files(pair):
    from llm_magics.training.recipe.recipe import load_recipe

    data = load_recipe(f"mix-{pair}").data
    return [data.train, *data.also, data.validation, data.test, *data.held_out]


def test_ship_all_packs_where_a_folder_is_named(monkeypatch):
    from llm_magics.training import ship_translators

    monkeypatch.setattr(ship_translators, "pack", lambda folder, pairs: f"{folder} {len(pairs)}")
    arguments = Namespace(pack=Path("there"), only=PAIRS)
    assert ship_translators.ship_all(arguments) == ["there 6"]
