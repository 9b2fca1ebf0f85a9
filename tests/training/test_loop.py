"""The loop: what it yields, how it stops, and that a resumed run is the run it would have been."""

from __future__ import annotations

import itertools

import pytest
import torch

from llm_magics.errors import NonFinite, RunError
from llm_magics.models.house import load_house
from llm_magics.training import checkpoint
from llm_magics.training.events import Evaluated, Finished, RunStarted, StepDone, from_record, to_record
from llm_magics.training.launch import start
from llm_magics.training.loop import train
from llm_magics.training.recipe import Schedule, recipe_from_dict
from llm_magics.training.runs import create_run, find_run
from llm_magics.training.schedule import factor

RECIPE = {
    "name": "tiny", "seed": 3,
    "data": {"source": "number-words", "languages": ["en", "de"], "largest": 120, "join": 0.2,
             "source_language": "en,de", "target_language": "digits"},
    "tokenizer": {"vocab_size": 330},
    "model": {"d_model": 16, "nhead": 2, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 32,
              "dropout": 0.2},
    "schedule": {"epochs": 3, "warmup_steps": 5}, "batch": {"tokens": 150},
    "evaluation": {"every_steps": 7, "metric": "exact_match", "rows": 10},
}


def new_run(root, name=None, **settings):
    return create_run(root, recipe_from_dict(RECIPE).with_settings(settings), name)


def final_weights(run):
    path, _ = checkpoint.latest_valid(run.checkpoints)
    return checkpoint.weights(path)


def test_the_events_tell_the_whole_story_and_survive_the_record(tmp_path):
    run = new_run(tmp_path)
    events = list(train(run))
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "completed"
    assert set(events[-1].metrics) == {"exact_match"}
    steps = [e.step for e in events if isinstance(e, StepDone)]
    assert steps == list(range(1, events[0].total_steps + 1))
    losses = [e.loss for e in events if isinstance(e, Evaluated)]
    assert losses[-1] < losses[0]
    assert [from_record(to_record(event)) for event in events] == events


@pytest.mark.parametrize(("optimizer", "stop_after"), [
    *(("adamw", step) for step in (1, 6, 7, 8, 13)), ("adam", 8), ("momentum", 8), ("sgd", 8)])
def test_a_stopped_and_resumed_run_equals_the_uninterrupted_one_to_the_bit(tmp_path, optimizer, stop_after):
    whole = new_run(tmp_path, "whole", **{"optimizer.name": optimizer})
    expected = [e for e in train(whole) if isinstance(e, StepDone)]
    broken = new_run(tmp_path, "broken", **{"optimizer.name": optimizer})
    count = itertools.count()
    first = [e for e in train(broken, stop=lambda: next(count) >= stop_after)]
    assert first[-1].reason == "stopped"
    assert first[-1].step == stop_after
    torch.manual_seed(999)  # another cell uses the generator
    rest = []
    for event in train(find_run(tmp_path, "broken")):
        torch.rand(3)
        rest.append(event)
    steps = [e for e in first + rest if isinstance(e, StepDone)]
    assert [(e.step, e.loss, e.grad_norm) for e in steps] == [(e.step, e.loss, e.grad_norm) for e in expected]
    mine, theirs = final_weights(broken), final_weights(whole)
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_training_leaves_the_global_generator_as_it_was(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for _ in train(new_run(tmp_path)):
        pass
    assert torch.equal(torch.rand(3), expected)


def test_a_stopped_run_keeps_a_model_that_loads(tmp_path):
    run = new_run(tmp_path)
    count = itertools.count()
    list(train(run, stop=lambda: next(count) >= 3))
    module, tokenizer, config = load_house(run.model_folder)
    assert config["target_language"] == "digits"
    assert not module.training
    assert tokenizer.encode_source(["forty-two"])[0][-1] == 2


def test_a_diverging_training_stops_before_the_step_and_names_the_rows(tmp_path):
    run = new_run(tmp_path, **{"optimizer.lr": 1e30, "optimizer.name": "sgd", "optimizer.clip_norm": 0.0,
                               "schedule.warmup_steps": 1})
    with pytest.raises(NonFinite, match=r"the step was not taken. Training rows of the batch: \[\d+") as caught:
        list(train(run))
    assert "lower optimizer.lr" in str(caught.value)


def test_early_stopping_ends_a_run_that_no_longer_gains(tmp_path):
    run = new_run(tmp_path, **{"optimizer.lr": 1e-12, "evaluation.patience": 1, "evaluation.every_steps": 2})
    events = list(train(run))
    assert events[-1].reason in ("early stop", "completed")
    evaluations = [e for e in events if isinstance(e, Evaluated)]
    assert events[-1].reason == "early stop"
    assert evaluations[-1].loss >= evaluations[-2].loss


def test_a_time_limit_ends_the_run_with_a_model(tmp_path):
    run = new_run(tmp_path, **{"schedule.max_seconds": 1e-6})
    events = list(train(run))
    assert events[-1].reason == "time limit"
    assert (run.model_folder / "model.safetensors").is_file()


def test_a_run_is_trained_by_one_at_a_time(tmp_path):
    run = new_run(tmp_path)
    with run.locked(), pytest.raises(RunError, match="being trained by process"):
        next(train(run))


@pytest.mark.parametrize("name", ["../x", "", ".", "a/b", "a" * 65, "a\0b", "<img>", "ü", "a."])
def test_names_that_could_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(RunError, match="cannot name a run"):
        find_run(tmp_path, name)


def test_runs_get_the_next_free_number_and_an_existing_name_is_refused(tmp_path):
    assert [new_run(tmp_path).name for _ in range(3)] == ["tiny-1", "tiny-2", "tiny-3"]
    with pytest.raises(RunError, match="exists"):
        new_run(tmp_path, "tiny-2")
    with pytest.raises(RunError, match="runs: tiny-1, tiny-2, tiny-3"):
        find_run(tmp_path, "nothing")


def test_a_worker_thread_trains_while_the_caller_waits_and_its_watcher_may_fail(tmp_path):
    seen = []

    def watcher(event):
        seen.append(event)
        raise RuntimeError("a broken view")

    handle = start(new_run(tmp_path), device="cpu", on_event=watcher)
    assert handle.wait(60)
    assert len(seen) == 1
    assert handle.result.reason == "completed"
    assert handle.result.model == "run:tiny-1"
    assert handle.result.losses["validation"]


def test_a_failed_training_raises_where_the_result_is_asked_for(tmp_path):
    handle = start(new_run(tmp_path, **{"data.largest": 100, "batch.max_tokens_per_side": 1}), device="cpu")
    handle.wait(60)
    with pytest.raises(Exception, match="longer than batch.max_tokens_per_side"):
        _ = handle.result


def test_schedules_warm_up_and_then_follow_their_formula():
    cosine = Schedule("cosine", warmup_steps=10)
    assert factor(cosine, 5, 100) == 0.5
    assert factor(cosine, 10, 100) == pytest.approx(1.0)
    assert factor(cosine, 55, 100) == pytest.approx(0.01 + 0.99 / 2)
    assert factor(cosine, 100, 100) == pytest.approx(0.01)
    root = Schedule("inverse_sqrt", warmup_steps=10)
    assert factor(root, 40, 0) == pytest.approx(0.5)
    assert factor(Schedule("constant", warmup_steps=10), 1000, 0) == 1.0
