"""One trial of a search: a run on the normal loop, whose evaluations are told to optuna."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llm_magics.display.tuning_board import Trial
from llm_magics.errors import DataError, LLMMagicsError, ModelError, NonFinite
from llm_magics.training.run.control import Control
from llm_magics.training.run.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    Finished,
    RunStarted,
    StepDone,
)
from llm_magics.training.run.loop import train
from llm_magics.training.run.setup import Given
from llm_magics.training.runs.runs import Recorder, Run, create_run
from llm_magics.training.tuning.study import Study, curve_of, value_of

__all__ = ["TrialTraining"]

_OF_THE_ROWS = ("data.", "cleaning.", "augmentation.", "batch.", "tokenizer.")
"""Tables whose settings may be at fault when the data cannot be read or used."""


class TrialTraining:
    """The training of one trial; `seen` is what there is to see of it.

    show is called with `seen` and whether that is worth an update at once; ending says after every
    event whether the trial is to end: "stopped", "interrupted" (it can be taken up again) or "".
    """

    def __init__(
        self,
        study: Study,
        trial: Any,
        seen: Trial,
        *,
        device: str,
        given_of: Callable[[Run], Given],
        show: Callable[[Trial, bool], None],
        ending: Callable[[], str],
    ) -> None:
        self.study, self.trial, self.seen, self.control = study, trial, seen, Control()
        self._device, self._given_of, self._show, self._ending = device, given_of, show, ending
        self._reported = seen.steps
        self.error: Exception | None = None
        """What ended the trial, if it failed."""

    def train(self) -> tuple[str, str]:
        """Train to the end, or to where the trial is pruned, stopped or interrupted; returns
        (state, note)."""
        try:
            return self._followed(), ""
        except Exception as error:  # noqa: BLE001 - whatever torch or the user's module raises ends this trial only
            self.error = error
            whole = isinstance(error, LLMMagicsError)
            return (
                "failed",
                (
                    f"{type(error).__name__}: "
                    f"{error if whole else (str(error).splitlines() or [''])[0][:200]}"
                ),
            )

    def fails_all(self) -> bool:
        """Whether every trial must meet this one's error: it came before the first step, from
        nothing that is searched."""
        searched = tuple(self.study.space.dimensions)
        if self.error is None or self.seen.step or isinstance(self.error, NonFinite):
            return False
        if isinstance(self.error, (DataError, ModelError)):
            return not any(name.startswith(_OF_THE_ROWS) for name in searched)
        return all(
            name.startswith(("optimizer.", "schedule.")) or name == "seed" for name in searched
        )

    def _followed(self) -> str:
        run = self.study.run_of(self.trial.number)
        if not (run.folder / "recipe.json").is_file():
            recipe = self.study.recipe.with_settings(self.study.space.suggest(self.trial))
            create_run(self.study.trials_root, recipe, run.name)
        recorder, pruned = Recorder(run), False
        events = train(
            run, device=self._device, control=self.control, given=self._given_of(run), exports=False
        )
        try:
            for event in events:
                recorder.add(event)
                self._see(event)
                if isinstance(event, Evaluated) and event.step not in self._reported:
                    pruned = self._report(event) and event.step < self.seen.total_steps
                ending = self._ending() or ("pruned" if pruned else "")
                if ending and isinstance(event, StepDone):
                    self.control.checkpoint()
                if ending and isinstance(event, (CheckpointSaved, RunStarted)):
                    if ending != "interrupted":
                        run.append(Finished(ending, self.seen.step, self.seen.seconds))
                    return ending
        finally:
            events.close()
        return "complete"

    def _see(self, event: Event) -> None:
        """Keep the picture of the trial up to date."""
        seen = self.seen
        if isinstance(event, RunStarted):
            if not event.validation_rows:
                raise DataError(
                    "a search needs held-out rows to compare trials by; name validation data, or "
                    "raise data.validation_share"
                )
            known = curve_of(
                self.study.run_of(self.trial.number).events(), self.study.settings.metric
            )
            seen = replace(
                seen, **{**known, "step": event.step}
            )  # without what came after the checkpoint
        elif isinstance(event, (StepDone, Finished)):
            seen = replace(seen, step=event.step, seconds=event.seconds)
        elif isinstance(event, Evaluated):
            lowest = not seen.losses or event.loss < min(seen.losses)
            seen = replace(
                seen,
                steps=(*seen.steps, event.step),
                losses=(*seen.losses, event.loss),
                value=value_of(event, self.study.settings.metric) if lowest else seen.value,
            )
        self._update(seen, isinstance(event, (RunStarted, Evaluated)))

    def _report(self, event: Evaluated) -> bool:
        """Tell optuna of an evaluation; whether the trial should be pruned.

        Evaluations are counted, so that trials with other batch sizes are compared at the same
        share of their training.
        """
        self.trial.report(value_of(event, self.study.settings.metric), len(self.seen.losses))
        return self.trial.should_prune()

    def _update(self, seen: Trial, force: bool) -> None:
        self.seen = seen
        self._show(seen, force)
