"""The settings that a search may choose: read from TOML, checked against the recipe, drawn by
optuna."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from llm_magics.errors import RecipeError
from llm_magics.training.recipe.recipe import Recipe

__all__ = ["Choices", "Range", "Space"]

_TRIES = 200
"""Combinations that are looked at before a value is said to fit with none of the others."""
_KNOWN = {"low", "high", "log", "step"}


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included; evenly, or evenly in their logarithm."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False
    """Whole numbers only, as the recipe's setting is one."""

    def suggest(self, trial: Any, name: str) -> Any:
        """What optuna chooses in this trial."""
        if self.whole:
            return trial.suggest_int(
                name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log
            )
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def stored(self, value: Any) -> Any:
        """`value` as optuna's storage holds it."""
        return value

    def values(self) -> Sequence[Any] | None:
        """Everything that can be chosen; None where that is not countable."""
        if self.whole:
            return range(int(self.low), int(self.high) + 1, int(self.step or 1))
        if self.step is None:
            return None
        return [
            self.low + i * self.step
            for i in range(math.floor((self.high - self.low) / self.step + 1e-9) + 1)
        ]

    def examples(self) -> list[Any]:
        """The ends, which a recipe must allow."""
        ends = [self.low, self.high]
        return [int(end) for end in ends] if self.whole else ends

    def holds(self, value: Any) -> bool:
        """Whether `value` can be chosen."""
        values = self.values()
        return self.low <= value <= self.high and (
            values is None or any(math.isclose(value, one) for one in values)
        )

    def __str__(self) -> str:
        return (
            f"{self.low:g} … "
            f"{self.high:g}{' (log)' if self.log else ''}{f' by {self.step:g}' if self.step else ''}"  # noqa: E501  a table or a pattern
        )


@dataclass(frozen=True)
class Choices:
    """One of several values."""

    of: tuple[Any, ...]
    log = False

    def suggest(self, trial: Any, name: str) -> Any:
        """What optuna chooses in this trial."""
        chosen = trial.suggest_categorical(name, [self.stored(value) for value in self.of])
        return next(value for value in self.of if _same(self.stored(value), chosen))

    def stored(self, value: Any) -> Any:
        """`value` as optuna's storage holds it: a list, such as Adam's betas, as its JSON."""
        return value if isinstance(value, (bool, int, float, str)) else json.dumps(value)

    def values(self) -> Sequence[Any]:
        """Everything that can be chosen."""
        return self.of

    def examples(self) -> list[Any]:
        """Everything that a recipe must allow."""
        return list(self.of)

    def holds(self, value: Any) -> bool:
        """Whether `value` can be chosen."""
        return any(_same(value, one) for one in self.of)

    def __str__(self) -> str:
        return ", ".join(map(str, self.of))


@dataclass(frozen=True)
class Space:
    """Dotted settings of a recipe, each with what may be chosen for it."""

    dimensions: Mapping[str, Range | Choices]

    @classmethod
    def read(cls, search: Mapping[str, Any], recipe: Recipe) -> Space:
        """The [search] table of a cell: ``{"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log":
        True}, …}``.

        A setting has a list of values, or a table with low, high and, if wanted, log = true or
        step. Raises RecipeError for what the recipe has no such setting for, or could never be
        trained with.
        """
        if not isinstance(search, Mapping) or not search:
            raise RecipeError(
                '[search] names no setting; write for example "optimizer.lr" = { low = 1e-4, '
                "high = 1e-2, "
                'log = true } or "model.dropout" = [0.0, 0.1, 0.3] below it'
            )
        space = cls({name: _dimension(name, said, recipe) for name, said in _flat(search).items()})
        space.check(recipe)
        return space

    def check(self, recipe: Recipe) -> None:
        """Raise RecipeError unless each value fits the recipe, alone or with some of the other
        values."""
        rng = random.Random(0)
        for name, dimension in self.dimensions.items():
            for value in dimension.examples():
                problem = _problem(recipe, {name: value})
                others = (self._some(rng) for _ in range(_TRIES if problem else 0))
                if problem and all(_problem(recipe, {**other, name: value}) for other in others):
                    raise problem

    def suggest(self, trial: Any) -> dict[str, Any]:
        """The settings of this trial."""
        return {name: dimension.suggest(trial, name) for name, dimension in self.dimensions.items()}

    def stored(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings as optuna's storage holds them."""
        return {name: self.dimensions[name].stored(value) for name, value in settings.items()}

    def read_back(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Settings out of optuna's storage."""
        kept = {name: dimension for name, dimension in self.dimensions.items() if name in stored}
        return {
            name: next(
                (v for v in dimension.of if _same(dimension.stored(v), stored[name])), stored[name]
            )
            if isinstance(dimension, Choices)
            else stored[name]
            for name, dimension in kept.items()
        }

    def size(self) -> float:
        """How many combinations there are; infinite where a setting is a real number."""
        counts = [dimension.values() for dimension in self.dimensions.values()]
        return math.inf if any(values is None for values in counts) else math.prod(map(len, counts))

    def grid(self) -> list[dict[str, Any]]:
        """Every combination, where there are finitely many."""
        values = [dimension.values() or [] for dimension in self.dimensions.values()]
        return [
            dict(zip(self.dimensions, combination, strict=True)) for combination in product(*values)
        ]

    def own_settings(self, recipe: Recipe) -> dict[str, Any] | None:
        """What the recipe itself says for these settings; None where that lies outside of the
        space."""
        own = {name: _setting(recipe, name) for name in self.dimensions}
        if not all(self.dimensions[name].holds(value) for name, value in own.items()):
            return None
        return {
            name: next((v for v in self.dimensions[name].of if _same(v, value)), value)
            if isinstance(self.dimensions[name], Choices)
            else value
            for name, value in own.items()
        }

    def _some(self, rng: random.Random) -> dict[str, Any]:
        return {
            name: rng.choice(dimension.values() or dimension.examples())
            for name, dimension in self.dimensions.items()
        }


def _flat(search: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names; TOML reads the line ``model.dropout = [0.1]`` as a table in a table."""
    flat = {}
    for name, said in search.items():
        if isinstance(said, Mapping) and not _KNOWN & set(said):
            flat |= _flat(said, f"{prefix}{name}.")
        else:
            flat[prefix + name] = said
    return flat


def _dimension(name: str, said: Any, recipe: Recipe) -> Range | Choices:
    if isinstance(said, (list, tuple)):
        if not said:
            raise RecipeError(f"search {name}: the list of values is empty")
        return Choices(tuple(said))
    if not isinstance(said, Mapping):
        raise RecipeError(
            f"search {name} = {said!r}: expected a list of values or a table such as {{ low = 1, "
            "high = 4 }; a setting that is not searched belongs in the recipe"
        )
    if set(said) - _KNOWN or not {"low", "high"} <= set(said):
        raise RecipeError(
            f"search {name}: expected low and high, and if wanted log = true or step; got "
            f"{', '.join(said) or 'nothing'}"
        )
    low, high, step, log = said["low"], said["high"], said.get("step"), said.get("log", False)
    numbers = [low, high, *([step] if step is not None else [])]
    if (
        any(
            isinstance(n, bool) or not isinstance(n, (int, float)) or not math.isfinite(n)
            for n in numbers
        )
        or low > high
    ):
        raise RecipeError(
            f"search {name}: low = {low!r}, high = {high!r}, step = {step!r}: expected numbers, "
            "low not above high"
        )
    if not isinstance(log, bool):
        raise RecipeError(f"search {name}: log = {log!r}: expected true or false")
    if (log and (low <= 0 or step is not None)) or (step is not None and step <= 0):
        raise RecipeError(
            f"search {name}: log = true needs low above 0 and no step; a step must be above 0"
        )
    _check_known(recipe, name, low)
    own = _setting(recipe, name)
    if isinstance(own, bool) or not isinstance(own, (int, float)):
        what = "a table of settings" if isinstance(own, Mapping) else repr(own)
        raise RecipeError(
            f"search {name}: {what} is no number, so a range makes no sense; give a list of values"
        )
    whole = isinstance(own, int)
    if whole and any(n != int(n) for n in numbers):
        raise RecipeError(
            f"search {name}: a whole number is wanted there, but low = {low}, high = {high}, "
            f"step = {step}"
        )
    return (
        Range(low, high, log, step, whole)
        if whole
        else Range(float(low), float(high), log, step and float(step))
    )


def _check_known(recipe: Recipe, name: str, value: Any) -> None:
    """RecipeError, with the nearest known one, unless the recipe has the setting."""
    try:
        _setting(recipe, name)
    except KeyError:
        raise _problem(recipe, {name: value}) or RecipeError(
            f"{name} is no single setting of a recipe"
        ) from None


def _setting(recipe: Recipe, name: str) -> Any:
    at: Any = recipe.to_dict()
    for part in name.split("."):
        if not isinstance(at, dict):
            raise KeyError(name)
        at = at[part]
    return at


def _problem(recipe: Recipe, settings: Mapping[str, Any]) -> RecipeError | None:
    try:
        recipe.with_settings(dict(settings))
    except RecipeError as error:
        return error
    except (AttributeError, TypeError):  # a setting of something that is no table
        return RecipeError(f"{', '.join(settings)} is no setting of a recipe")
    return None


def _same(one: Any, other: Any) -> bool:
    """Equal, a list and a tuple with equal members included, but not True and 1."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)
