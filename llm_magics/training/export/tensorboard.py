"""The record of a run as TensorBoard's event files."""

from __future__ import annotations

import json
from pathlib import Path

from llm_magics.errors import TrainingError
from llm_magics.extras import install_hint
from llm_magics.training.export.card import without_places
from llm_magics.training.run.events import Evaluated, Event, Finished, LayersSeen, Sampled, StepDone
from llm_magics.training.runs.runs import Run

__all__ = ["write_events"]


def write_events(run: Run, folder: Path) -> None:
    """Losses, rates, gradient norms, metrics and layers as scalars, samples and the recipe as text.

    Scalars: loss/train, loss/validation, rate/learning_rate, rate/gradient_norm, rate/tokens_per_s,
    batch/padding, validation/METRIC, held_out/METRIC, and per layer gradient_norm/,
    activation_mean/ and activation_std/LAYER. Times are those of the training. Raises TrainingError
    when the library is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainingError(
            "event files are written by the library tensorboard, which is not installed: "
            f"{install_hint('tensorboard')}"
        ) from None
    began_s = (run.folder / "recipe.json").stat().st_mtime
    writer = SummaryWriter(str(folder))
    try:
        writer.add_text("recipe", _recipe_text(run), 0, began_s)
        seconds = 0.0
        for event in run.events():
            seconds = getattr(
                event, "seconds", seconds
            )  # an evaluation has none: it is taken to be at its step's
            for tag, value in _scalars(event):
                writer.add_scalar(tag, value, event.step, began_s + seconds)
            if isinstance(event, Sampled):
                writer.add_text("samples", _samples_text(event), event.step, began_s + seconds)
    finally:
        writer.close()
    for number, path in enumerate(
        sorted(folder.glob("events.out.tfevents.*"))
    ):  # its own name holds that of the machine
        path.rename(folder / f"events.out.tfevents.{began_s:.0f}.{number}.llm-magics")


def _scalars(event: Event) -> list[tuple[str, float]]:
    match event:
        case StepDone():
            return [
                ("loss/train", event.loss),
                ("rate/learning_rate", event.learning_rate),
                ("rate/gradient_norm", event.grad_norm),
                ("rate/tokens_per_s", event.tokens_per_s),
                ("batch/padding", event.padding),
            ]
        case Evaluated():
            return [
                ("loss/validation", event.loss),
                *((f"validation/{name}", value) for name, value in event.metrics.items()),
            ]
        case Finished():
            return [(f"held_out/{name}", value) for name, value in event.metrics.items()]
        case LayersSeen():
            groups = {
                "gradient_norm": event.gradient_norm,
                "activation_mean": event.activation_mean,
                "activation_std": event.activation_std,
            }
            return [
                (f"{group}/{layer}", value)
                for group, values in groups.items()
                for layer, value in zip(event.layers, values, strict=True)
                if value is not None
            ]
    return []


def _samples_text(event: Sampled) -> str:
    """A table in Markdown."""
    rows = [[sample.given, sample.predicted, sample.expected] for sample in event.samples]
    lines = [["given", "predicted", "expected"], ["---"] * 3, *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in line) + " |"
        for line in lines
    )


def _recipe_text(run: Run) -> str:
    """The recipe as indented text, which Markdown shows as it is."""
    text = json.dumps(without_places(run.recipe()), indent=1, ensure_ascii=False)
    return "\n".join(f"    {line}" for line in text.splitlines())
