"""Searching for settings: what is tried, how it ends, and that nothing of it is lost."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from llm_magics.errors import InputError, RecipeError, RunError, TrainingError
from llm_magics.session import Session
from llm_magics.training.recipe.recipe import load_recipe
from llm_magics.training.run import checkpoint
from llm_magics.training.tuning.space import Space
from llm_magics.training.tuning.start import settings_of
from llm_magics.training.tuning.study import import_optuna

pytest.importorskip("optuna", reason="the extra [tune]")

SET = {
    "schedule.epochs": 4.0,
    "schedule.warmup_steps": 1,
    "schedule.kind": "constant",
    "batch.rows": 8,
    "evaluation.every_steps": 8,
    "evaluation.watch_every": 0,
}
RATES = {"optimizer.lr": {"low": 1e-4, "high": 0.3, "log": True}}


def line(count, seed):
    """Rows (x, y) with y = 2x + 1."""
    xs = torch.rand(count, 1, generator=torch.Generator().manual_seed(seed))
    return [(x, 2 * x + 1) for x in xs]


def document(search=RATES, pruning=None, **settings):
    torch.manual_seed(0)
    return {
        "model": torch.nn.Linear(1, 1),
        "data": line(48, 1),
        "validation": line(16, 2),
        "loss": "mse",
        "task": "custom",
        "set": {**SET, **settings},
        "search": search,
        "pruning": pruning or {"kind": "none"},
    }


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_MAGICS_HOME", str(tmp_path))
    session = Session()
    yield session
    session.close()


def objects(said):
    return {key: said[key] for key in ("model", "data", "validation", "loss")}


def story(result):
    """What a trial is, without its clock."""
    return [
        (t.number, t.state, dict(t.settings), t.value, t.steps, t.losses) for t in result.trials
    ]


def test_the_best_of_the_trials_is_kept_with_its_model_and_the_others_lose_their_weights(session):
    said = document()
    before = said["model"].weight.clone()
    result = session.tune(said, name="line", trials=6, device="cpu").result
    assert (result.reason, len(result.trials), result.run) == ("completed", 6, "line")
    assert [t.state for t in result.trials] == ["complete"] * 6
    assert result.value == min(t.value for t in result.trials) == min(result.best.losses)
    assert result.trials[0].settings == {"optimizer.lr": 1e-3}, "the recipe's own come first"
    kept = session.find_run("line")
    assert kept.recipe().optimizer.lr == result.settings["optimizer.lr"]
    assert (kept.model_folder / "model.safetensors").is_file()
    assert result.metrics["loss"] == pytest.approx(result.value)
    study = session.find_study("line")
    assert not [*study.trials_root.glob("*/checkpoints"), *study.trials_root.glob("*/model")]
    assert torch.equal(said["model"].weight, before), "the notebook's module is not trained"
    assert set(result.importance) == {"optimizer.lr"}
    frame = result.to_pandas()
    assert list(frame["optimizer.lr"]) == [t.settings["optimizer.lr"] for t in result.trials]
    assert story(result) == story(type(result).of(study.board(), "completed", None, 0.0, study)), (
        "the files tell the same"
    )


def test_the_settings_depend_on_the_seed_and_not_on_when_the_search_was_cut(session):
    search = {**RATES, "optimizer.weight_decay": {"low": 0.0, "high": 0.5}}
    said = document(search, **{"schedule.epochs": 1.0})
    whole = session.tune(said, name="whole", trials=6, seed=3).result
    session.tune(said, name="cut", trials=3, seed=3).wait()
    rest = session.tune(name="cut", trials=6, objects=objects(said)).result
    assert story(rest) == story(whole)
    assert len({t.settings["optimizer.weight_decay"] for t in whole.trials}) == 6
    other = session.tune(said, name="other", trials=3, seed=4).result
    assert story(other)[1:] != story(whole)[1:3]


def test_a_trial_that_a_stop_cut_short_goes_on_to_the_bit(session):
    said = document({"optimizer.lr": [0.05, 0.1]}, **{"schedule.epochs": 8.0})
    whole = session.tune(said, name="whole", trials=2, keep_all=True).result

    def stop(board):
        if any(t.number == 1 and t.steps for t in board.trials):
            cut.stop()

    cut = session.tune(said, name="cut", trials=2, keep_all=True, on_board=stop)
    first = cut.result
    assert (first.reason, [t.state for t in first.trials]) == (
        "stopped",
        ["complete", "interrupted"],
    )
    assert first.run == "cut", "the best so far is kept"
    assert 0 < first.trials[1].step < whole.trials[1].step
    rest = Session().tune(name="cut", objects=objects(said)).result
    assert story(rest) == story(whole)
    for one, other in zip(checkpoints(session, "cut"), checkpoints(session, "whole"), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in other)


def checkpoints(session, name):
    study = session.find_study(name)
    return [
        checkpoint.weights(checkpoint.latest_valid(study.run_of(n).checkpoints)[0]) for n in (0, 1)
    ]


CHILD = """
import os, signal, sys
sys.path.insert(0, {folder!r})
import test_tune
from llm_magics.session import Session

def die(board):
    if any(t.number == 1 and t.steps for t in board.trials):
        os.kill(os.getpid(), signal.SIGKILL)

said = test_tune.document({{"optimizer.lr": [0.05, 0.1]}}, **{{"schedule.epochs": 8.0}})
Session().tune(said, name="killed", trials=2, on_board=die).wait()
"""


def test_a_search_goes_on_after_its_process_was_killed(session):
    code = CHILD.format(folder=os.path.dirname(__file__))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    study = session.find_study("killed")
    assert [t.state for t in study.board().trials] == ["complete", "interrupted"]
    said = document({"optimizer.lr": [0.05, 0.1]}, **{"schedule.epochs": 8.0})
    result = session.tune(name="killed", objects=objects(said)).result
    assert story(result) == story(session.tune(said, name="whole", trials=2).result)


def test_trials_are_stopped_one_by_one_running_or_waiting(session):
    said = document(
        {"optimizer.lr": [0.05, 0.1, 0.2]},
        **{"schedule.epochs": 4000.0, "evaluation.every_steps": 20},
    )
    search = session.tune(said, name="some", trials=3)
    wait_for(lambda: [t.state for t in search.board().trials] == ["running", "queued", "queued"])
    search.stop_trial(1)
    wait_for(lambda: search.board().trials[0].steps)
    search.stop_trial(0)
    wait_for(lambda: search.board().trials[2].state == "running" and search.board().trials[2].steps)
    assert [t.state for t in search.board().trials] == ["stopped", "skipped", "running"]
    search.stop_trial(0)  # which has ended
    search.stop_trial(2)
    result = search.result
    assert [t.state for t in result.trials] == ["stopped", "skipped", "stopped"]
    assert (result.best, result.run) == (None, None)
    assert not result.trials[1].steps


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


def test_a_trial_that_does_worse_than_the_others_is_pruned(session):
    said = document(
        {"optimizer.lr": [0.2, 0.1, 1e-6]},
        {"kind": "median", "startup": 2, "warmup": 0},
        **{"optimizer.lr": 0.2},
    )
    result = session.tune(said, name="pruned", trials=3).result
    assert [t.state for t in result.trials] == ["complete", "complete", "pruned"]
    assert len(result.trials[2].steps) < len(result.trials[0].steps)
    assert result.best.settings == {"optimizer.lr": 0.2}
    study = session.find_study("pruned")
    assert study.run_of(2).events()[-1].reason == "pruned"
    assert study.opened().trials[2].intermediate_values


def test_a_trial_that_was_trained_to_its_end_is_not_pruned_any_more(session):
    said = document(
        {"optimizer.lr": [0.2, 0.1, 1e-6]},
        {"kind": "median", "startup": 2, "warmup": 3},
        **{"optimizer.lr": 0.2},
    )
    result = session.tune(said, name="late", trials=3).result
    assert [len(t.steps) for t in result.trials] == [3, 3, 3]
    assert [t.state for t in result.trials] == ["complete"] * 3


def test_hyperband_ends_trials_early_too(session):
    own = {"schedule.epochs": 6.0, "evaluation.every_steps": 2}
    result = session.tune(
        document(pruning={"kind": "hyperband"}, **own), name="bands", trials=8
    ).result
    assert {t.state for t in result.trials} <= {"complete", "pruned"}
    assert min(len(t.steps) for t in result.trials) < len(result.best.steps)


def test_a_trial_that_fails_is_said_to_and_the_search_goes_on(session):
    own = {"optimizer.lr": 0.1, "optimizer.name": "sgd", "optimizer.clip_norm": 0.0}
    said = document({"optimizer.lr": [0.1, 1e30], "optimizer.name": ["sgd"]}, **own)
    result = session.tune(said, name="failing", trials=2).result
    assert [t.state for t in result.trials] == ["complete", "failed"]
    assert "NonFinite" in result.trials[1].note
    assert "NonFinite" in result.plain()


def test_what_all_trials_fail_with_ends_the_search(session):
    said = {**document(), "validation": [(1, 2, 3, "x")] * 4}
    with pytest.raises(
        TrainingError, match="first 3 trials of study broken failed; the last one: "
    ):
        session.tune(said, name="broken", trials=9).result  # noqa: B018 - it waits and raises


def test_contradictory_settings_are_passed_over_and_settings_are_not_trained_twice(session):
    said = document({"model.nhead": [4, 8], "model.d_model": [12, 16], "optimizer.lr": [0.1]})
    result = session.tune(said, name="fitting", trials=4).result
    tried = sorted((t.settings["model.nhead"], t.settings["model.d_model"]) for t in result.trials)
    assert tried == [(4, 12), (4, 16), (8, 16)]
    assert result.reason == "nothing new to try"


def test_values_of_a_metric_that_grows_are_maximised(session):
    said = {"recipe": "number-words", "search": {"model.dropout": [0.0, 0.1]}}
    settings = settings_of(said, session.recipe, metric="exact_match")
    assert settings.recipe["evaluation"]["metric"] == "exact_match"
    from llm_magics.training.tuning.study import create_study

    study = create_study(session.studies_root, "growing", settings).opened()
    assert study.direction.name == "MAXIMIZE"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"recipe": "number-words"}, r"\[search\] names no setting"),
        ({"recipe": "number-wrods", "search": RATES}, "did you mean 'number-words'"),
        ({"recipe": "number-words", "data": "x.csv", "search": RATES}, "data is not understood"),
        ({"search": RATES}, "what is to be trained"),
        ({"model": "transformer", "search": RATES}, "what is to be trained"),
        (
            {
                "model": "transformer",
                "data": "x.jsonl",
                "from": "en",
                "to": "de",
                "sede": 1,
                "search": RATES,
            },
            "sede is no word",
        ),
        (
            {"recipe": "number-words", "search": RATES, "pruning": {"kind": "mediam"}},
            "median, hyperband or none",
        ),
        (
            {"recipe": "number-words", "search": RATES, "pruning": {"knd": "median"}},
            "kind, warmup and startup",
        ),
        (
            {"recipe": "number-words", "search": RATES, "pruning": {"warmup": -1}},
            "whole number from 0",
        ),
        (
            {"recipe": "number-words", "search": RATES, "set": {"modl": {"dropout": 0.1}}},
            "did you mean model",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_made(session, document, message):
    with pytest.raises(RecipeError, match=message):
        session.tune(document, name="refused")
    assert session.studies() == []


def test_a_recipe_comes_by_name_as_a_table_in_the_cell_or_in_words(session, tmp_path):
    whole = {"data": {"source": "number-words"}, "seed": 4, "search": RATES}
    assert settings_of(whole, session.recipe).recipe["seed"] == 4
    assert (
        settings_of(
            {"recipe": {"data": {"source": "number-words"}}, "search": RATES}, session.recipe
        ).recipe["seed"]
        == 0
    )
    words = {
        "model": "lstm",
        "data": "rows.csv",
        "task": "classify",
        "fields": {"text": "review"},
        "search": RATES,
        "set": {"model": {"d_model": 32}},
    }
    made = settings_of(words, session.recipe).recipe
    assert (made["model"]["architecture"], made["model"]["d_model"], made["data"]["fields"]) == (
        "lstm",
        32,
        {"text": "review"},
    )
    with pytest.raises(RecipeError, match=r"metric 'blue' .* choose loss, "):
        settings_of(whole, session.recipe, metric="blue")
    with pytest.raises(InputError, match="0 trials"):
        settings_of(whole, session.recipe, trials=0)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"optimizer.lrr": {"low": 1, "high": 2}}, "did you mean optimizer.lr"),
        ({"optimizer.lr": []}, "empty"),
        ({"optimizer.lr": 0.1}, "belongs in the recipe"),
        ({"optimizer.lr": {"low": 1e-3}}, "low and high"),
        ({"optimizer.lr": {"low": 1, "high": 0.1}}, "low not above high"),
        ({"optimizer.lr": {"low": 0.0, "high": 0.1, "log": True}}, "above 0"),
        ({"optimizer.lr": {"low": 0.1, "high": 0.2, "log": True, "step": 0.1}}, "no step"),
        ({"optimizer.lr": {"low": 0, "high": 0.1}}, "expected a number above 0"),
        ({"optimizer.name": {"low": 1, "high": 2}}, "is no number"),
        ({"optimizer.name": ["adamw", "adm"]}, "did you mean 'adam'"),
        ({"model.nhead": {"low": 1.5, "high": 4}}, "whole number"),
        ({"model.nhead": [4, 7]}, "not divisible"),
        ({"optimizer": {"low": 1, "high": 2}}, "table of settings"),
        ({"seed.x": [1]}, "no setting"),
    ],
)
def test_a_space_that_the_recipe_does_not_allow_is_refused(search, message):
    with pytest.raises(RecipeError, match=message):
        Space.read(search, load_recipe("number-words"))


def test_a_value_that_fits_only_with_some_other_values_is_allowed():
    space = Space.read(
        {"model.nhead": [4, 7], "model.d_model": [96, 98]}, load_recipe("number-words")
    )
    assert (space.size(), len(space.grid())) == (4, 4)


def test_a_space_is_read_as_toml_writes_it_and_knows_its_size():
    recipe = load_recipe("number-words")
    space = Space.read(
        {
            "model": {"dropout": [0.0, 0.1]},
            "model.num_encoder_layers": {"low": 1, "high": 4},
            "optimizer.betas": [[0.9, 0.98], [0.9, 0.999]],
        },
        recipe,
    )
    assert space.size() == 2 * 4 * 2
    own = {"model.dropout": 0.0, "model.num_encoder_layers": 2, "optimizer.betas": [0.9, 0.98]}
    assert space.own_settings(recipe) == own
    assert space.read_back(space.stored(own)) == own
    assert recipe.with_settings(own).optimizer.betas == (0.9, 0.98)
    assert Space.read({"model.dropout": {"low": 0.0, "high": 0.3, "step": 0.1}}, recipe).size() == 4
    assert Space.read(RATES, recipe).size() == math.inf
    assert (
        Space.read({"optimizer.lr": {"low": 0.1, "high": 0.3}}, recipe).own_settings(recipe) is None
    )


def test_names_that_are_taken_and_objects_that_are_missing_are_told(session):
    said = document(**{"schedule.epochs": 1.0})
    session.tune(said, name="one", trials=1).wait()
    with pytest.raises(RunError, match="a run of this name"):
        session.tune(said, name="one", trials=1)
    with pytest.raises(RunError, match=r"needs objects of the notebook .*data = …, model = …\)"):
        session.tune(name="one", trials=2)
    with pytest.raises(RunError, match="no study named 'two'; studies: one"):
        session.tune(name="two")
    (session.find_run("one").folder / "study.json").unlink()
    again = session.tune(name="one", trials=2, objects=objects(said)).result
    assert again.run is None, "what a person has put there is not overwritten"
    assert "a run of this name" in again.note
    assert len(again.trials) == 2


def test_a_study_is_searched_by_one_process_at_a_time(session):
    said = document({"optimizer.lr": [0.1, 0.2]}, **{"schedule.epochs": 5000.0})
    search = session.tune(said, name="held", trials=2)
    wait_for(lambda: search.board().trials and search.board().trials[0].step)
    with pytest.raises(RunError, match="searched already"):
        Session().tune(name="held", objects=objects(said))
    assert session.find_study("held").board().trials[0].state == "running"
    assert session.stop_study("held").reason == "stopped"


def test_time_that_is_up_interrupts_the_trial(session):
    said = document({"optimizer.lr": [0.1, 0.2]}, **{"schedule.epochs": 50_000.0})
    result = session.tune(said, name="timed", trials=2, hours=3 / 3600).result
    assert (result.reason, result.trials[1].state) == ("time limit", "queued")
    assert result.trials[0].state in (
        "interrupted",
        "queued",
    )  # on a busy machine nothing may have begun


def test_without_optuna_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RunError, match=r"pip install 'llm-magics-notebook\[tune\]'"):
        import_optuna()


def test_optuna_says_nothing_on_its_own_account(session, capfd):
    session.tune(document(**{"schedule.epochs": 1.0}), name="quiet", trials=5).wait()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
