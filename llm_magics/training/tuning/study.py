"""A study: one search for settings, a directory that outlives the kernel.

    <data root>/studies/NAME/
      tune.json            recipe, search space, pruning, metric, number of trials
      study.db             optuna's record of the trials (SQLite)
      trials/NAME-t007/    a run each, see runs.py
      lock, lock.holder    held by the process that searches, and who that is

The best run is copied to the runs, as run:NAME.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from llm_magics.display.charts.tuning import Axis
from llm_magics.display.tuning_board import FEWEST_FOR_PLOTS, Board, Trial
from llm_magics.errors import RecipeError, RunError
from llm_magics.extras import install_hint
from llm_magics.training.recipe.recipe import Recipe, recipe_from_dict
from llm_magics.training.run.events import Evaluated, Event, Finished, RunStarted, StepDone
from llm_magics.training.runs.runs import Run, checked_name
from llm_magics.training.tuning.space import Choices, Space

__all__ = [
    "Pruning",
    "Settings",
    "Study",
    "create_study",
    "curve_of",
    "find_study",
    "greater_is_better",
    "import_optuna",
    "importance_of",
    "list_studies",
    "shown_trials",
    "trial_of",
    "value_of",
]

_SMALLER_IS_BETTER = ("loss", "perplexity")
_STATES = {
    "WAITING": "queued",
    "RUNNING": "interrupted",
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
}


@dataclass(frozen=True)
class Pruning:
    """When a trial that does worse than others is ended early."""

    kind: str = "median"
    """"median" (worse than the median of the others at the same evaluation), "hyperband" or
    "none"."""
    warmup: int = 1
    """Evaluations of a trial before it may be ended."""
    startup: int = 4
    """median: complete trials before any is ended."""

    def __post_init__(self) -> None:
        if self.kind not in ("median", "hyperband", "none"):
            raise RecipeError(f"pruning.kind = {self.kind!r}: expected median, hyperband or none")
        for name in ("warmup", "startup"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise RecipeError(f"pruning.{name} = {value!r}: expected a whole number from 0")

    @classmethod
    def read(cls, said: Any) -> Pruning:
        """The [pruning] table of a cell. Raises RecipeError for unknown names."""
        if not isinstance(said, Mapping) or set(said) - {"kind", "warmup", "startup"}:
            raise RecipeError(f"[pruning] has kind, warmup and startup; got {said!r}")
        return cls(**said)


@dataclass(frozen=True)
class Settings:
    """What a search was asked to do; kept in tune.json."""

    recipe: dict[str, Any]
    """What all trials have in common, as `Recipe.to_dict` gives it."""
    search: dict[str, Any]
    """The [search] table."""
    pruning: Pruning = field(default_factory=Pruning)
    metric: str = "loss"
    """What is looked for: "loss" (of the validation rows), or one of the task's metrics on them."""
    trials: int = 20
    seed: int = 0
    """Of the choice of settings; the trials themselves all have the recipe's seed."""
    keep_all: bool = False
    """Keep the checkpoints of all trials, not only of the best."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Tells this study from another one of the same name."""
    said: dict[str, Any] = field(default_factory=dict)
    """The words of the cell for model, data, validation, test and loss; some may name objects of
    the notebook."""


def greater_is_better(metric: str) -> bool:
    """Whether a larger value of the metric is the better one."""
    return metric not in _SMALLER_IS_BETTER


@dataclass(frozen=True)
class Study:
    """One study's directory."""

    folder: Path

    def __repr__(self) -> str:
        return f"study {self.name}; files in {self.folder}"

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def trials_root(self) -> Path:
        """The folder of the trials' runs."""
        return self.folder / "trials"

    @cached_property
    def settings(self) -> Settings:
        """What was asked for."""
        document = json.loads((self.folder / "tune.json").read_text(encoding="utf-8"))
        return Settings(**{**document, "pruning": Pruning(**document["pruning"])})

    @cached_property
    def recipe(self) -> Recipe:
        """What all trials have in common."""
        return recipe_from_dict(self.settings.recipe)

    @cached_property
    def space(self) -> Space:
        """What is searched."""
        return Space.read(self.settings.search, self.recipe)

    def run_of(self, number: int) -> Run:
        """The run of a trial, there or not."""
        return Run(self.trials_root / f"{self.name}-t{number:03d}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the study for searching; RunError when another process does."""
        with ExitStack() as held:
            try:
                held.enter_context(Run(self.folder).locked())
            except RunError:
                raise RunError(
                    f"study {self.name} is being searched by another process; stop it there, or "
                    f"look at it by %tune --attach {self.name}"
                ) from None
            yield

    def busy(self) -> bool:
        """Whether a process, this or another, searches."""
        try:
            with self.locked():
                return False
        except RunError:
            return True

    def opened(self) -> Any:
        """The study as optuna's object. Raises RunError where optuna is not installed."""
        optuna = import_optuna()
        return optuna.load_study(
            study_name=self.name,
            storage=_storage(optuna, self.folder),
            pruner=_pruner(optuna, self.settings.pruning),
        )

    def board(self, opened: Any = None) -> Board:
        """Everything there is to see, read from the files; `opened` may be what an earlier
        `opened()` gave."""
        study, live = opened or self.opened(), self.busy()
        trials = tuple(trial_of(self, one, live) for one in shown_trials(study))
        return self.board_of(trials, importance_of(study, trials))

    def board_of(self, trials: tuple[Trial, ...], importance: Mapping[str, float]) -> Board:
        """The board of these trials."""
        axes = tuple(
            Axis(name, choices=one.of)
            if isinstance(one, Choices)
            else Axis(name, None, one.low, one.high, one.log)
            for name, one in self.space.dimensions.items()
        )
        metric = self.settings.metric
        return Board(
            self.name,
            metric,
            greater_is_better(metric),
            self.settings.trials,
            trials,
            axes,
            importance,
        )


def shown_trials(study: Any) -> list[Any]:
    """optuna's trials without the void ones: repeated and contradictory settings, which were not
    trained."""
    return [
        one for one in study.get_trials(deepcopy=False) if one.user_attrs.get("state") != "void"
    ]


def trial_of(study: Study, frozen: Any, live: bool = False) -> Trial:
    """A trial out of optuna's record and its run's; `live` while a process searches."""
    running = live and frozen.state.name == "RUNNING"
    state = frozen.user_attrs.get("state") or ("running" if running else _STATES[frozen.state.name])
    events = study.run_of(frozen.number).events()
    stored = frozen.params or frozen.system_attrs.get(
        "fixed_params", {}
    )  # of a trial that waits nothing was drawn yet
    return Trial(
        frozen.number,
        study.space.read_back(stored),
        state,
        note=frozen.user_attrs.get("note", ""),
        **curve_of(events, study.settings.metric),
    )


def value_of(event: Evaluated, metric: str) -> float:
    """What trials are compared by, at this evaluation."""
    return event.loss if metric == "loss" else event.metrics[metric]


def curve_of(events: list[Event], metric: str) -> dict[str, Any]:
    """Value, steps, losses and how far a run is, as fields of a Trial.

    The value is that of the lowest validation loss (of equal ones the first), whose weights are
    kept.
    """
    looks = [event for event in events if isinstance(event, Evaluated)]
    steps = [event for event in events if isinstance(event, StepDone)]
    ends = [event for event in events if isinstance(event, Finished)]
    last = steps[-1].step if steps else 0
    return {
        "value": value_of(min(looks, key=lambda event: event.loss), metric) if looks else None,
        "steps": tuple(event.step for event in looks),
        "losses": tuple(event.loss for event in looks),
        "step": max([last, *(event.step for event in looks[-1:] + ends[-1:])]),
        "total_steps": next(
            (event.total_steps for event in reversed(events) if isinstance(event, RunStarted)), 0
        ),
        "seconds": max(
            [steps[-1].seconds if steps else 0.0, *(event.seconds for event in ends[-1:])]
        ),
    }


def importance_of(study: Any, trials: tuple[Trial, ...]) -> dict[str, float]:
    """Each setting's share in what makes trials differ (PED-ANOVA, Watanabe et al. 2023); {} with
    too few trials.

    Settings that were never varied and values that do not differ leave nothing to explain.
    """
    values = {trial.value for trial in trials if trial.state == "complete"}
    if sum(trial.state == "complete" for trial in trials) < FEWEST_FOR_PLOTS or len(values) < 2:
        return {}
    importance = import_optuna().importance
    try:
        return dict(
            importance.get_param_importances(
                study, evaluator=importance.PedAnovaImportanceEvaluator()
            )
        )
    except (ValueError, RuntimeError):  # too few trials above the evaluator's threshold
        return {}


def import_optuna() -> Any:
    """optuna; RunError with what to install where it is not."""
    try:
        import optuna
    except ImportError:
        raise RunError(
            f"%tune searches with optuna, which is not installed: {install_hint('tune')}"
        ) from None
    return optuna


def _storage(optuna: Any, folder: Path) -> Any:
    url = f"sqlite:///{(folder / 'study.db').resolve()}"
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})


def _make_record(folder: Path, name: str, metric: str) -> None:
    """Write study.db, before anybody can look for it."""
    optuna = import_optuna()
    storage, before = _storage(optuna, folder), optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(
        optuna.logging.WARNING
    )  # it would tell of every study that is made
    try:
        optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize" if greater_is_better(metric) else "minimize",
        )
    finally:
        optuna.logging.set_verbosity(before)
        storage.engine.dispose()


def _pruner(optuna: Any, pruning: Pruning) -> Any:
    if pruning.kind == "none":
        return optuna.pruners.NopPruner()
    if pruning.kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=max(1, pruning.warmup))
    return optuna.pruners.MedianPruner(
        n_startup_trials=pruning.startup, n_warmup_steps=pruning.warmup
    )


def create_study(root: Path, name: str, settings: Settings) -> Study:
    """A new study under `root`. Raises RunError when there is one of this name, RecipeError for a
    bad search space."""
    checked_name(f"{checked_name(name)}-t000")
    Space.read(settings.search, recipe_from_dict(settings.recipe))
    import_optuna()
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    building = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    (building / "tune.json").write_text(json.dumps(asdict(settings), indent=1), encoding="utf-8")
    (building / "trials").mkdir()
    _make_record(building, name, settings.metric)
    try:
        return Study(
            building.rename(root / name)
        )  # a study appears whole; a filled folder is not replaced
    except OSError:
        shutil.rmtree(building)
        if not (root / name).exists():
            raise
        raise RunError(
            f"a study named {name!r} exists; go on with it by %tune --resume {name}, or choose "
            "another name"
        ) from None


def find_study(root: Path, name: str) -> Study:
    """The study of this name; RunError lists those there are."""
    if not (root / checked_name(name) / "tune.json").is_file():
        names = ", ".join(study.name for study in list_studies(root)) or "none yet"
        raise RunError(f"no study named {name!r}; studies: {names}")
    return Study(root / name)


def list_studies(root: Path) -> list[Study]:
    """Every study under `root`, by name."""
    return [Study(path.parent) for path in sorted(root.glob("[!.]*/tune.json"))]
