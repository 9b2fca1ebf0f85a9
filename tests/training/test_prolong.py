"""A run that has reached its end is given a later one: same weights, same optimizer, a schedule of
the new length."""

from __future__ import annotations

import re

import pytest

from llm_magics.errors import RecipeError, RunError
from llm_magics.training.recipe.recipe import recipe_from_dict
from llm_magics.training.run import checkpoint
from llm_magics.training.run.control import Control
from llm_magics.training.run.events import Evaluated, Finished, RunStarted, StepDone
from llm_magics.training.run.loop import train
from llm_magics.training.runs.extend import check_goes_on
from llm_magics.training.runs.runs import create_run
from llm_magics.training.runs.summary import summary_of

RECIPE = {
    "name": "tiny",
    "seed": 3,
    "data": {
        "source": "number-words",
        "languages": ["en"],
        "largest": 60,
        "source_language": "en",
        "target_language": "digits",
    },
    "tokenizer": {"vocab_size": 300},
    "model": {
        "d_model": 8,
        "nhead": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "dim_feedforward": 8,
    },
    "schedule": {"epochs": 2, "warmup_steps": 2},
    "batch": {"tokens": 150},
    "evaluation": {"every_steps": 3, "metric": "perplexity", "rows": 2, "samples": 0},
}


def finished(root, name="one", **settings):
    """A run that has been trained to its end, and what happened."""
    run = create_run(root, recipe_from_dict(RECIPE).with_settings(settings), name)
    return run, recorded(run)


def recorded(run, **longer):
    events = []
    for event in train(run, longer=longer):
        run.append(event)
        events.append(event)
    return events


def steps(events):
    return [(e.step, e.loss, e.learning_rate) for e in events if isinstance(e, StepDone)]


def test_a_prolonged_run_takes_the_steps_that_a_long_one_takes_where_the_schedule_is_constant(
    tmp_path,
):
    constant = {"schedule.kind": "constant", "schedule.warmup_steps": 1}
    run, first = finished(tmp_path, **constant)
    second = recorded(run, **{"schedule.epochs": 4.0})
    _, whole = finished(tmp_path, "whole", **constant, **{"schedule.epochs": 4.0})
    assert steps(first) + steps(second) == steps(whole)
    assert second[-1] == Finished(
        "completed", whole[-1].step, second[-1].seconds, whole[-1].metrics
    )


def test_the_schedule_is_that_of_the_new_length_and_its_jump_is_told(tmp_path):
    run, first = finished(tmp_path)
    second = recorded(run, **{"schedule.epochs": 6.0})
    _, whole = finished(tmp_path, "whole", **{"schedule.epochs": 6.0})
    count = len(steps(first))
    rates = [rate for _, _, rate in steps(whole)]
    assert [rate for _, _, rate in steps(second)] == rates[count:]
    told = second[0].notes[-1]
    assert told.startswith(
        f"the schedule now runs to 6 epochs ({3 * count} steps), before to {count} steps"
    )
    assert (
        f"{rates[count]:.3g} at step {count + 1}, {steps(first)[-1][2]:.3g} at the one before"
        in told
    )


def test_the_recipe_before_and_the_one_after_stay_readable(tmp_path):
    run, first = finished(tmp_path)
    recorded(run, **{"schedule.epochs": 3.0})
    step = first[-1].step
    assert run.recipe().schedule.epochs == 3
    assert {at: recipe.schedule.epochs for at, recipe in run.earlier_recipes().items()} == {
        step: 2.0
    }
    assert summary_of(run).earlier == {step: {"schedule.epochs": 2.0}}
    assert sum(isinstance(e, RunStarted) for e in run.events()) == 2


def test_the_best_weights_of_the_first_training_stay_the_model_until_they_are_bettered(tmp_path):
    run, first = finished(
        tmp_path, **{"optimizer.name": "sgd", "schedule.kind": "one_cycle", "optimizer.lr": 0.5}
    )
    before = (run.model_folder / "model.safetensors").read_bytes()
    best = min((e for e in first if isinstance(e, Evaluated)), key=lambda e: e.loss)
    control = Control()
    control.set_rate_factor(1000.0)  # ruins them
    after = list(train(run, control=control, longer={"schedule.epochs": 4.0}))
    assert min(e.loss for e in after if isinstance(e, Evaluated)) > best.loss
    assert (run.model_folder / "model.safetensors").read_bytes() == before
    assert f"checkpoint-{best.step:08d}" in {
        path.name for path in checkpoint.list_checkpoints(run.checkpoints)
    }


def test_a_model_that_is_a_mean_of_checkpoints_is_kept_beside_the_run(tmp_path):
    run, first = finished(tmp_path, **{"evaluation.average_last": 2})
    before = (run.model_folder / "model.safetensors").read_bytes()
    recorded(run, **{"schedule.epochs": 4.0})
    assert (
        run.folder / f"model-until-{first[-1].step:08d}" / "model.safetensors"
    ).read_bytes() == before


def test_a_run_that_stopped_early_waits_anew(tmp_path):
    run, first = finished(
        tmp_path, **{"evaluation.patience": 1, "optimizer.lr": 1e-12, "schedule.epochs": 8.0}
    )
    assert first[-1].reason == "early stop"
    with pytest.raises(RunError, match=r"is finished \(early stop, 6 steps\).*--early-stop 2$"):
        check_goes_on(run, {})
    second = recorded(run, **{"evaluation.patience": 2})
    assert "evaluation.patience = 2 in place of 1" in second[0].notes[-1]
    assert second[-1].step == first[-1].step + 6  # two evaluations, three steps each


def test_a_finished_run_asks_for_a_later_end(tmp_path):
    run, first = finished(tmp_path)
    with pytest.raises(
        RunError,
        match=rf"is finished \(completed, {first[-1].step} steps\); give --epochs.*--epochs 4$",
    ):
        check_goes_on(run, {})
    with pytest.raises(RunError, match="is finished"):
        check_goes_on(run, {"schedule.epochs": 2.0})  # the end that it has
    check_goes_on(run, {"schedule.epochs": 3.0})


def test_an_end_that_is_behind_the_run_is_refused_and_leaves_the_run_as_it_was(tmp_path):
    run, _ = finished(tmp_path)
    before = run.events()
    with pytest.raises(RecipeError, match=r"\(2 epochs\) behind it.*give more than 2"):
        recorded(run, **{"schedule.epochs": 1.0})
    with pytest.raises(RecipeError, match="counts from the beginning; give more, or 0"):
        recorded(run, **{"schedule.epochs": 3.0, "schedule.max_seconds": 1e-9})
    assert (run.recipe().schedule.epochs, run.earlier_recipes(), run.events()) == (2, {}, before)


def test_only_the_end_of_a_run_can_change(tmp_path):
    run, _ = finished(tmp_path)
    with pytest.raises(
        RecipeError,
        match=r"not optimizer.lr; begin a new run with its model: %train run:one --data DATA",
    ):
        check_goes_on(run, {"schedule.epochs": 3.0, "optimizer.lr": 0.1})


@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        (
            {"schedule.max_steps": 3, "schedule.warmup_steps": 100},
            r"only 3 steps in all, of \d+ training rows, fewer than the 100 warm-up steps of the schedule; more --epochs",
        ),
        (
            {"schedule.max_steps": 1, "schedule.kind": "one_cycle"},
            r"only 1 step in all, of \d+ training rows; more --epochs",
        ),
    ],
)
def test_too_few_steps_are_told_once(tmp_path, settings, pattern):
    run = create_run(tmp_path, recipe_from_dict(RECIPE).with_settings(settings), "short")
    first, again = recorded(run)[0], recorded(run)[0]
    assert re.match(pattern, first.notes[-1])
    assert not any(note.startswith("only") for note in again.notes)


def test_enough_steps_are_not_worth_a_word(tmp_path):
    run = create_run(
        tmp_path, recipe_from_dict(RECIPE).with_settings({"schedule.epochs": 40.0}), "long"
    )
    first = next(iter(train(run)))
    assert first.total_steps >= 50
    assert not any(note.startswith("only") for note in first.notes)
