"""How a recipe's setting is declared: default, range, to whom it means something, and its option.

    lr: float = setting(1e-3, above=0, option="--lr", typed=(1e-12, 1e3))

All else that is said about settings (checks, messages, options of `%train`) is read from these
declarations by `declared`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from llm_magics.training.recipe.recipe import Recipe

__all__ = ["Scope", "Setting", "declared", "kind_of_training", "setting", "table", "value_of"]

SCRATCH, BEGUN, FINE_TUNED, MODULE = "scratch", "begun", "fine-tuned", "module"
"""A model built from scratch, one begun with the model of another run, a transformers model that is
fine-tuned, a module of the notebook: every training is one of these."""
NATIVE = (SCRATCH, BEGUN)


@dataclass(frozen=True)
class Scope:
    """To which trainings a setting means something; an empty tuple: to all of them."""

    of: str
    """What has such a setting, in words."""
    kinds: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()

    def covers(self, recipe: Recipe) -> bool:
        """Whether the setting means something to the recipe's training."""
        kind = kind_of_training(recipe)
        return all(
            not wanted or value in wanted
            for value, wanted in (
                (kind, self.kinds),
                (recipe.task, self.tasks),
                (recipe.optimizer.name, self.optimizers),
                (recipe.model.architecture if kind in NATIVE else "", self.architectures),
            )
        )


@dataclass(frozen=True)
class Setting:
    """What is declared about one setting, or about a table of them."""

    one_of: tuple[str, ...] = ()
    """The values there are; none: any of its type."""
    above: float | None = None
    """The value is a finite number above this one."""
    share: bool = False
    """The value is from 0 to below 1."""
    scope: Scope | None = None
    """To which trainings it means something; None: as its table, or to all."""
    option: str = ""
    """The option of `%train` that sets it, such as "--lr"."""
    typed: tuple[float, float] | None = None
    """What the option takes, from and to; None: whatever the setting takes."""
    parse: Callable[[str], str] | None = None
    """From any spelling of the value to the one that is kept."""


_NOTHING = Setting()


def setting(
    default: Any = MISSING,
    *,
    make: Callable[[], Any] | None = None,
    one_of: tuple[str, ...] = (),
    above: float | None = None,
    share: bool = False,
    scope: Scope | None = None,
    option: str = "",
    typed: tuple[float, float] | None = None,
    parse: Callable[[str], str] | None = None,
) -> Any:
    """A field of a recipe's dataclass; `make` makes a default that is not one value."""
    metadata = {"setting": Setting(one_of, above, share, scope, option, typed, parse)}
    if make is not None:
        return field(default_factory=make, metadata=metadata)
    return field(default=default, metadata=metadata)


def table(of: type, scope: Scope | None = None) -> Any:
    """A field that holds a table of settings; `scope` is that of all which declare none."""
    return setting(make=of, scope=scope)


def declared(cls: type) -> dict[str, Setting]:
    """Dotted name → declaration, of every setting and table of the recipe class `cls`."""
    return dict(_declared(cls, ""))


def _declared(cls: type, prefix: str) -> Iterator[tuple[str, Setting]]:
    types: Mapping[str, Any] = get_type_hints(cls)
    for one in fields(cls):
        yield prefix + one.name, one.metadata.get("setting", _NOTHING)
        if is_dataclass(types[one.name]):
            yield from _declared(types[one.name], f"{prefix}{one.name}.")


def value_of(recipe: Recipe, dotted: str) -> Any:
    """The value of a setting by its dotted name."""
    value: Any = recipe
    for name in dotted.split("."):
        value = getattr(value, name)
    return value


def kind_of_training(recipe: Recipe) -> str:
    """`SCRATCH`, `BEGUN`, `FINE_TUNED` or `MODULE`."""
    if recipe.task == "custom":
        return MODULE
    return FINE_TUNED if recipe.model.reference else BEGUN if recipe.model.from_run else SCRATCH
