"""The training loop: yields typed events, sees no widget, and can be resumed to the bit on one
machine.

Resume is exact because nothing depends on what ran before: the batches are a function of seed and
epoch, and the randomness of dropout a function of seed and step.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch

from llm_magics.errors import CheckpointError
from llm_magics.training.run import checkpoint
from llm_magics.training.run.control import Control
from llm_magics.training.run.evaluate import evaluation_mode, loss_of
from llm_magics.training.run.events import (
    CheckpointSaved,
    CheckpointSkipped,
    Evaluated,
    Event,
    Finished,
    Paused,
    RateChanged,
    Resumed,
    RunStarted,
    Sampled,
    StepDone,
)
from llm_magics.training.run.export import export
from llm_magics.training.run.schedule import factor
from llm_magics.training.run.setup import Given, Setup, prepare
from llm_magics.training.run.step import Stepper
from llm_magics.training.runs.extend import prolong
from llm_magics.training.runs.runs import Run

__all__ = ["train"]


@dataclass
class Progress:
    """Where a training stands; what a checkpoint keeps beside the tensors."""

    step: int = 0
    epoch: int = 0
    position: int = 0
    """Batches of the epoch already taken."""
    seconds: float = 0.0
    best_loss: float = math.inf
    best_step: int | None = None
    evaluations_without_gain: int = 0
    evaluated_step: int | None = None
    fraction: float = 0.0
    """Epochs done, as a number with a fraction."""
    rate_factor: float = 1.0
    """What a person put on the recipe's learning rate."""
    most_cells: int = 0
    """Tokens that fit into memory at once, once it has run out; 0: it has not."""

    def to_state(self) -> dict[str, Any]:
        state = dict(vars(self))
        return {**state, "best_loss": None if math.isinf(self.best_loss) else self.best_loss}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Progress:
        kept = {name: state[name] for name in vars(cls()) if name in state}
        return cls(
            **{**kept, "best_loss": math.inf if kept["best_loss"] is None else kept["best_loss"]}
        )


def train(
    run: Run,
    *,
    device: torch.device | str = "cpu",
    control: Control | None = None,
    given: Given = Given(),  # noqa: B008  frozen
    exports: bool = True,
    longer: Mapping[str, Any] | None = None,
) -> Iterator[Event]:
    """Train the run to its end, from its newest valid checkpoint if it has one.

    longer: dotted settings of a later end (see `prolong.ENDS`), which the run keeps.
    `control` is looked at before every step; a stop saves a checkpoint and the model and ends the
    training with Finished("stopped"). exports: False leaves the model and its final figures for a
    later call (a search exports only the best of many). Raises DataError, RecipeError, NonFinite,
    CheckpointError, RunError.
    """
    with run.locked():
        control = control or Control()
        setup = prepare(run, device, given, run.recipe().with_settings(dict(longer or {})))
        progress, problems = _resume(run, setup)
        notes = setup.notes()
        if longer:
            notes += prolong(run, setup, progress.step, progress.seconds, progress.rate_factor)
            progress.evaluations_without_gain = (
                0  # or a run that has stopped early would stop again at once
            )
        if not progress.step:
            notes += setup.shortage()
        for problem in problems:
            yield CheckpointSkipped(problem)
        (run.folder / "machine.txt").write_text(_machine(setup.device), encoding="utf-8")
        trained = sum(p.numel() for p in setup.model.parameters() if p.requires_grad)
        yield RunStarted(
            run.name,
            progress.step,
            setup.total_steps,
            sum(p.numel() for p in setup.model.parameters()),
            len(setup.corpus.train),
            len(setup.corpus.validation),
            str(setup.device),
            trained,
            tuple(notes),
            setup.objective.loss_unit,
        )
        reason = yield from _steps(run, setup, progress, control)
        if progress.evaluated_step != progress.step:
            if (
                reason == "stopped"
            ):  # what a resume goes on from: a look that an uninterrupted run would not have had
                yield from _save(run, setup, progress)  # must not count there
                progress = replace(progress)
            yield from _evaluate(run, setup, progress, saves=reason != "stopped")
        metrics = export(run, setup, progress.best_step, progress.seconds) if exports else {}
        yield Finished(reason, progress.step, progress.seconds, metrics)


def _machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{name} ({device}), {torch.get_num_threads()} threads, torch {torch.__version__}"


def _resume(run: Run, setup: Setup) -> tuple[Progress, list[str]]:
    """From the newest whole checkpoint, and what was wrong with newer ones; an error when there are
    only damaged ones."""
    path, problems = checkpoint.latest_valid(run.checkpoints)
    if path is not None:
        return Progress.from_state(checkpoint.load(path, setup.model, setup.optimizer)), problems
    if problems:
        raise CheckpointError(
            f"run {run.name} cannot be resumed, every checkpoint is damaged: {problems[0]}. Put "
            f"back the files from a copy, or begin anew with %train --replace --name {run.name}"
        )
    return Progress(), []


def _steps(run: Run, setup: Setup, progress: Progress, control: Control) -> Iterator[Event]:
    """Step until the end; returns why it ended."""
    recipe, accumulate = setup.recipe, setup.recipe.batch.accumulate
    started = time.monotonic() - progress.seconds
    stepper = Stepper(setup)
    setup.model.train()
    while progress.step < setup.total_steps:
        epoch_batches = islice(
            setup.objective.batches(progress.epoch), progress.position, None
        )  # the others were taken
        while batches := list(islice(epoch_batches, accumulate)):
            waited = time.monotonic()
            yield from _requests(run, setup, progress, control)
            started += time.monotonic() - waited
            if control.stopping:
                return "stopped"
            if 0 < recipe.schedule.max_seconds <= progress.seconds:
                return "time limit"
            if progress.step >= setup.total_steps:
                return "completed"
            before, step = time.monotonic(), progress.step + 1
            rate = (
                recipe.optimizer.lr
                * progress.rate_factor
                * factor(recipe.schedule, step, setup.total_steps)
            )
            watched = (
                recipe.evaluation.watch_every > 0 and step % recipe.evaluation.watch_every == 0
            )
            done = stepper.step(step, batches, rate, progress.most_cells, watched)
            progress.step, progress.position = step, batches[-1].position + 1
            progress.fraction = progress.epoch + progress.position / batches[-1].count
            progress.most_cells = done.most_cells
            now = time.monotonic()
            progress.seconds = now - started
            yield StepDone(
                step,
                setup.total_steps,
                progress.fraction,
                done.loss,
                rate,
                done.grad_norm,
                done.targets / max(1e-9, now - before),
                progress.seconds,
                done.padding,
            )
            yield from done.events
            if step % setup.every_steps == 0:
                yield from _evaluate(run, setup, progress)
                started = time.monotonic() - progress.seconds
                if 0 < recipe.evaluation.patience <= progress.evaluations_without_gain:
                    return "early stop"
        progress.epoch, progress.position = progress.epoch + 1, 0
    return "completed"


def _requests(run: Run, setup: Setup, progress: Progress, control: Control) -> Iterator[Event]:
    """Do what a person asked for since the last step."""
    paused = False
    while True:
        change = control.take_rate_factor()
        if change is not None:
            progress.rate_factor = change
            yield RateChanged(progress.step, change)
        if control.take_checkpoint() or (control.paused and not paused):
            yield from _save(run, setup, progress)
        if not control.paused:
            break
        if not paused:
            paused = True
            yield Paused(progress.step)
        control.wait_while_paused()
    if paused and not control.stopping:
        yield Resumed(progress.step)


def _evaluate(run: Run, setup: Setup, progress: Progress, saves: bool = True) -> Iterator[Event]:
    """Look at the validation rows, if there are any, then save a checkpoint."""
    if not len(
        setup.corpus.validation
    ):  # no loss, so no best step: the weights at the end are the model
        progress.evaluated_step = progress.step
        if saves:
            yield from _save(run, setup, progress)
        return
    objective, evaluation, began = setup.objective, setup.recipe.evaluation, time.monotonic()
    with evaluation_mode(setup.model):
        loss = loss_of(objective, setup.model)
        predictions = objective.predict(setup.model, "validation", evaluation.rows)
        watched = (
            [objective.metric] if objective.metric != "loss" else []
        )  # the loss is told anyhow
        metrics = objective.figures(
            watched, predictions, objective.expected("validation", evaluation.rows), loss
        )
        seen = objective.attention(setup.model, progress.step)
    if loss < progress.best_loss:
        progress.best_loss, progress.best_step, progress.evaluations_without_gain = (
            loss,
            progress.step,
            0,
        )
    else:
        progress.evaluations_without_gain += 1
    progress.evaluated_step = progress.step
    progress.seconds += time.monotonic() - began
    yield Evaluated(progress.step, progress.fraction, loss, metrics)
    samples = objective.samples(predictions)
    if samples:
        yield Sampled(progress.step, samples)
    if seen is not None:
        yield seen
    if saves:
        yield from _save(run, setup, progress)


def _save(run: Run, setup: Setup, progress: Progress) -> Iterator[Event]:
    evaluation = setup.recipe.evaluation
    path = checkpoint.save(
        run.checkpoints, progress.step, setup.model, setup.optimizer, progress.to_state()
    )
    checkpoint.prune(
        run.checkpoints, max(evaluation.keep_last, evaluation.average_last), progress.best_step
    )
    yield CheckpointSaved(progress.step, str(path))
