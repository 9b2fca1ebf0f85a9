"""What happens during a training, as plain values. The loop yields them; whoever watches draws
them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields

__all__ = [
    "AttentionSeen",
    "BatchSplit",
    "CheckpointSaved",
    "CheckpointSkipped",
    "Evaluated",
    "Event",
    "Failed",
    "Finished",
    "LayersSeen",
    "Paused",
    "RateChanged",
    "Resumed",
    "RunStarted",
    "Sample",
    "Sampled",
    "StepDone",
    "from_record",
    "to_record",
]


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
    trainable: int = 0
    """Parameters that are trained; fewer than `parameters` with LoRA. 0 in old records: all."""
    notes: tuple[str, ...] = ()
    """What a person should know: rows left out, cleaning, a schedule that now runs longer, too few
    steps."""
    loss_unit: str = "nats a target"
    """Of every loss of the run, as it stands behind a number; "" for a loss that has none, such as
    mse."""


@dataclass(frozen=True)
class StepDone:
    """One optimizer step was taken."""

    step: int
    total_steps: int
    epoch: float
    loss: float
    """Mean over the targets of the step (with label smoothing, if the recipe has it)."""
    learning_rate: float
    grad_norm: float
    tokens_per_s: float
    """Targets (tokens, or rows of a classifier) a second in this step."""
    seconds: float
    """Training time of the run so far, over all its sessions."""
    padding: float = 0.0
    """Share of the batch's cells that were padding."""


@dataclass(frozen=True)
class LayersSeen:
    """One step looked at layer by layer: the forward pass (activations) and the backward pass
    (gradients)."""

    step: int
    layers: tuple[str, ...]
    """In the order of the model: "source_embedding", "encoder.layers.0", …"""
    activation_mean: tuple[float | None, ...]
    """Of each layer's output; None for what is no layer of its own."""
    activation_std: tuple[float | None, ...]
    gradient_norm: tuple[float, ...]
    """Of each layer's parameters, before clipping."""


@dataclass(frozen=True)
class Sample:
    """One held-out row and what the model makes of it now."""

    given: str
    predicted: str
    expected: str = ""


@dataclass(frozen=True)
class Sampled:
    """The same few held-out rows, at every evaluation."""

    step: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class AttentionSeen:
    """The attention of one fixed held-out row."""

    step: int
    kind: str
    """"cross" (rows: target tokens, columns: source tokens) or "self"."""
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    layers: int
    heads: int
    maps: str
    """Base64 of layers × heads × rows × columns bytes; a byte b stands for the weight (b /
    255)²."""


@dataclass(frozen=True)
class Evaluated:
    """The validation set was looked at."""

    step: int
    epoch: float
    loss: float
    """Mean over the targets of all validation rows, without label smoothing; `RunStarted.loss_unit`
    is its unit."""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointSaved:
    """A checkpoint is complete on disk."""

    step: int
    path: str


@dataclass(frozen=True)
class CheckpointSkipped:
    """A checkpoint was damaged and passed over when the run was resumed."""

    problem: str


@dataclass(frozen=True)
class BatchSplit:
    """Memory ran out: larger batches are now taken in parts, with the same sum of gradients."""

    step: int
    cells: int
    """Most tokens, padding included, that are put through the model at once from here on."""


@dataclass(frozen=True)
class Paused:
    """The training waits; a checkpoint was saved."""

    step: int


@dataclass(frozen=True)
class Resumed:
    """The training goes on after a pause."""

    step: int


@dataclass(frozen=True)
class RateChanged:
    """The learning rate of every later step is the recipe's times this factor."""

    step: int
    factor: float


@dataclass(frozen=True)
class Finished:
    """The last event of a training."""

    reason: str
    """"completed", "time limit", "early stop" or "stopped"."""
    step: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    """Of the exported model on held-out rows."""


@dataclass(frozen=True)
class Failed:
    """The training ended with an error; its last checkpoint stays valid."""

    problem: str


Event = (
    RunStarted
    | StepDone
    | LayersSeen
    | Sampled
    | AttentionSeen
    | Evaluated
    | CheckpointSaved
    | CheckpointSkipped
    | BatchSplit
    | Paused
    | Resumed
    | RateChanged
    | Finished
    | Failed
)
_CLASSES = {cls.__name__: cls for cls in Event.__args__}


def to_record(event: Event) -> dict[str, object]:
    """The event as a JSON object, its class under "event"."""
    return {"event": type(event).__name__, **asdict(event)}


def from_record(record: dict[str, object]) -> Event:
    """The event that `to_record` wrote; also one of an earlier version, which had fewer fields."""
    cls = _CLASSES[record["event"]]
    values = {f.name: _frozen(record[f.name]) for f in fields(cls) if f.name in record}
    if cls is Sampled:
        values["samples"] = tuple(Sample(**sample) for sample in values["samples"])
    return cls(**values)


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value  # JSON has no tuples
