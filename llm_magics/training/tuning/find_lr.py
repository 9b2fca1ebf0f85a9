"""The learning-rate range test: a short training at growing rates, on copies, that leaves
everything as it was.

L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3.
"""

from __future__ import annotations

import copy
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from llm_magics.display import theme
from llm_magics.display.charts.tuning import learning_rate_svg
from llm_magics.display.html import Node, el, image
from llm_magics.display.result import Provenance, Result, provenance_note
from llm_magics.errors import InputError, NonFinite, TrainingError
from llm_magics.training.data.batches import Batch
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.run import checkpoint
from llm_magics.training.run.optimizers import make_optimizer
from llm_magics.training.run.setup import Given, Setup, prepare
from llm_magics.training.run.step import Stepper
from llm_magics.training.runs.runs import Run, create_run

__all__ = ["LearningRateSearch", "find_lr", "range_test", "suggested_rates"]

_SMOOTHING = 0.8
"""Weight of the past in the average that decides when the loss has run away."""
_RUN_AWAY = 4.0
"""The test ends when that average is so many times its lowest value."""
_HALF_WINDOW = 5
"""Steps to either side that the slope of the loss is taken over."""
_FEWEST_STEPS = 2 * _HALF_WINDOW + 1


@dataclass(frozen=True, kw_only=True, repr=False)
class LearningRateSearch(Result):
    """What a range test saw; `suggestion` is the rate to take."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    """Of the batch at each rate, before the step with that rate."""
    smoothed: tuple[float, ...]
    """Mean over the steps around each."""
    steepest: float
    """Where the smoothed loss falls fastest."""
    tenth_of_minimum: float
    """A tenth of the rate with the lowest smoothed loss."""
    reason: str
    """"the loss ran away", "not finite", "end of the ramp" or "stopped"."""
    provenance: Provenance

    @property
    def suggestion(self) -> float:
        """The rate of the steepest descent."""
        return self.steepest

    @property
    def text(self) -> str:
        """One line for people."""
        ramp = (
            f"{len(self.rates)} steps from {self.rates[0]:.1g} to {self.rates[-1]:.2g}, "
            f"{self.reason}"
        )
        return (
            f"learning rate {self.steepest:.2g}: there the loss falls fastest; a tenth of the "
            f"rate of its minimum is {self.tenth_of_minimum:.2g} ({ramp})"
        )

    def __repr__(self) -> str:
        return f"LearningRateSearch({self.text!r})"

    def static_svg(self) -> str:
        """Loss against rate, both suggestions marked."""
        marks = {"steepest": self.steepest, "minimum / 10": self.tenth_of_minimum}
        return learning_rate_svg(self.rates, self.losses, self.smoothed, marks)

    def node(self) -> Node:
        """The curve and the line."""
        how = el("code", {"style": {"font-family": theme.MONO}}, f"--lr {self.suggestion:.2g}")
        return el(
            "div",
            {"style": theme.BOX},
            image(self.static_svg().encode(), "image/svg+xml", self.text, width_px=640),
            el("div", {}, self.text),
            el(
                "div",
                {"style": theme.NOTE},
                "use it: ",
                how,
                " — weights, optimizer and random numbers are as they were",
            ),
            provenance_note(self.provenance),
        )


def find_lr(
    what: Recipe | Run,
    *,
    device: torch.device | str = "cpu",
    given: Given = Given(),  # noqa: B008  frozen
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    on_step: Callable[[int, float, float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> LearningRateSearch:
    """The range test of a recipe, or of a run as its newest checkpoint left it; neither is changed.

    on_step is told (step, rate, loss); stop is asked before every step. Random numbers of torch,
    Python and NumPy go on afterwards as if nothing had been; files are only written to a temporary
    folder. A module of the notebook is copied. Raises InputError for a ramp that is none,
    TrainingError when the loss is not finite from the start, and what reading the data raises.
    """
    _check(low, high, steps)
    with (
        random_numbers_kept(torch.device(device)),
        tempfile.TemporaryDirectory(prefix="llm-magics-lr-") as folder,
    ):
        run = (
            _copied_run(what, Path(folder))
            if isinstance(what, Run)
            else create_run(Path(folder), what, "range-test")
        )
        setup = prepare(run, device, replace(given, module=copy.deepcopy(given.module)))
        newest = checkpoint.latest_valid(what.checkpoints)[0] if isinstance(what, Run) else None
        if newest is not None:
            checkpoint.load(newest, setup.model, setup.optimizer)
        return range_test(setup, low=low, high=high, steps=steps, on_step=on_step, stop=stop)


def range_test(
    setup: Setup,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    on_step: Callable[[int, float, float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> LearningRateSearch:
    """Train copies of the setup's model and optimizer with the rate growing from low to high, the
    same factor a step.

    The setup, its model (weights, buffers, gradients, mode) and optimizer are left alone, and so
    are the generators of random numbers, whatever ends the test.
    """
    _check(low, high, steps)
    began, rates, losses = time.monotonic(), [], []
    reason, average, lowest, most_cells = "end of the ramp", 0.0, math.inf, 0
    with random_numbers_kept(setup.device):
        stepper = Stepper(_copied_setup(setup))
        stepper.model.train()
        for number, batches in enumerate(islice(_endless(setup), steps)):
            rate = low * (high / low) ** (number / (steps - 1))
            if stop():
                reason = "stopped"
                break
            try:
                done = stepper.step(number + 1, batches, rate, most_cells, watched=False)
            except NonFinite:
                reason = "not finite"
                break
            most_cells = done.most_cells
            rates.append(rate)
            losses.append(done.loss)
            if on_step is not None:
                on_step(number + 1, rate, done.loss)
            average = _SMOOTHING * average + (1 - _SMOOTHING) * done.loss
            seen = average / (1 - _SMOOTHING ** (number + 1))
            lowest = min(lowest, seen)
            if seen > _RUN_AWAY * lowest:
                reason = "the loss ran away"
                break
    if len(rates) < _FEWEST_STEPS:
        last = (rates or [low])[-1]
        why = (
            "it was stopped"
            if reason == "stopped"
            else f"{reason} at a rate of {last:.2g}; begin lower"
        )
        raise TrainingError(
            f"the range test saw {len(rates)} steps only, {_FEWEST_STEPS} are needed: {why}"
        )
    steepest, tenth, smoothed = suggested_rates(rates, losses)
    provenance = Provenance(
        model=setup.recipe.name,
        why="learning-rate range test",
        seed=setup.recipe.seed,
        seconds=time.monotonic() - began,
        parameters={"low": low, "high": high, "steps": steps},
    )
    return LearningRateSearch(
        rates=tuple(rates),
        losses=tuple(losses),
        smoothed=tuple(smoothed),
        steepest=steepest,
        tenth_of_minimum=tenth,
        reason=reason,
        provenance=provenance,
    )


def suggested_rates(
    rates: Sequence[float], losses: Sequence[float]
) -> tuple[float, float, list[float]]:
    """(rate of the steepest descent, a tenth of the rate of the minimum, the smoothed losses).

    Losses are smoothed by the mean over the 5 steps to either side, which lags behind nothing; the
    slope is that of the smoothed loss over log(rate), by least squares over the same steps, and is
    looked for before the minimum.
    """
    count = len(losses)
    windows = [
        range(max(0, i - _HALF_WINDOW), min(count, i + _HALF_WINDOW + 1)) for i in range(count)
    ]
    smoothed = [sum(losses[j] for j in window) / len(window) for window in windows]
    minimum = min(range(count), key=smoothed.__getitem__)
    logs = [math.log(rate) for rate in rates]
    slopes = [
        _slope([logs[j] for j in window], [smoothed[j] for j in window]) for window in windows
    ]
    steepest = min(range(max(1, minimum)), key=slopes.__getitem__)
    return rates[steepest], rates[minimum] / 10, smoothed


def _slope(xs: list[float], ys: list[float]) -> float:
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - mean_x) ** 2 for x in xs
    )


@contextmanager
def random_numbers_kept(device: torch.device) -> Iterator[None]:
    """Random numbers of torch (on the CPU and on `device`), Python and NumPy go on afterwards as if
    nothing had been."""
    numpy: Any = sys.modules.get("numpy")
    python, others = random.getstate(), numpy.random.get_state() if numpy else None
    kind = device.type if device.type in ("cuda", "mps", "xpu") else "cuda"
    devices = [device] if device.type == kind else []
    with torch.random.fork_rng(devices=devices, device_type=kind):
        try:
            yield
        finally:
            random.setstate(python)
            if numpy:
                numpy.random.set_state(others)


def _copied_setup(setup: Setup) -> Setup:
    """The setup with a model and an optimizer of its own, equal to the given ones."""
    recipe = replace(
        setup.recipe, compute=replace(setup.recipe.compute, compile=False)
    )  # a hundred steps do not repay it
    objective = copy.copy(setup.objective)
    objective.model = copy.deepcopy(setup.model)
    optimizer = make_optimizer(objective.trainable(), recipe.optimizer)
    optimizer.load_state_dict(copy.deepcopy(setup.optimizer.state_dict()))
    return replace(setup, recipe=recipe, objective=objective, optimizer=optimizer)


def _copied_run(run: Run, folder: Path) -> Run:
    """A run with the recipe, the tokenizers and the beginning of this one."""
    made = Run(folder / run.name)
    made.folder.mkdir()
    for file in (run.folder / "recipe.json", *run.tokenizer_files()):
        shutil.copyfile(file, made.folder / file.name)
    if (run.folder / "start").is_dir():
        shutil.copytree(run.folder / "start", made.folder / "start")
    return made


def _endless(setup: Setup) -> Iterator[list[Batch]]:
    """The batches of one step after the other, epoch after epoch."""
    epoch = 0
    while True:
        batches = setup.objective.batches(epoch)
        while step := list(islice(batches, setup.recipe.batch.accumulate)):
            yield step
        epoch += 1


def _check(low: float, high: float, steps: int) -> None:
    if not 0 < low < high < math.inf:
        raise InputError(
            f"the learning rate cannot grow from {low} to {high}; expected 0 < low < high"
        )
    if steps < _FEWEST_STEPS:
        raise InputError(
            f"{steps} steps are too few for a range test; take {_FEWEST_STEPS} at least"
        )
