"""The range test: what it suggests, and that it leaves no trace."""

from __future__ import annotations

import copy
import hashlib
import math
import random
import tempfile

import numpy
import pytest
import torch

from llm_magics.errors import InputError, TrainingError
from llm_magics.training.recipe.recipe import recipe_from_dict
from llm_magics.training.run.loop import train
from llm_magics.training.run.setup import prepare
from llm_magics.training.run.step import Stepper
from llm_magics.training.runs.runs import create_run
from llm_magics.training.tuning.find_lr import find_lr, range_test, suggested_rates

RECIPE = recipe_from_dict(
    {
        "name": "tiny",
        "seed": 3,
        "data": {
            "source": "number-words",
            "languages": ["en"],
            "largest": 120,
            "source_language": "en",
            "target_language": "digits",
        },
        "tokenizer": {"vocab_size": 330},
        "model": {
            "d_model": 16,
            "nhead": 2,
            "num_encoder_layers": 1,
            "num_decoder_layers": 1,
            "dim_feedforward": 32,
            "dropout": 0.2,
        },
        "schedule": {"epochs": 1, "warmup_steps": 2},
        "batch": {"tokens": 150},
        "evaluation": {"every_steps": 5, "rows": 5},
    }
)


@pytest.fixture
def setup(tmp_path):
    """A prepared training whose optimizer has taken two steps."""
    setup = prepare(create_run(tmp_path, RECIPE), "cpu")
    stepper, batches = Stepper(setup), setup.objective.batches(0)
    for number in (1, 2):
        stepper.step(number, [next(batches)], 1e-3, 0, watched=False)
    setup.model.eval()
    return setup


def everything(setup):
    """Weights, gradients, mode, the optimizer's state, and the generators, as a copy."""
    return copy.deepcopy(
        {
            "weights": setup.model.state_dict(),
            "optimizer": setup.optimizer.state_dict(),
            "training": setup.model.training,
            "gradients": [p.grad for p in setup.model.parameters()],
            "trained": [p.requires_grad for p in setup.model.parameters()],
            "hooks": sum(len(m._forward_hooks) for m in setup.model.modules()),
            "torch": torch.get_rng_state(),
            "python": random.getstate(),
            "numpy": numpy.random.get_state()[1].tolist(),
        }
    )


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def interrupts(step, rate, loss):
    torch.rand(3), random.random(), numpy.random.rand()
    if step == 7:
        raise KeyboardInterrupt


def draws(step, rate, loss):
    torch.rand(3), random.random(), numpy.random.rand()


@pytest.mark.parametrize("how", ["to its end", "interrupted", "stopped", "failing"])
def test_weights_optimizer_and_random_numbers_are_left_as_they_were(setup, how, monkeypatch):
    before = everything(setup)
    if how == "to its end":
        range_test(setup, steps=20, on_step=draws)
    elif how == "interrupted":
        with pytest.raises(KeyboardInterrupt):
            range_test(setup, steps=20, on_step=interrupts)
    elif how == "stopped":
        asked = iter(range(100))
        found = range_test(setup, steps=30, on_step=draws, stop=lambda: next(asked) == 15)
        assert (found.reason, len(found.rates)) == ("stopped", 15)
    else:
        monkeypatch.setattr(
            Stepper, "step", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no memory"))
        )
        with pytest.raises(RuntimeError, match="no memory"):
            range_test(setup, steps=20)
    assert same(everything(setup), before)


def test_the_comparison_above_sees_a_step_and_a_drawn_number(setup):
    before = everything(setup)
    torch.rand(1)
    assert not same(everything(setup), before)
    before = everything(setup)
    Stepper(setup).step(3, [next(setup.objective.batches(0))], 1e-3, 0, watched=False)
    assert not same(everything(setup), before)


def test_the_ramp_is_exponential_and_the_first_loss_is_the_models_own(setup):
    found = range_test(setup, low=1e-6, high=1e-1, steps=11)
    assert found.rates == pytest.approx([10 ** (-6 + i / 2) for i in range(len(found.rates))])
    batch = next(setup.objective.batches(0))
    copied = copy.deepcopy(setup)
    copied.model.train()
    first = Stepper(copied).step(1, [batch], 0.0, 0, watched=False).loss
    assert found.losses[0] == pytest.approx(first, rel=1e-6)


def test_a_run_is_tested_as_its_checkpoint_left_it_and_not_one_file_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    run = create_run(
        tmp_path / "runs",
        RECIPE.with_settings({"schedule.epochs": 2.0, "optimizer.lr": 0.01}),
        "trained",
    )
    for event in train(run):
        run.append(event)
    files = {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.folder.rglob("*"))
        if path.is_file()
    }
    trained, fresh = find_lr(run, steps=12), find_lr(RECIPE, steps=12)
    assert trained.losses[0] < fresh.losses[0] - 0.5
    after = {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.folder.rglob("*"))
        if path.is_file()
    }
    assert after == files
    assert not list((tmp_path / "temporary").iterdir())


def test_a_loss_that_runs_away_ends_the_test(setup):
    found = range_test(setup, low=1e-5, high=1e6, steps=60)
    assert found.reason in ("the loss ran away", "not finite")
    assert len(found.rates) < 60
    assert found.rates[0] <= found.suggestion < found.rates[-1]


def test_the_suggestions_of_a_curve_that_is_known():
    """A logistic fall around 1e-3 and a parabola's rise from 1e-1 on, evenly spaced in the
    logarithm."""
    logs = [-7 + 8 * i / 99 for i in range(100)]
    losses = [3 / (1 + math.exp((x + 3) / 0.3)) + (9 * (x + 1) ** 2 if x > -1 else 0) for x in logs]
    steepest, tenth, smoothed = suggested_rates([10**x for x in logs], losses)
    assert math.log10(steepest) == pytest.approx(-3, abs=0.1)
    assert (
        -1 - 5 * 8 / 99 <= math.log10(tenth * 10) <= -1
    )  # a mean over the steps around begins to rise half a window early
    assert smoothed[50] == pytest.approx(sum(losses[45:56]) / 11)


@pytest.mark.parametrize(
    ("ramp", "message"),
    [({"low": 0.0}, "0 < low"), ({"low": 1.0, "high": 0.1}, "0 < low"), ({"steps": 3}, "too few")],
)
def test_a_ramp_that_is_none_is_refused(ramp, message):
    with pytest.raises(InputError, match=message):
        find_lr(RECIPE, **ramp)


def test_a_test_that_saw_too_little_says_so(setup):
    asked = iter(range(100))
    with pytest.raises(TrainingError, match="3 steps only"):
        range_test(setup, steps=20, stop=lambda: next(asked) == 3)


def test_the_result_shows_curve_and_use(setup):
    found = range_test(setup, steps=12)
    assert found.suggestion == found.steepest
    html = found._repr_mimebundle_()[0]["text/html"]
    assert "data:image/svg+xml" in html
    assert f"--lr {found.suggestion:.2g}" in html
    assert "minimum / 10" in found.static_svg()
