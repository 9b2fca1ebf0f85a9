"""What a search came to: the best settings, the run that was kept, and every trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_magics.display import theme
from llm_magics.display.html import Node, el
from llm_magics.display.progress import duration
from llm_magics.display.result import Provenance, Result, provenance_note
from llm_magics.display.tuning_board import Board, Trial, tuning_node
from llm_magics.extras import require
from llm_magics.training.run.events import Finished

if TYPE_CHECKING:
    from llm_magics.training.runs.runs import Run
    from llm_magics.training.tuning.study import Study

__all__ = ["TuningResult"]


@dataclass(frozen=True, kw_only=True, repr=False)
class TuningResult(Result):
    """What a search found; the best model is usable as `model` wherever a model is asked for."""

    name: str
    reason: str
    """"completed", "stopped", "time limit" or "nothing new to try"."""
    board: Board
    """Every trial, and what matters."""
    run: str | None
    """The run that was kept; None when no trial was completed."""
    metrics: dict[str, float]
    """Of the kept model on the test rows (the validation rows, where there are none)."""
    seconds: float
    """Time of this search, without what came before it was resumed."""
    note: str = ""
    """Why the best trial could not be kept."""
    provenance: Provenance

    @classmethod
    def of(
        cls,
        board: Board,
        reason: str,
        kept: Run | None,
        seconds: float,
        study: Study,
        note: str = "",
    ) -> TuningResult:
        """The result of a search that has ended."""
        ends = [event for event in kept.events() if isinstance(event, Finished)] if kept else []
        settings = study.settings
        provenance = Provenance(
            model=f"run:{study.name}" if kept else study.name,
            seed=settings.seed,
            seconds=seconds,
            why=(
                f"the best of {len(board.trials)} trials by {settings.metric} on the validation "
                "rows"
            ),
            parameters=dict(board.best.settings) if board.best else {},
        )
        return cls(
            name=study.name,
            reason=reason,
            board=board,
            run=kept.name if kept else None,
            metrics=ends[-1].metrics if ends else {},
            seconds=seconds,
            note=note,
            provenance=provenance,
        )

    @property
    def best(self) -> Trial | None:
        """The best of the complete trials."""
        return self.board.best

    @property
    def settings(self) -> dict[str, object]:
        """The settings of the best trial, as `overrides` of a training take them; empty without
        one."""
        return dict(self.best.settings) if self.best else {}

    @property
    def value(self) -> float | None:
        """The metric of the best trial on the validation rows."""
        return self.best.value if self.best else None

    @property
    def model(self) -> str | None:
        """The model reference, run:NAME."""
        return f"run:{self.run}" if self.run else None

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial, in order."""
        return self.board.trials

    @property
    def importance(self) -> dict[str, float]:
        """Each setting's share in what makes trials differ."""
        return dict(self.board.importance)

    @property
    def text(self) -> str:
        """One line for people."""
        scores = ", ".join(
            f"{name.replace('_', ' ')} {value:.4g}" for name, value in self.metrics.items()
        )
        kept = (
            f"; kept as {self.model}" + (f", on held-out rows {scores}" if scores else "")
            if self.run
            else ""
        )
        note = f"; {self.note}" if self.note else ""
        return f"{self.board.summary()}; {self.reason} after {duration(self.seconds)}{kept}{note}"

    def plain(self) -> str:
        """The line and the table of trials."""
        return f"{self.text}\n\n{self.board.table().text()}"

    def __repr__(self) -> str:
        return f"TuningResult({self.text!r})"

    def to_pandas(self) -> Any:
        """The trials as a data frame, a column a setting; needs pandas."""
        require("pandas", extra="pandas", what="to_pandas()")
        import pandas

        return pandas.DataFrame(
            [
                {
                    "trial": trial.number,
                    "state": trial.state,
                    self.board.metric: trial.value,
                    **trial.settings,
                    "step": trial.step,
                    "seconds": trial.seconds,
                }
                for trial in self.trials
            ]
        )

    def node(self) -> Node:
        """The line above, curves, importance, parallel coordinates and the table."""
        more = "" if self.reason == "completed" else f"go on: %tune --resume {self.name}"
        return el(
            "div",
            {"style": theme.BOX},
            el("div", {}, self.text),
            tuning_node(self.board),
            el("div", {"style": theme.NOTE}, more) if more else None,
            provenance_note(self.provenance),
        )
