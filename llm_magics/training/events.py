"""What happens during a training, as plain values. The loop yields them; whoever watches draws them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

__all__ = ["CheckpointSaved", "Evaluated", "Event", "Finished", "RunStarted", "StepDone", "from_record", "to_record"]


@dataclass(frozen=True)
class RunStarted:
    """The data is read and the model built."""

    run: str
    step: int
    """Where the training goes on; 0 for a new run."""
    total_steps: int
    parameters: int
    train_rows: int
    validation_rows: int
    device: str


@dataclass(frozen=True)
class StepDone:
    """One optimizer step was taken."""

    step: int
    total_steps: int
    epoch: float
    loss: float
    """Mean over the target tokens of the step, in nats (with label smoothing, if the recipe has it)."""
    learning_rate: float
    grad_norm: float
    tokens_per_s: float
    """Target tokens a second since the last such event."""
    seconds: float
    """Training time of the run so far, over all its sessions."""


@dataclass(frozen=True)
class Evaluated:
    """The validation set was looked at."""

    step: int
    epoch: float
    loss: float
    """Cross-entropy in nats a target token, without label smoothing."""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointSaved:
    """A checkpoint is complete on disk."""

    step: int
    path: str


@dataclass(frozen=True)
class Finished:
    """The last event of a training."""

    reason: str
    """"completed", "time limit", "early stop" or "stopped"."""
    step: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    """Of the exported model on held-out rows."""


Event = RunStarted | StepDone | Evaluated | CheckpointSaved | Finished
_CLASSES = {cls.__name__: cls for cls in (RunStarted, StepDone, Evaluated, CheckpointSaved, Finished)}


def to_record(event: Event) -> dict[str, object]:
    """The event as a JSON object, its class under "event"."""
    return {"event": type(event).__name__, **asdict(event)}


def from_record(record: dict[str, object]) -> Event:
    """The event that `to_record` wrote."""
    return _CLASSES[record["event"]](**{k: v for k, v in record.items() if k != "event"})
