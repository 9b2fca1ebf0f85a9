"""The training loop: yields typed events, sees no widget, and can be resumed to the bit on one machine.

Resume is exact because nothing depends on what ran before: the batches are a function of seed and epoch, and the
randomness of dropout a function of seed and step.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from llm_magics.errors import NonFinite
from llm_magics.training import checkpoint
from llm_magics.training.data import Batch, batches
from llm_magics.training.evaluate import loss_of, metrics_of, validation_loss
from llm_magics.training.events import CheckpointSaved, Evaluated, Event, Finished, RunStarted, StepDone
from llm_magics.training.export import export
from llm_magics.training.runs import Run
from llm_magics.training.schedule import factor
from llm_magics.training.setup import Setup, prepare

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

    def to_state(self) -> dict[str, Any]:
        state = dict(vars(self))
        return {**state, "best_loss": None if math.isinf(self.best_loss) else self.best_loss}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Progress:
        kept = {name: state[name] for name in vars(cls()) if name in state}
        return cls(**{**kept, "best_loss": math.inf if kept["best_loss"] is None else kept["best_loss"]})


def train(run: Run, *, device: torch.device | str = "cpu", stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
    """Train the run to its end, from its newest valid checkpoint if it has one.

    `stop` is asked before every step; when it says True, a checkpoint and the model are saved and the training
    ends with Finished("stopped"). Raises DataError, RecipeError, NonFinite, CheckpointError, RunError.
    """
    with run.locked():
        setup = prepare(run, device)
        progress = _resume(run, setup)
        (run.folder / "machine.txt").write_text(_machine(setup.device), encoding="utf-8")
        yield RunStarted(run.name, progress.step, setup.total_steps, sum(p.numel() for p in setup.model.parameters()),
                         len(setup.train), len(setup.validation), str(setup.device))
        reason = yield from _steps(run, setup, progress, stop)
        if progress.evaluated_step != progress.step:
            yield from _evaluate(run, setup, progress)
        metrics = export(run, setup, progress.best_step, progress.seconds)
        yield Finished(reason, progress.step, progress.seconds, metrics)


def _machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{name} ({device}), {torch.get_num_threads()} threads, torch {torch.__version__}"


def _resume(run: Run, setup: Setup) -> Progress:
    path, _ = checkpoint.latest_valid(run.checkpoints)
    if path is None:
        return Progress()
    return Progress.from_state(checkpoint.load(path, setup.model, setup.optimizer))


def _steps(run: Run, setup: Setup, progress: Progress, stop: Callable[[], bool]) -> Iterator[Event]:
    """Step until the end; returns why it ended."""
    recipe = setup.recipe
    started = time.monotonic() - progress.seconds
    setup.model.train()
    while progress.step < setup.total_steps:
        epoch_batches = batches(setup.train, recipe.batch.tokens, seed=recipe.seed, epoch=progress.epoch,
                                join=recipe.data.join, longest=recipe.batch.max_tokens_per_side)
        for batch in epoch_batches:
            if batch.position < progress.position:
                continue  # taken before the resume
            if stop():
                return "stopped"
            if 0 < recipe.schedule.max_seconds <= progress.seconds:
                return "time limit"
            if progress.step >= setup.total_steps:
                return "completed"
            before = time.monotonic()
            loss, norm, rate, tokens = _step(setup, progress.step + 1, batch)
            progress.step, progress.position = progress.step + 1, batch.position + 1
            progress.fraction = progress.epoch + progress.position / batch.count
            progress.seconds = time.monotonic() - started
            yield StepDone(progress.step, setup.total_steps, progress.fraction, loss, rate, norm,
                           tokens / max(1e-9, time.monotonic() - before), progress.seconds)
            if progress.step % recipe.evaluation.every_steps == 0:
                yield from _evaluate(run, setup, progress)
                if 0 < recipe.evaluation.patience <= progress.evaluations_without_gain:
                    return "early stop"
        progress.epoch, progress.position = progress.epoch + 1, 0
    return "completed"


def _step(setup: Setup, step: int, batch: Batch) -> tuple[float, float, float, int]:
    """One optimizer step: forward, backward, clip, update. Returns loss, gradient norm, rate and target tokens."""
    recipe, model, optimizer = setup.recipe, setup.model, setup.optimizer
    rate = recipe.optimizer.lr * factor(recipe.schedule, step, setup.total_steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
    with _own_randomness(recipe.seed, step, setup.device), _precision(setup.device):
        loss, tokens = loss_of(model, batch, setup.device, recipe.optimizer.label_smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    clip = recipe.optimizer.clip_norm or math.inf
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    loss_value, norm_value = loss.item(), norm.item()
    if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
        raise NonFinite(f"step {step}: loss {loss_value}, gradient norm {norm_value} at learning rate {rate:.3g}; the "
                        f"step was not taken. Training rows of the batch: {batch.rows[:8]}"
                        f"{' …' if len(batch.rows) > 8 else ''}. Try a lower optimizer.lr")
    optimizer.step()
    return loss_value, norm_value, rate, tokens


def _evaluate(run: Run, setup: Setup, progress: Progress) -> Iterator[Event]:
    """Look at the validation rows, then save a checkpoint."""
    evaluation = setup.recipe.evaluation
    began = time.monotonic()
    loss = validation_loss(setup.model, setup.validation, setup.device)
    rows = setup.texts["validation"][: evaluation.rows]
    metrics = metrics_of(setup.model, setup.tokenizer, rows, [evaluation.metric], setup.device) if rows else {}
    if loss < progress.best_loss:
        progress.best_loss, progress.best_step, progress.evaluations_without_gain = loss, progress.step, 0
    else:
        progress.evaluations_without_gain += 1
    progress.evaluated_step = progress.step
    progress.seconds += time.monotonic() - began
    yield Evaluated(progress.step, progress.fraction, loss, metrics)
    path = checkpoint.save(run.checkpoints, progress.step, setup.model, setup.optimizer, progress.to_state())
    keep = max(evaluation.keep_last, evaluation.average_last)
    checkpoint.prune(run.checkpoints, keep, progress.best_step)
    yield CheckpointSaved(progress.step, str(path))


@contextmanager
def _own_randomness(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Randomness that is a function of seed and step, and leaves the generator of other cells as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed((seed * 1_000_003 + step) % 2**63)
        yield


def _precision(device: torch.device) -> Any:
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
