"""A recipe: the TOML text that names data, tokenizer, model, optimizer, schedule and the published result."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from llm_magics.errors import RecipeError

__all__ = ["Recipe", "load_recipe", "parse_recipe", "recipe_from_dict", "shipped_recipes"]

_FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Data:
    source: str = "jsonl"
    """"number-words" (generated) or "jsonl" (files of one JSON object a line, plain or .gz)."""
    train: str = ""
    validation: str = ""
    test: str = ""
    """Files; a relative path is looked for in $LLM_MAGICS_DATA, then beside the notebook."""
    source_field: str = ""
    target_field: str = ""
    source_language: str = ""
    target_language: str = ""
    languages: tuple[str, ...] = ()
    """number-words only: the languages whose number words are read."""
    largest: int = 9_999
    """number-words only: numbers from 0 to this one."""
    join: float = 0.0
    """Share of training rows that get another row appended, so that longer inputs are seen."""
    seed: int = 0
    """Of the generated data and of the split; not of the training."""
    licence: str = ""
    attribution: str = ""
    """For the card of a model that is passed on."""


@dataclass(frozen=True)
class Tokenizer:
    kind: str = "bpe"
    """"bpe" (with byte fallback: no text is unknown)."""
    vocab_size: int = 4_000
    shared: bool = True
    """One vocabulary and one embedding matrix for both sides."""


@dataclass(frozen=True)
class Model:
    architecture: str = "transformer"
    d_model: int = 128
    nhead: int = 4
    num_encoder_layers: int = 3
    num_decoder_layers: int = 3
    dim_feedforward: int = 512
    dropout: float = 0.1
    norm_first: bool = True


@dataclass(frozen=True)
class Optimizer:
    name: str = "adamw"
    """"adamw", "adam", "momentum" or "sgd"."""
    lr: float = 1e-3
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.98)
    momentum: float = 0.9
    clip_norm: float = 1.0
    """Largest gradient norm; 0 switches clipping off."""
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Schedule:
    kind: str = "cosine"
    """"constant", "inverse_sqrt", "cosine"; each after a linear warm-up."""
    warmup_steps: int = 100
    epochs: float = 10.0
    max_seconds: float = 0.0
    """Stop after so much training time; 0: no limit."""


@dataclass(frozen=True)
class Batch:
    tokens: int = 2_000
    """Target budget of one batch: rows × (longest source + longest target)."""
    max_tokens_per_side: int = 128
    """Rows longer than this on either side are left out and counted."""


@dataclass(frozen=True)
class Evaluation:
    every_steps: int = 200
    metric: str = "chrf"
    """"chrf", "bleu" or "exact_match", of greedy translations."""
    rows: int = 200
    """Validation rows decoded each time (the loss is over all validation rows)."""
    patience: int = 0
    """Stop after so many evaluations without a lower loss; 0: never."""
    keep_last: int = 2
    """Checkpoints kept beside the best one."""
    average_last: int = 1
    """The exported model is the mean of so many last checkpoints, where that has the lower validation loss."""


@dataclass(frozen=True)
class Recipe:
    """Every setting of one training."""

    name: str = "unnamed"
    description: str = ""
    task: str = "translate"
    seed: int = 0
    data: Data = field(default_factory=Data)
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    model: Model = field(default_factory=Model)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    batch: Batch = field(default_factory=Batch)
    evaluation: Evaluation = field(default_factory=Evaluation)
    published: dict[str, Any] = field(default_factory=dict)
    """The result that this recipe reproduces, and where it was reported."""

    def __post_init__(self) -> None:
        _one_of("task", self.task, ("translate",))
        _one_of("data.source", self.data.source, ("number-words", "jsonl"))
        _one_of("tokenizer.kind", self.tokenizer.kind, ("bpe",))
        _one_of("model.architecture", self.model.architecture, ("transformer",))
        _one_of("optimizer.name", self.optimizer.name, ("adamw", "adam", "momentum", "sgd"))
        _one_of("schedule.kind", self.schedule.kind, ("constant", "inverse_sqrt", "cosine"))
        _one_of("evaluation.metric", self.evaluation.metric, ("chrf", "bleu", "exact_match"))
        if self.model.d_model % self.model.nhead:
            raise RecipeError(f"model.d_model = {self.model.d_model} is not divisible by model.nhead = "
                              f"{self.model.nhead}; choose another nhead")
        if self.data.source == "jsonl" and not (self.data.train and self.data.source_field and self.data.target_field):
            raise RecipeError('data.source = "jsonl" needs data.train, data.source_field and data.target_field')
        for name, value in (("optimizer.lr", self.optimizer.lr), ("batch.tokens", self.batch.tokens),
                            ("schedule.epochs", self.schedule.epochs),
                            ("evaluation.every_steps", self.evaluation.every_steps)):
            if not 0 < value < float("inf"):
                raise RecipeError(f"{name} = {value}: expected a number above 0")

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, as TOML would give them."""
        return asdict(self)

    def with_settings(self, settings: dict[str, Any]) -> Recipe:
        """A copy with dotted settings changed: ``{"schedule.epochs": 3, "seed": 1}``."""
        document = self.to_dict()
        for dotted, value in settings.items():
            *tables, last = dotted.split(".")
            target = document
            for table in tables:
                target = target.setdefault(table, {})
            target[last] = value
        return recipe_from_dict(document)


def shipped_recipes() -> dict[str, Path]:
    """Name → file of the recipes in the package."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}


def load_recipe(name_or_path: str) -> Recipe:
    """The shipped recipe of this name, or the recipe in this file."""
    shipped = shipped_recipes()
    path = shipped.get(name_or_path) or Path(name_or_path).expanduser()
    if not path.is_file():
        close = difflib.get_close_matches(name_or_path, shipped, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"shipped recipes: {', '.join(shipped)}"
        raise RecipeError(f"no recipe named {name_or_path!r}, and no such file; {hint}")
    return parse_recipe(path.read_text(encoding="utf-8"), default_name=path.stem)


def parse_recipe(toml: str, default_name: str = "unnamed") -> Recipe:
    """The recipe in this TOML text; unknown settings are errors that name the nearest known one."""
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the recipe is not valid TOML: {error}") from None
    return recipe_from_dict({"name": default_name, **document})


_TABLES = {"data": Data, "tokenizer": Tokenizer, "model": Model, "optimizer": Optimizer, "schedule": Schedule,
           "batch": Batch, "evaluation": Evaluation}


def recipe_from_dict(document: dict[str, Any]) -> Recipe:
    """The recipe of these plain values (see `Recipe.to_dict`); RecipeError for unknown names and wrong types."""
    values = dict(document)
    for name, cls in _TABLES.items():
        if name in values:
            values[name] = _fill(cls, values[name], f"{name}.")
    return _fill(Recipe, values, "")


def _fill(cls: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, dict):
        raise RecipeError(f"[{prefix.rstrip('.')}] must be a table, not {values!r}")
    known = {f.name: f for f in fields(cls)}
    converted = {}
    for key, value in values.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {prefix}{close[0]}?" if close else f"known: {', '.join(known)}"
            raise RecipeError(f"unknown setting {prefix}{key}; {hint}")
        converted[key] = _convert(prefix + key, value, known[key])
    return cls(**converted)


def _convert(name: str, value: Any, target: Any) -> Any:
    """`value` as the field's type, where TOML's types allow it without loss."""
    kind = str(target.type)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind.startswith("tuple") and isinstance(value, (list, tuple)):
        return tuple(value)
    expected = {"int": int, "float": float, "str": str, "bool": bool}.get(kind)
    if expected is not None and type(value) is not expected:
        raise RecipeError(f"{name} = {value!r}: expected {kind}, got {type(value).__name__}")
    return value


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        close = difflib.get_close_matches(value, allowed, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(allowed)}"
        raise RecipeError(f"{name} = {value!r}: {hint}")
