"""What a training came to: one result object, read from the run's record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llm_magics.display import theme
from llm_magics.display.html import Node, el
from llm_magics.display.progress import duration
from llm_magics.display.result import Provenance, Result, provenance_note
from llm_magics.errors import TrainingError
from llm_magics.training.run.events import Evaluated, Finished, RunStarted, StepDone
from llm_magics.training.runs.runs import Run

__all__ = ["TrainingResult", "result_of"]


_NO_PERCENTAGE = {"loss": ".4g", "perplexity": ".4g"}
_MAGICS = ("translate", "summarize")
"""Tasks whose magic uses a model trained for them."""


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainingResult(Result):
    """What a training came to; the model is usable as `model` wherever a model is asked for."""

    name: str
    reason: str
    """"completed", "time limit", "early stop" or "stopped"."""
    steps: int
    seconds: float
    metrics: dict[str, float]
    """Of the exported model on held-out rows, in percent (loss and perplexity as they are)."""
    losses: dict[str, list[tuple[int, float]]]
    """"train" and "validation": (step, loss)."""
    folder: Path
    use: str = ""
    """A line that uses the model, where a magic can."""
    provenance: Provenance

    @property
    def model(self) -> str:
        """The model reference, run:NAME."""
        return f"run:{self.name}"

    @property
    def text(self) -> str:
        """One line for people."""
        scores = ", ".join(
            f"{name.replace('_', ' ')} {value:{_NO_PERCENTAGE.get(name, '.1f')}}"
            for name, value in self.metrics.items()
        )
        return (
            f"{self.model}: {self.reason} at step {self.steps:,} after {duration(self.seconds)}"
            + (f"; on held-out rows {scores}" if scores else "")
        )

    def __repr__(self) -> str:
        return f"TrainingResult({self.text!r})"

    def node(self) -> Node:
        """The line above, and how to go on."""
        code = {"style": {"font-family": theme.MONO}}
        ways = [
            ("use it: ", self.use),
            ("look inside: ", f"%attention {self.model} TEXT" if self.use else ""),
        ]
        hints = [el("span", {}, what, el("code", code, line), " ") for what, line in ways if line]
        return el(
            "div",
            {"style": theme.BOX},
            el("div", {}, self.text),
            el("div", {"style": theme.NOTE}, *hints) if hints else None,
            provenance_note(self.provenance),
        )


def result_of(run: Run) -> TrainingResult:
    """The result as the run's record tells it; TrainingError if the run has not ended."""
    events = run.events()
    marks = [event for event in events if isinstance(event, RunStarted | Finished)]
    if not marks or not isinstance(
        marks[-1], Finished
    ):  # a run that was taken up again has an older end, too
        raise TrainingError(
            f"run {run.name} has not ended; go on with it by %train --resume {run.name}"
        )
    end, recipe = marks[-1], run.recipe()
    losses = {
        "train": [(e.step, e.loss) for e in events if isinstance(e, StepDone)],
        "validation": [(e.step, e.loss) for e in events if isinstance(e, Evaluated)],
    }
    begun = f", begun with run:{recipe.model.from_run}" if recipe.model.from_run else ""
    provenance = Provenance(
        model=f"run:{run.name}",
        why=f"trained by the recipe {recipe.name}{begun}",
        seed=recipe.seed,
        seconds=end.seconds,
        parameters={"steps": end.step, "metrics": end.metrics},
    )
    return TrainingResult(
        name=run.name,
        reason=end.reason,
        steps=end.step,
        seconds=end.seconds,
        metrics=end.metrics,
        losses=losses,
        folder=run.folder,
        provenance=provenance,
        use=f"%%{recipe.task} --model run:{run.name}" if recipe.task in _MAGICS else "",
    )
