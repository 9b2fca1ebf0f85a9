"""The rows of a recipe: read, split, cleaned, and told about."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llm_magics.errors import DataError, UnknownLanguage, type_of
from llm_magics.models.catalog import find_language
from llm_magics.rows.files import columns_of
from llm_magics.training.data.augment import back_translated
from llm_magics.training.data.cleaning import Report, clean
from llm_magics.training.data.groups import held_out_groups
from llm_magics.training.data.leaks import key_of, test_keys, texts_of_test
from llm_magics.training.data.made_rows import made_rows
from llm_magics.training.data.number_words import number_words
from llm_magics.training.data.repeated_sequences import repeated_sequences
from llm_magics.training.data.rows import Rows, read_rows
from llm_magics.training.recipe.recipe import GENERATED, Data, Recipe

__all__ = ["Corpus", "PARTS", "check_columns", "find_file", "load_corpus"]

_FIRST_ROWS = 20
_GROUP = "group"
PARTS = ("train", "validation", "test")
Translate = Callable[[list[str]], list[str]]
_GONE = (
    "the training data of this run were an object of a notebook ({}); give it again: "
    "%train --resume NAME --data DATA, for a module of yours %train MODEL --resume NAME --data "
    "DATA --loss LOSS"
)


class Corpus:
    """The three parts of the rows, and the report of what was done to them."""

    def __init__(self, parts: dict[str, Rows], report: Report) -> None:
        self.train, self.validation, self.test = (parts[part].values for part in PARTS)
        self.places = parts["train"].places
        """Where each training row came from: file and line."""
        self.report = report

    def __getitem__(self, part: str) -> list[tuple]:
        return getattr(self, part)


def load_corpus(
    recipe: Recipe,
    kinds: Mapping[str, str],
    given: Mapping[str, Any] | None = None,
    translate_back: Translate | None = None,
) -> Corpus:
    """Read or generate the rows a recipe names, split off what is held out, clean them, add
    back-translations.

    kinds: role → kind of value (see `rows.read_rows`), in the order of the values of a row. given:
    objects of a notebook that stand for parts, by name of the part. translate_back: from target
    texts to source texts. Raises DataError with the place of a bad row.
    """
    parts = _read(recipe, kinds, dict(given or {}))
    if not len(parts["train"].values):
        raise DataError(f"{recipe.data.train or 'the training data'}: no rows to train on")
    if recipe.data.group:
        parts = _grouped(parts, recipe.data)
    elif not len(parts["validation"].values) and recipe.data.validation_share:
        parts["train"], parts["validation"] = _held_out(parts["train"], recipe.data)
    if recipe.task == "custom":
        return Corpus(parts, Report())
    languages = {
        "source": recipe.data.source_language,
        "target": recipe.data.target_language,
        "text": recipe.data.source_language,
    }
    parts, report = clean(
        parts,
        tuple(kinds),
        recipe.cleaning,
        {role: code for role, code in languages.items() if code},
    )
    if recipe.data.rows:
        parts["train"] = _first(parts["train"], recipe.data.rows)
    if translate_back is not None:
        parts["train"] = _with_back_translations(parts["train"], translate_back)
    for kind in recipe.data.made:
        parts["train"] = _joined(parts["train"], _made(kind, recipe.data, parts["train"].values))
    if recipe.data.held_out:
        parts["train"] = _without_leaks(parts, recipe.data, report)
    if not parts["train"].values:
        raise DataError(f"cleaning left no training rows; {report}")
    return Corpus(parts, report)


def _made(kind: str, data: Data, train: list[tuple]) -> Rows:
    rows = made_rows(kind, data.source_language, data.target_language, train, data.seed)
    return Rows(rows, [f"{kind}:{number}" for number in range(1, len(rows) + 1)], [])


def _without_leaks(parts: dict[str, Rows], data: Data, report: Report) -> Rows:
    """The training rows that hold no sentence of the test rows or of `data.held_out`.

    The report counts those that leave.
    """
    languages = (data.source_language, data.target_language)
    texts = [text for row in parts["test"].values for text in row]
    for name in data.held_out:
        texts += texts_of_test(find_file(name), languages)
    keys, train = test_keys(texts), parts["train"]
    stays = [
        number
        for number, row in enumerate(train.values)
        if not any(key_of(text) in keys for text in row)
    ]
    counts = report.parts["train"]
    counts["sentence of a test"] = len(train.values) - len(stays)
    counts["kept"] = len(stays)
    return _chosen(train, stays)


def check_columns(
    recipe: Recipe, kinds: Mapping[str, str], given: Mapping[str, Any] | None = None
) -> None:
    """Read the first rows of every part as `load_corpus` would; the hub is not asked for any.
    Raises DataError."""
    if recipe.task == "custom":
        _check_object(recipe, given or {})  # a generator is not to be used up
    elif recipe.data.source not in GENERATED:
        _read(recipe, kinds, dict(given or {}), most=_FIRST_ROWS)


def _read(
    recipe: Recipe, kinds: Mapping[str, str], given: dict[str, Any], most: int | None = None
) -> dict[str, Rows]:
    """The rows of each part, at most the first `most`: then none of the hub's."""
    data = recipe.data
    if data.source == "number-words":
        made = number_words(data.languages or ("en", "de", "fr", "es"), data.largest, data.seed)
        return {
            part: Rows(rows, [f"number {target} in words" for _, target in rows], [])
            for part, rows in made.items()
        }
    if data.source == "repeated-sequences":
        made = repeated_sequences(data.rows or 12_000, data.seed)
        return {
            part: Rows(rows, [f"repeated sequence {n}" for n in range(len(rows))], [])
            for part, rows in made.items()
        }
    if recipe.task == "custom":
        _check_object(recipe, given)
        return {part: _as_given(given.get(part)) for part in PARTS}
    roles = {role: data.fields.get(role, role) for role in kinds}
    unknown = set(data.fields) - set(kinds)
    if unknown:
        raise DataError(
            f"data.fields names the role {sorted(unknown)[0]!r}; {recipe.task} has "
            f"{', '.join(kinds)}"
        )
    parts = {}
    for part in PARTS:
        name = getattr(data, part)
        source = given.get(part, name if name and data.source != "notebook" else None)
        if source is None:
            if part == "train":
                raise DataError(_GONE.format(name))
            parts[part] = Rows([], [], [])
        elif most is not None and str(source).startswith("hub:"):
            parts[part] = Rows([], [], [])
        elif tuple(kinds) == ("text",) and _is_plain_text(source):
            if data.group:
                raise DataError(
                    f"data.group = {data.group!r} names a column, and a text file has none; "
                    "use "
                    ".jsonl or .csv"
                )
            parts[part] = _whole_text(find_file(str(source)))
        else:
            parts[part] = _rows_of_columns(
                _located(source), *_named(roles, kinds, data, part), recipe, most
            )
    if data.weights:
        parts["train"] = _placed(parts["train"], data.train)
    for name in data.also:
        more = _rows_of_columns(_located(name), *_named(roles, kinds, data, "train"), recipe, most)
        parts["train"] = _joined(parts["train"], _placed(more, name) if data.weights else more)
    return parts


def _placed(rows: Rows, name: str) -> Rows:
    """The rows with the data's whole name in their places: the weights are told by it."""
    base = name.rpartition("/")[2]
    places = [name + place.removeprefix(base) for place in rows.places]
    return Rows(rows.values, places, rows.skipped)


def _named(
    roles: dict[str, str], kinds: Mapping[str, str], data: Data, part: str
) -> tuple[dict[str, str], Mapping[str, str]]:
    """(Columns, kinds) of what is read; of training rows the group, too, as the last value."""
    if not data.group or part != "train":
        return roles, kinds
    return {**roles, _GROUP: data.group}, {**kinds, _GROUP: "label"}


def _grouped(parts: dict[str, Rows], data: Data) -> dict[str, Rows]:
    """The parts, whole groups of the training rows held out for those that no data are named
    for."""
    is_named = bool(len(parts["validation"].values))
    train, validation, test = held_out_groups(
        parts["train"], data, 0.0 if is_named else data.validation_share
    )
    return {
        "train": train,
        "validation": parts["validation"] if is_named else validation,
        "test": test if data.test_groups else parts["test"],
    }


def _rows_of_columns(
    source: Any, roles: dict[str, str], kinds: Mapping[str, str], recipe: Recipe, most: int | None
) -> Rows:
    """The rows; where no columns are named, those of a translator may be called by their
    languages."""
    data = recipe.data
    if "target" in kinds and not data.fields and data.source_language and data.target_language:
        roles = _columns_by_language(roles, columns_of(source), data)
    return read_rows(source, roles, dict(kinds), skip_bad=data.skip_bad_rows, most=most)


def _columns_by_language(roles: dict[str, str], columns: list[str], data: Data) -> dict[str, str]:
    """The columns of both languages, by code or name ("de", "German", "translation.de"), where
    there are none called source and target."""
    if {"source", "target"} <= {column.strip() for column in columns}:
        return roles
    source = _column_in(columns, data.source_language)
    target = _column_in(columns, data.target_language)
    if source is None or target is None:
        return roles
    return {**roles, "source": source, "target": target}


def _column_in(columns: list[str], language: str) -> str | None:
    exact = [name for name in columns if name.strip() == language]
    known = _language(language)
    close = [name for name in columns if _language(name.rpartition(".")[2]) == known]
    return next(iter([*exact, *close]), None)


def _language(name: str) -> str:
    try:
        return find_language(name)
    except UnknownLanguage:
        return name.strip().casefold()


def _check_object(recipe: Recipe, given: Mapping[str, Any]) -> None:
    """DataError unless the rows that a module learns from are there."""
    if given.get("train") is None:
        raise DataError(
            _GONE.format(recipe.data.train)
            if recipe.data.source == "notebook"
            else "a module learns from an object of the notebook, whose rows are (inputs …, "
            "target): a dataset, a "
            f"loader or a list, not the file {recipe.data.train!r}"
        )


def _as_given(source: Any) -> Rows:
    """A dataset of a notebook as it is: whatever has a length and gives rows by number; a loader's
    dataset."""
    source = getattr(source, "dataset", source) if source is not None else []
    if isinstance(source, Mapping) or hasattr(source, "iloc"):
        raise DataError(
            f"a module learns from rows (inputs …, target), which {type_of(source)} does "
            "not give by "
            "number; make a dataset of tensors, such as torch.utils.data.TensorDataset(inputs, "
            "targets)"
        )
    if not (hasattr(source, "__len__") and hasattr(source, "__getitem__")):
        source = list(source)
    return Rows(source, [], [])


def _located(source: Any) -> Any:
    """A file where it lies; anything else as it is."""
    if isinstance(source, (str, Path)) and not str(source).startswith(("hub:", "disk:")):
        return find_file(str(source))
    return source


def _is_plain_text(source: Any) -> bool:
    return isinstance(source, (str, Path)) and str(source).removesuffix(".gz").endswith(".txt")


def _whole_text(path: Path) -> Rows:
    """A text file as one row: a language model learns its line ends, too."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            return Rows([(file.read(),)], [path.name], [])
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name}: cannot be read as UTF-8 text: {error}") from None


def find_file(name: str) -> Path:
    """The data file or folder `name`: absolute, in $LLM_MAGICS_DATA, or relative to the working
    directory."""
    path = Path(name).expanduser()
    tried = (
        [path]
        if path.is_absolute()
        else [Path(root) / path for root in (os.environ.get("LLM_MAGICS_DATA"), ".") if root]
    )
    for candidate in tried:
        if candidate.exists():
            return candidate
    raise DataError(
        f"data file {name!r} not found; looked for {', '.join(map(str, tried))}. "
        "Set LLM_MAGICS_DATA to the folder that holds it"
        + (
            ""
            if path.suffix
            else f"; there is no variable {name} either"
            if name.isidentifier()
            else ""
        )
    )


def _held_out(train: Rows, data: Data) -> tuple[Rows, Rows]:
    """(Training rows, validation rows): a random share; of a single text its end."""
    if len(train.values) == 1 and isinstance(train.values[0], tuple) and len(train.values[0]) == 1:
        (text,) = train.values[0]
        cut = round(len(text) * (1 - data.validation_share))
        return Rows([(text[:cut],)], train.places, []), Rows([(text[cut:],)], train.places, [])
    order = list(range(len(train.values)))
    random.Random(data.seed).shuffle(order)
    cut = max(1, round(len(order) * data.validation_share)) if len(order) > 1 else 0
    kept, held_out = _chosen(train, sorted(order[cut:])), _chosen(train, sorted(order[:cut]))
    return kept, Rows(
        held_out.values, held_out.places, []
    )  # a bad row was read once, so it counts once


def _joined(rows: Rows, more: Rows) -> Rows:
    return Rows(
        [*rows.values, *more.values], [*rows.places, *more.places], [*rows.skipped, *more.skipped]
    )


def _first(rows: Rows, count: int) -> Rows:
    return Rows(rows.values[:count], rows.places[:count], rows.skipped)


def _chosen(rows: Rows, indices: list[int]) -> Rows:
    return Rows(
        [rows.values[i] for i in indices],
        [rows.places[i] for i in indices] if rows.places else [],
        rows.skipped,
    )


def _with_back_translations(train: Rows, translate_back: Translate) -> Rows:
    made = back_translated([target for _, target in train.values], translate_back)
    return Rows(
        [*train.values, *made],
        [*train.places, *(f"back-translation of {target[:40]!r}" for _, target in made)],
        train.skipped,
    )
