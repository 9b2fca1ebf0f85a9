"""A search for settings in a worker thread: one trial after the other, each a run on the normal
loop.

Nothing of a search lives in the kernel alone. A trial that a stop or a crash cut short goes on,
with its number and its settings, from its checkpoint; the settings of trial n are a function of the
seed and of the trials before it.
"""

from __future__ import annotations

import math
import random
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from llm_magics.display.tuning_board import LIVE_STATES, Board, Trial
from llm_magics.errors import LLMMagicsError, RecipeError, RunError, TrainingError
from llm_magics.training.run.setup import Given
from llm_magics.training.run.worker import Worker
from llm_magics.training.runs.runs import Run
from llm_magics.training.tuning.keep import drop_weights, keep_best
from llm_magics.training.tuning.result import TuningResult
from llm_magics.training.tuning.study import (
    Study,
    import_optuna,
    importance_of,
    shown_trials,
    trial_of,
)
from llm_magics.training.tuning.trial import TrialTraining

__all__ = ["TuningRun"]

_TELL_EVERY_S = 0.5
_MOST_VOID = 50
"""Settings in a row that were trained already or contradict themselves, before the search is taken
to be over."""
_MOST_LISTED = 5_000
"""Combinations of a space that are gone through one by one."""
_MOST_FAILED = 3
"""Trials at the start that may fail, before that is taken to be the fault of what they have in
common."""


class TuningRun(Worker):
    """A search in a worker thread. The study's directory is the truth; this is a handle on it.

    given_of: from a trial's run to the objects of the notebook that it needs. on_board is called in
    the worker thread whenever there is something new to see, on_kept when the best run is in its
    place. is_new: the study was made for this search; it goes again when an error ends the search
    before any trial has.
    """

    def __init__(
        self,
        study: Study,
        runs_root: Path,
        *,
        device: str = "cpu",
        max_seconds: float = 0.0,
        given_of: Callable[[Run], Given] = lambda run: Given(),
        on_board: Callable[[Board], None] | None = None,
        on_kept: Callable[[Run], object] = lambda run: None,
        is_new: bool = False,
    ) -> None:
        self.study, self.name, self._is_new = study, study.name, is_new
        self._runs_root, self._device, self._given_of, self._on_kept = (
            runs_root,
            device,
            given_of,
            on_kept,
        )
        self._ends_s = time.monotonic() + max_seconds if max_seconds else math.inf
        self._watchers = [on_board] if on_board else []
        self._lock = threading.RLock()
        self._trials: dict[int, Trial] = {}
        self._importance: dict[str, float] = {}
        self._unwanted: set[int] = set()
        self._current: TrialTraining | None = None
        self._stop, self._is_first = False, True
        self._told_s = -math.inf
        self._result: TuningResult | None = None
        super().__init__(f"tune {self.name}")

    def __repr__(self) -> str:
        state = (
            "failed"
            if self.error
            else "ended"
            if self.done
            else "stopping"
            if self.stopping
            else "searching"
        )
        return f"study {self.name}, {state}; files in {self.study.folder}"

    def start(self) -> TuningRun:
        """Begin; returns at once."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the search after the current step; the trial under way saves a checkpoint and can be
        taken up again."""
        with self._lock:
            self._stop = True
            if self._current is not None:
                self._current.control.checkpoint()

    def stop_trial(self, number: int) -> None:
        """End one trial, which is then not taken up again; nothing happens to one that has
        ended."""
        with self._lock:
            trial = self._trials.get(number)
            if trial is None or trial.state not in LIVE_STATES:
                return
            self._unwanted.add(number)
            if trial.state == "running" and self._current is not None:
                self._current.control.checkpoint()

    def watch(self, on_board: Callable[[Board], None]) -> None:
        """Call `on_board` at once, and from now on."""
        on_board(self.board())
        self._watchers.append(on_board)

    def board(self) -> Board:
        """The trials as they are now."""
        with self._lock:
            trials, importance = (
                tuple(self._trials[n] for n in sorted(self._trials)),
                dict(self._importance),
            )
        return self.study.board_of(trials, importance)

    @property
    def stopping(self) -> bool:
        return self._stop and not self.done

    @property
    def result(self) -> TuningResult:
        """Wait for the end and return what was found; raises what went wrong."""
        self._wait_for_success()
        return self._result

    def _work(self) -> None:
        try:
            with self.study.locked():
                began = time.monotonic()
                reason = self._search(self.study.opened())
                self._result = self._kept(reason, began)
        except LLMMagicsError as error:
            self._error = error
        except BaseException as error:  # noqa: BLE001 - a thread's error must reach whoever waits for it
            self._error = TrainingError(
                f"study {self.name} failed: {type(error).__name__}: {error}"
            )
            self._error.__cause__ = error
        finally:
            if (
                self._is_new
                and self._error is not None
                and not any(one.value is not None for one in self._trials.values())
            ):
                shutil.rmtree(
                    self.study.folder, ignore_errors=True
                )  # nothing was found; the name is free again
            self._done.set()
            self._tell(force=True)

    def _kept(self, reason: str, began: float) -> TuningResult:
        board, kept, note = self.board(), None, ""
        try:
            kept = keep_best(self.study, board.best, self._runs_root, self._device, self._given_of)
        except RunError as error:  # what was found is worth showing all the same
            note = str(error)
        if kept is not None:
            self._on_kept(kept)
            self._drop_weights(None)
        return TuningResult.of(board, reason, kept, time.monotonic() - began, self.study, note)

    def _search(self, study: Any) -> str:
        """Trial after trial; returns why it ended."""
        optuna = import_optuna()
        for frozen in shown_trials(study):
            self._show(trial_of(self.study, frozen))
        interrupted = [
            one for one in study.get_trials(deepcopy=False) if one.state.name == "RUNNING"
        ]
        self._enqueue_first(study)
        void = 0
        while not self._over():
            # number, settings and evaluations stay; only what came after the checkpoint is done
            # again
            if interrupted:
                trial = optuna.trial.Trial(study, interrupted.pop(0)._trial_id)
            elif len(self._ended()) >= self.study.settings.trials:
                return "completed"
            else:
                study.sampler = self._sampler(optuna, len(study.get_trials(deepcopy=False)))
                trial = study.ask()
            problem = self._problem(study, trial, self.study.space.suggest(trial))
            void = void + 1 if problem else 0
            if not problem:
                self._train(study, trial)
                continue
            self._end(study, trial, "void", problem)
            if void >= _MOST_VOID or not self._enqueue_untried(study):
                return "nothing new to try"
        return "stopped" if self._stop else "time limit"

    def _sampler(self, optuna: Any, count: int) -> Any:
        """A sampler of its own for every trial: one that began anew after a restart would draw the
        same again."""
        settings = self.study.settings
        return optuna.samplers.TPESampler(
            seed=(settings.seed * 1_000_003 + count) % 2**32,
            n_startup_trials=min(10, max(4, settings.trials // 4)),
        )

    def _ended(self) -> list[Trial]:
        return [
            trial
            for trial in self._trials.values()
            if trial.state not in (*LIVE_STATES, "interrupted")
        ]

    def _over(self) -> bool:
        return self._stop or time.monotonic() >= self._ends_s

    def _enqueue_first(self, study: Any) -> None:
        """The recipe's own settings come first, for comparison; a space small enough is tried as a
        whole."""
        space = self.study.space
        if study.get_trials(deepcopy=False):
            return
        own = space.own_settings(self.study.recipe)
        first = [own] if own else []
        if space.size() <= self.study.settings.trials:
            first += [
                settings
                for settings in space.grid()
                if settings != own and not self._contradiction(settings)
            ]
        for settings in first:
            study.enqueue_trial(space.stored(settings))
        for frozen in study.get_trials(deepcopy=False):
            self._show(trial_of(self.study, frozen))

    def _enqueue_untried(self, study: Any) -> bool:
        """Of a space that can be listed, one of the combinations left is to come next; False when
        none is left."""
        space = self.study.space
        if space.size() > _MOST_LISTED:
            return True
        trials = study.get_trials(deepcopy=False)
        if any(one.state.name == "WAITING" for one in trials):
            return True
        tried = [one.params for one in trials]
        left = [
            settings
            for settings in space.grid()
            if space.stored(settings) not in tried and not self._contradiction(settings)
        ]
        if left:
            study.enqueue_trial(
                space.stored(
                    random.Random(f"{self.study.settings.seed} {len(trials)}").choice(left)
                )
            )
        return bool(left)

    def _contradiction(self, settings: dict[str, Any]) -> str:
        try:
            self.study.recipe.with_settings(settings)
        except RecipeError as error:
            return str(error)
        return ""

    def _problem(self, study: Any, trial: Any, settings: dict[str, Any]) -> str:
        """Why these settings need no training: they contradict themselves, or were trained already;
        "" if they do."""
        problem = self._contradiction(settings)
        if problem:
            return problem
        twin = next(
            (
                one
                for one in shown_trials(study)
                if one.number < trial.number and one.params == trial.params
            ),
            None,
        )
        return f"the settings of t{twin.number:03d}" if twin else ""

    def _train(self, study: Any, trial: Any) -> None:
        """Train one trial and tell optuna how it ended."""
        number = trial.number
        seen = replace(
            trial_of(self.study, study.get_trials(deepcopy=False)[number]), state="running"
        )

        def ending() -> str:
            return "stopped" if number in self._unwanted else "interrupted" if self._over() else ""

        with self._lock:
            self._current = training = TrialTraining(
                self.study,
                trial,
                seen,
                device=self._device,
                given_of=self._given_of,
                show=self._show,
                ending=ending,
            )
            self._show(seen, True)
        try:
            state, note = ("skipped", "") if number in self._unwanted else training.train()
        finally:
            with self._lock:
                self._current = None
        first, self._is_first = self._is_first, False
        if first and training.error is not None and training.fails_all():
            raise training.error
        if state == "interrupted":
            self._show(replace(training.seen, state=state), True)
        else:
            self._end(study, trial, state, note)
        self._drop_weights(self.board().best)
        ended = self._ended()
        if len(ended) == _MOST_FAILED and all(one.state == "failed" for one in ended):
            raise TrainingError(
                f"the first {_MOST_FAILED} trials of study {self.name} failed; the last one: "
                f"{ended[-1].note}"
            )

    def _end(self, study: Any, trial: Any, state: str, note: str) -> None:
        """Write down how a trial ended."""
        states, value = (
            import_optuna().trial.TrialState,
            getattr(self._trials.get(trial.number), "value", None),
        )
        if state == "complete" and (value is None or math.isnan(value)):
            state, note = "failed", f"{self.study.settings.metric} is not a number"
        trial.set_user_attr("state", state)
        trial.set_user_attr("note", note)
        if state == "complete":
            study.tell(trial, value)
        # what a pruned trial reached says something about its settings; the others are left out of
        # account
        else:
            study.tell(
                trial,
                state=states.PRUNED
                if state in ("pruned", "stopped") and value is not None
                else states.FAIL,
            )
        with self._lock:
            if state == "void":
                self._trials.pop(trial.number, None)
                return
            self._trials[trial.number] = replace(self._trials[trial.number], state=state, note=note)
            self._importance = importance_of(study, tuple(self._trials.values()))
        self._tell(force=True)

    def _drop_weights(self, best: Trial | None) -> None:
        if not self.study.settings.keep_all:
            drop_weights(
                self.study,
                [trial for trial in self._ended() if best is None or trial.number != best.number],
            )

    def _show(self, trial: Trial, force: bool = False) -> None:
        with self._lock:
            self._trials[trial.number] = trial
        self._tell(force)

    def _tell(self, force: bool = False) -> None:
        """A watcher that fails is let go; the search goes on."""
        now = time.monotonic()
        if not self._watchers or (not force and now - self._told_s < _TELL_EVERY_S):
            return
        self._told_s, board = now, self.board()
        for watcher in list(self._watchers):
            try:
                watcher(board)
            except Exception:  # noqa: BLE001 - a broken view must not cost a search
                self._watchers.remove(watcher)
