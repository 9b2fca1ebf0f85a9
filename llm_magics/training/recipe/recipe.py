"""A recipe: the TOML text that names data, tokenizer, model, optimizer, schedule and the published
result."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from llm_magics.errors import InputError, RecipeError
from llm_magics.models.number_format import parse_number_format
from llm_magics.training.recipe.checks import check_recipe
from llm_magics.training.recipe.setting import (
    FINE_TUNED,
    MODULE,
    NATIVE,
    SCRATCH,
    Scope,
    declared,
    setting,
    table,
)

__all__ = [
    "ARCHITECTURES",
    "GENERATED",
    "OPTIMIZERS",
    "SCHEDULES",
    "SETTINGS",
    "TABLES",
    "TASKS",
    "Recipe",
    "load_recipe",
    "parse_recipe",
    "recipe_from_dict",
    "WORDS",
    "shipped_recipes",
]

_FOLDER = Path(__file__).parents[1] / "recipes"

TASKS = (
    "translate",
    "summarize",
    "language-model",
    "masked-language-model",
    "classify",
    "label-tokens",
    "answer",
    "custom",
)
ARCHITECTURES = ("transformer", "rnn", "lstm", "gru", "softmax-regression")
OPTIMIZERS = ("adamw", "adam", "momentum", "sgd")
SCHEDULES = ("constant", "linear", "inverse_sqrt", "cosine", "one_cycle")
GENERATED = ("number-words", "repeated-sequences")
"""Sources whose rows the project makes itself, a test part among them."""

_PAIRS = ("translate", "summarize")
_RECURRENT = ("rnn", "lstm", "gru")
_OF_TEXTS = (*NATIVE, FINE_TUNED)
_FROM_SCRATCH = Scope("a model that is built from scratch", (SCRATCH,))
_TRANSFORMER = Scope(
    "a transformer that is built from scratch", (SCRATCH,), architectures=("transformer",)
)
_TEXTS = Scope("models of text", _OF_TEXTS)
_TWO_SIDES = Scope("translate and summarize", _OF_TEXTS, _PAIRS)
_TRANSLATORS = Scope("translate with a native model", NATIVE, ("translate",))
_NOISE = Scope("translate, summarize and classify", _OF_TEXTS, (*_PAIRS, "classify"))
_MODULES = Scope("a module of the notebook", (MODULE,))
_ALL = Scope("everything")
WORDS = {"from": _TWO_SIDES, "to": _TWO_SIDES, "fields": _TEXTS, "loss": _MODULES}
"""Words of `train` that are not settings, and the trainings they mean something to."""


@dataclass(frozen=True)
class Data:
    source: str = setting("files", one_of=("files", *GENERATED, "notebook"))
    """"files" (or anything else that `rows.read_rows` reads by name), "number-words" or
    "repeated-sequences" (generated), "notebook" (objects)."""
    train: str = ""
    validation: str = ""
    test: str = ""
    """.jsonl, .csv, .tsv, .parquet, .txt (each but parquet also .gz), or hub:NAME/CONFIG:SPLIT; a
    relative path is looked for in $LLM_MAGICS_DATA, then beside the notebook."""
    also: tuple[str, ...] = setting((), scope=_TEXTS)
    """More training data, with the same columns."""
    weights: dict[str, float] = setting(make=dict, scope=_TRANSLATORS)
    """Name of training data, as in `train`, `also` and `made` → how often an epoch sees each of its
    rows; 1 where none is given. 0.25: a quarter of the rows, others every time."""
    made: tuple[str, ...] = setting((), scope=_TRANSLATORS)
    """Kinds of rows that the project adds, see `data.made_rows`."""
    held_out: tuple[str, ...] = setting((), scope=_TRANSLATORS)
    """Further tests, .jsonl: no sentence of theirs of three words or more is learnt, in either
    language."""
    fields: dict[str, str] = setting(make=dict, scope=_TEXTS)
    """Role → column: {source = "en", target = "de"}; without it a column is named as its role."""
    validation_share: float = setting(0.05, share=True)
    """Of the training rows, held out where no validation data is named; of a language model's text
    its end."""
    group: str = setting("", scope=_TEXTS)
    """Column, such as the article that questions are about, whose rows stay together: all learnt
    from, or all held out."""
    test_groups: tuple[str, ...] = setting((), scope=_TEXTS)
    """Values of that column: their rows are the test rows."""
    rows: int = setting(0, scope=_TEXTS)
    """Training rows that are used (repeated-sequences: made); 0: all."""
    skip_bad_rows: bool = setting(False, scope=_TEXTS, option="--skip-bad-rows")
    source_language: str = ""
    target_language: str = ""
    languages: tuple[str, ...] = ()
    """number-words only: the languages whose number words are read."""
    largest: int = 9_999
    """number-words only: numbers from 0 to this one."""
    seed: int = 0
    """Of the generated data and of the split; not of the training."""
    licence: str = ""
    attribution: str = ""
    """For the card of a model that is passed on."""


@dataclass(frozen=True)
class Cleaning:
    normalize: str = setting("nfc", one_of=("nfc", "nfkc", "none"))
    """Unicode normalisation: "nfc", "nfkc" or "none"."""
    whitespace: bool = True
    """Runs of white space become one space (not in the text of a language model)."""
    deduplicate: bool = True
    """Of equal training rows only the first stays."""
    remove_overlap: bool = True
    """Training rows that share a text with a validation or test row are left out."""
    min_characters: int = 0
    max_characters: int = 0
    """0: no limit."""
    max_ratio: float = 0.0
    """Of the longer to the shorter side of a pair, in characters; 0: no limit."""
    languages: bool = False
    """Training rows in which another language than the recipe's is recognised are left out."""


@dataclass(frozen=True)
class Augmentation:
    join: float = setting(
        0.0,
        share=True,
        scope=Scope("translate and summarize with a native model", NATIVE, _PAIRS),
    )
    """Share of training rows that get another row appended, so that longer inputs are seen."""
    drop: float = setting(0.0, share=True, scope=_NOISE)
    """Share of source tokens that are dropped, anew every epoch."""
    swap: float = setting(0.0, share=True, scope=_NOISE)
    """Share of source tokens that change places with a near one, anew every epoch."""
    back_translate: str = setting("", scope=_TWO_SIDES)
    """Model that translates the targets back: each gives one more training pair, with a
    machine-made source."""


@dataclass(frozen=True)
class Tokenizer:
    kind: str = setting("bpe", one_of=("bpe", "unigram", "word", "char"), option="--tokenizer")
    """"bpe" (with byte fallback: no text is unknown), "unigram", "word" or "char"."""
    vocab_size: int = setting(4_000, above=0, option="--vocab", typed=(10, 1_000_000))
    shared: bool = setting(
        True,
        scope=Scope(
            "a translator, a summariser or a language model that is built from scratch",
            (SCRATCH,),
            (*_PAIRS, "language-model", "masked-language-model"),
        ),
    )
    """One vocabulary and one embedding matrix for both sides; of a language model: its output layer
    has the same matrix."""
    lowercase: bool = False
    """The model reads and writes lower-case letters only."""
    min_frequency: int = 2
    """Rarer words (pairs of a BPE) are not learnt."""


@dataclass(frozen=True)
class Model:
    architecture: str = setting("transformer", one_of=ARCHITECTURES)
    """"transformer", "rnn", "lstm", "gru" or "softmax-regression"; or `reference`."""
    reference: str = setting("", scope=_ALL)
    """A transformers model to fine-tune, in place of an architecture from scratch."""
    from_run: str = setting("", scope=_ALL)
    """A run whose weights and tokenizer the training begins with; all else under [model] is then as
    in that run."""
    attention: str = setting(
        "additive",
        one_of=("none", "context", "additive"),
        scope=Scope("a recurrent translator", (SCRATCH,), _PAIRS, _RECURRENT),
    )
    """Of a recurrent translator: "none", "context" (the encoder's last state at every step) or
    "additive"."""
    d_model: int = 128
    """Width of the Transformer; size of the state of a recurrent network."""
    embedding_size: int = setting(
        0,
        scope=Scope(
            "a recurrent translator or language model",
            (SCRATCH,),
            (*_PAIRS, "language-model"),
            _RECURRENT,
        ),
    )
    """Recurrent networks; 0: d_model."""
    nhead: int = setting(4, scope=_TRANSFORMER)
    num_layers: int = setting(
        4,
        scope=Scope(
            "a model with one stack of layers",
            (SCRATCH,),
            ("language-model", "masked-language-model", "classify", "label-tokens"),
            ("transformer", *_RECURRENT),
        ),
    )
    """Of a model with one stack."""
    num_encoder_layers: int = setting(
        3, scope=Scope("translate and summarize from scratch", (SCRATCH,), _PAIRS)
    )
    num_decoder_layers: int = setting(
        3,
        scope=Scope(
            "translate and summarize with a transformer from scratch",
            (SCRATCH,),
            _PAIRS,
            ("transformer",),
        ),
    )
    """Of a translator."""
    dim_feedforward: int = setting(512, scope=_TRANSFORMER)
    dropout: float = setting(0.1, share=True)
    norm_first: bool = setting(True, scope=_TRANSFORMER)
    bidirectional: bool = setting(
        True,
        scope=Scope(
            "a recurrent encoder", (SCRATCH,), (*_PAIRS, "classify", "label-tokens"), _RECURRENT
        ),
    )
    """Recurrent encoders read in both directions (a translator's only with additive attention)."""


@dataclass(frozen=True)
class Lora:
    rank: int = setting(0, option="--lora", typed=(1, 4096))
    """Fine-tune low-rank updates of this rank (Hu et al. 2021) in place of all weights; 0: all
    weights."""
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ()
    """Names of the linear layers; none: the attention projections that peft knows for the
    family."""


@dataclass(frozen=True)
class Optimizer:
    name: str = setting("adamw", one_of=OPTIMIZERS, option="--optimizer")
    """"adamw", "adam", "momentum" or "sgd"."""
    lr: float = setting(1e-3, above=0, option="--lr", typed=(1e-12, 1e3))
    weight_decay: float = 0.0
    betas: tuple[float, float] = setting(
        (0.9, 0.98), scope=Scope("adam and adamw", optimizers=("adam", "adamw"))
    )
    momentum: float = setting(0.9, scope=Scope("the optimizer momentum", optimizers=("momentum",)))
    clip_norm: float = 1.0
    """Largest gradient norm; 0 switches clipping off."""
    label_smoothing: float = setting(0.0, share=True, scope=_TEXTS)


@dataclass(frozen=True)
class Schedule:
    kind: str = setting("cosine", one_of=SCHEDULES, option="--schedule")
    """"constant", "linear", "inverse_sqrt", "cosine", each after a linear warm-up, or
    "one_cycle"."""
    warmup_steps: int = 100
    """Steps until the rate is reached; a quarter of all steps at most."""
    epochs: float = setting(10.0, above=0, option="--epochs", typed=(1e-3, 1e6))
    max_steps: int = 0
    """End after so many steps, where that is earlier; 0: no limit."""
    max_seconds: float = 0.0
    """Stop after so much training time; 0: no limit."""


@dataclass(frozen=True)
class Batch:
    tokens: int = setting(2_000, above=0, scope=_TEXTS, option="--batch", typed=(1, 10_000_000))
    """Target budget of one batch: rows × (longest source + longest target) / 2, or rows × longest
    text."""
    max_tokens_per_side: int = setting(128, scope=_TEXTS)
    """Rows longer than this on either side are left out and counted; a language model's text is cut
    into such pieces."""
    rows: int = setting(32, scope=_MODULES)
    """Rows of a batch where the rows come from the notebook and have no length."""
    accumulate: int = setting(1, above=0)
    """Batches whose gradients make one step."""


@dataclass(frozen=True)
class Compute:
    precision: str = setting(
        "auto", one_of=("auto", "float32", "bfloat16"), parse=parse_number_format
    )
    """"auto" (bfloat16 products on a GPU, float32 elsewhere), "float32" or "bfloat16"; the weights
    are float32."""
    compile: bool = False
    """torch.compile the loss; the first steps take longer."""


@dataclass(frozen=True)
class Evaluation:
    every_steps: int = 0
    """Steps between two looks at the validation rows, each followed by a checkpoint; 0: a tenth of
    all, 500 at most."""
    metric: str = setting("", option="--metric")
    """A name of `metrics.METRICS` that fits the task; "": the task's own."""
    final: tuple[str, ...] = ()
    """What is measured at the end; none: the metric, or all that is usual for the task where the
    metric is one of these."""
    rows: int = 200
    """Validation rows predicted each time (the loss is over all validation rows)."""
    samples: int = 3
    """Rows whose prediction is shown each time."""
    watch_every: int = 25
    """Steps between two looks at activations and gradients; 0: never."""
    patience: int = setting(0, option="--early-stop", typed=(1, 10_000))
    """Stop after so many evaluations without a lower loss; 0: never."""
    beams: int = setting(1, scope=_TWO_SIDES)
    """Of the final figures; 1: greedy."""
    keep_last: int = 2
    """Checkpoints kept beside the best one."""
    average_last: int = 1
    """The exported model is the mean of so many last checkpoints, where that has the lower
    validation loss."""


@dataclass(frozen=True)
class Recipe:
    """Every setting of one training."""

    name: str = "unnamed"
    description: str = ""
    task: str = setting("translate", one_of=TASKS)
    seed: int = setting(0, option="--seed", typed=(0, 2**31 - 1))
    data: Data = table(Data)
    cleaning: Cleaning = table(Cleaning, _TEXTS)
    augmentation: Augmentation = table(Augmentation)
    tokenizer: Tokenizer = table(Tokenizer, _FROM_SCRATCH)
    model: Model = table(Model, _FROM_SCRATCH)
    lora: Lora = table(Lora, Scope("a transformers model that is fine-tuned", (FINE_TUNED,)))
    optimizer: Optimizer = table(Optimizer)
    schedule: Schedule = table(Schedule)
    batch: Batch = table(Batch)
    compute: Compute = table(Compute)
    evaluation: Evaluation = table(Evaluation)
    published: dict[str, Any] = field(default_factory=dict)
    """The result that this recipe reproduces, and where it was reported."""

    def __post_init__(self) -> None:
        check_recipe(self, SETTINGS)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, as TOML would give them."""
        return asdict(self)

    def with_settings(self, settings: dict[str, Any]) -> Recipe:
        """A copy with dotted settings changed: ``{"schedule.epochs": 3, "seed": 1}``."""
        document = self.to_dict()
        for dotted, value in settings.items():
            *tables, last = dotted.split(".")
            target = document
            for each in tables:
                target = target.setdefault(each, {})
            target[last] = value
        return recipe_from_dict(document)


SETTINGS = declared(Recipe)
"""Dotted name → what is declared about it, of every setting and table."""
TABLES: dict[str, type] = {
    one.name: one.default_factory
    for one in fields(Recipe)
    if isinstance(one.default_factory, type) and is_dataclass(one.default_factory)
}
"""Name → class of the tables of a recipe."""


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


def recipe_from_dict(document: dict[str, Any]) -> Recipe:
    """The recipe of these plain values (see `Recipe.to_dict`); RecipeError for unknown names and
    wrong types."""
    values = dict(document)
    for name, cls in TABLES.items():
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
    if kind == "dict[str, float]":
        if not isinstance(value, dict) or not all(
            type(v) in (int, float) and v >= 0 for v in value.values()
        ):
            raise RecipeError(f"{name} = {value!r}: expected a table of numbers of 0 or more")
        return {key: float(v) for key, v in value.items()}
    if kind.startswith("dict") and not (
        (isinstance(value, dict) and all(isinstance(v, str) for v in value.values()))
        or target.name == "published"
    ):
        raise RecipeError(f"{name} = {value!r}: expected a table of names")
    if kind.startswith("tuple") and isinstance(value, (list, tuple)):
        return tuple(value)
    if kind.startswith("tuple"):
        raise RecipeError(f"{name} = {value!r}: expected a list, such as [{value!r}]")
    expected = {"int": int, "float": float, "str": str, "bool": bool}.get(kind)
    if expected is not None and type(value) is not expected:
        raise RecipeError(f"{name} = {value!r}: expected {kind}, got {type(value).__name__}")
    parse = SETTINGS[name].parse
    if parse is None:
        return value
    try:
        return parse(value)  # the spelling that is kept: a run resumes with any other one, too
    except InputError as error:
        raise RecipeError(f"{name} = {error}") from None
