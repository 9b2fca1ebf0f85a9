"""Start a training in a worker thread and hold on to it."""

from __future__ import annotations

import shutil
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import llm_magics
from llm_magics.errors import LLMMagicsError, TrainingError
from llm_magics.training.run.control import Control
from llm_magics.training.run.events import Event, Failed, StepDone
from llm_magics.training.run.loop import train
from llm_magics.training.run.result import TrainingResult, result_of
from llm_magics.training.run.setup import Given
from llm_magics.training.run.worker import Worker
from llm_magics.training.runs.runs import Recorder, Run

__all__ = ["TrainingRun", "start"]

_NOT_THE_NOTEBOOK = (
    Path(llm_magics.__file__).parent,
    Path(sysconfig.get_path("stdlib")),
    Path(sysconfig.get_path("purelib")),
)


class TrainingRun(Worker):
    """A training in a worker thread. The run directory is the truth; this is a handle on it."""

    def __init__(
        self,
        run: Run,
        device: str,
        given: Given,
        on_event: Callable[[Event], None] | None,
        is_new: bool = False,
        longer: Mapping[str, Any] | None = None,
    ) -> None:
        self.run, self.name, self._is_new, self._longer = run, run.name, is_new, longer
        self.control = Control()
        self._on_event, self._device, self._given = on_event, device, given
        self.began = False
        """Whether a training began; where not, the files of the run are what they were, or were
        never kept."""
        super().__init__(f"train {run.name}")

    def __repr__(self) -> str:
        state = (
            "failed"
            if self.error
            else "ended"
            if self.done
            else "stopping"
            if self.stopping
            else "paused"
            if self.control.paused
            else "training"
        )
        return f"run:{self.name}, {state}; files in {self.run.folder}"

    def stop(self) -> None:
        """Ask the training to end after the current step; it saves a checkpoint and the model
        first."""
        self.control.stop()

    def pause(self) -> None:
        """Ask the training to wait after the current step; it saves a checkpoint first."""
        self.control.pause()

    def resume(self) -> None:
        """Go on after a pause."""
        self.control.resume()

    def checkpoint(self) -> None:
        """Save a checkpoint after the current step."""
        self.control.checkpoint()

    def set_rate_factor(self, factor: float) -> None:
        """Train on with the recipe's learning rate times `factor`; InputError unless it is a number
        above 0."""
        self.control.set_rate_factor(factor)

    @property
    def stopping(self) -> bool:
        return self.control.stopping and not self.done

    @property
    def result(self) -> TrainingResult:
        """Wait for the end and return what it came to; raises what went wrong."""
        self._wait_for_success()
        return result_of(self.run)

    def _start(self) -> TrainingRun:
        self._thread.start()
        return self

    def _work(self) -> None:
        recorder, stepped = Recorder(self.run), False
        try:
            for event in train(
                self.run,
                device=self._device,
                control=self.control,
                given=self._given,
                longer=self._longer,
            ):
                self.began, stepped = True, stepped or isinstance(event, StepDone)
                recorder.add(event)
                self._tell(event)
        except LLMMagicsError as error:
            self._error = error
        except BaseException as error:  # noqa: BLE001 - a thread's error must reach whoever waits for it
            message = " ".join(str(error).split())
            self._error = TrainingError(
                f"run {self.name} failed: {type(error).__name__}: {message}{_place_of(error)}"
            )
            self._error.__cause__ = error
        finally:
            if self._is_new and not stepped and self._error is not None:
                self.began = False
                shutil.rmtree(
                    self.run.folder, ignore_errors=True
                )  # nothing was trained; the name is free again
            elif self._error is not None and self.began:
                self.run.append(Failed(str(self._error)))
            self._done.set()

    def _tell(self, event: Event) -> None:
        """A watcher that fails is let go; the training goes on."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:  # noqa: BLE001 - a broken view must not cost a training
            self._on_event = None


def start(
    run: Run,
    *,
    device: str,
    given: Given | None = None,
    on_event: Callable[[Event], None] | None = None,
    is_new: bool = False,
    longer: Mapping[str, Any] | None = None,
) -> TrainingRun:
    """Train `run` in a worker thread; `on_event` is called there with every event.

    is_new: the run was made for this call; its folder goes again when an error comes before its
    first step. longer: dotted settings of a later end (see `prolong.ENDS`).
    """
    return TrainingRun(run, device, given or Given(), on_event, is_new, longer)._start()


def _place_of(error: BaseException) -> str:
    """Where in the notebook's own code (a module, a loss, a dataset) the error came from; "" where
    it came from ours."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith("<frozen") and not set(Path(frame.filename).parents) & set(
            _NOT_THE_NOTEBOOK
        ):
            return (
                f" (in {frame.name}, line {frame.lineno}: {frame.line})"
                if frame.line
                else f" (in {frame.name})"
            )
    return ""
