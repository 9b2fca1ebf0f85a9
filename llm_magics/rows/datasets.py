"""Data sets of the library `datasets`: from the hub, from a folder, or made in a notebook."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llm_magics.errors import DataError
from llm_magics.extras import require
from llm_magics.models.folder.hub_cache import hub_answers, is_offline

__all__ = ["columns_of", "is_dataset", "opened", "with_columns"]

_SPLIT = re.compile(r"(.+?):([A-Za-z_][\w.+:%\[\]-]*)")


def is_dataset(source: object) -> bool:
    """Whether this is a data set of the library. DataError for a dictionary of splits or a
    stream."""
    datasets = sys.modules.get("datasets")  # whoever holds one has imported it
    if datasets is None:
        return False
    if isinstance(source, datasets.DatasetDict | datasets.IterableDatasetDict):
        raise DataError(
            f"this data set has the splits {', '.join(source)}; give one, as in "
            f"data[{_first(source)!r}]"
        )
    if isinstance(source, datasets.IterableDataset):
        raise DataError(
            "this data set is a stream, without an end that is known; give list(data.take(10_000))"
        )
    return isinstance(source, datasets.Dataset)


def opened(source: str) -> tuple[str, Any]:
    """(Name for places, data set) of hub:NAME, hub:NAME/CONFIG:SPLIT, disk:FOLDER or
    disk:FOLDER:SPLIT.

    A name on the hub is OWNER/NAME, or NAME alone; the split is "train" unless named. A folder is
    one that `save_to_disk` wrote or one of data files. No code of a data set is ever run. Raises
    DataError, or MissingExtra without the library.
    """
    require("datasets", extra="datasets", what=source)
    kind, _, rest = source.partition(":")
    return _of_hub(rest) if kind == "hub" else _of_folder(rest)


def _of_hub(rest: str) -> tuple[str, Any]:
    name, _, split = rest.partition(":")
    owner_and_name, config = "/".join(name.split("/")[:2]), "/".join(name.split("/")[2:])
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", owner_and_name) or owner_and_name.startswith("."):
        raise DataError(
            f"hub:{rest}: expected hub:OWNER/NAME, hub:OWNER/NAME/CONFIG or "
            "hub:OWNER/NAME/CONFIG:SPLIT"
        )
    if not is_offline() and not hub_answers() and not _in_cache(owner_and_name):
        raise DataError(
            f"hub:{owner_and_name}: the hub does not answer and the data set is not in the cache; "
            "check the network or give a local file"
        )
    import datasets

    arguments = [owner_and_name, *([config] if config else [])]
    return f"hub:{owner_and_name}", _loaded(
        f"hub:{rest}", lambda: datasets.load_dataset(*arguments, split=split or "train")
    )


def _of_folder(rest: str) -> tuple[str, Any]:
    folder, split = Path(rest).expanduser(), ""
    named = _SPLIT.fullmatch(rest)
    if not folder.exists() and named:
        folder, split = Path(named[1]).expanduser(), named[2]
    if not folder.is_dir():
        raise DataError(f"disk:{rest}: there is no folder {folder}")
    import datasets

    if not any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        place = str(folder.resolve())  # never a name of the hub
        return folder.name, _loaded(
            f"disk:{rest}", lambda: datasets.load_dataset(place, split=split or "train")
        )
    data = _loaded(f"disk:{rest}", lambda: datasets.load_from_disk(str(folder)))
    if isinstance(data, datasets.DatasetDict):
        split = split or (_first(data) if len(data) == 1 else "train")
        if split not in data:
            raise DataError(
                f"disk:{rest}: no split {split!r}; it has {', '.join(data)}: "
                f"disk:{folder}:{_first(data)}"
            )
        data = data[split]
    elif split and split != str(data.split):
        raise DataError(
            f"disk:{rest}: the folder holds a single part, no split {split!r}; leave it out"
        )
    return folder.name, data


def _first(splits: Any) -> str:
    return next(iter(splits), "train")


def with_columns(dataset: Any, names: list[str]) -> Any:
    """The data set, its columns of several parts taken apart where that gives the names asked for
    ("translation.en")."""
    if set(names) <= set(dataset.column_names) or not any("." in name for name in names):
        return dataset
    flat = dataset.flatten()
    return flat if set(names) <= set(flat.column_names) else dataset


def columns_of(dataset: Any, names: list[str]) -> list[list[Any]]:
    """The values of these columns; numbers of a ClassLabel as its names, -1 (no label) as None."""
    rows = dataset.select_columns(list(dict.fromkeys(names))).with_format(None)[:]
    return [_named(rows[name], dataset.features[name]) for name in names]


def _named(values: list[Any], feature: Any) -> list[Any]:
    names = getattr(feature, "names", None)
    if names is not None:
        return [None if value is None or value < 0 else names[value] for value in values]
    inner = getattr(
        feature, "feature", feature[0] if isinstance(feature, list) and feature else None
    )
    if getattr(inner, "names", None) is not None:
        return [None if value is None else _named(value, inner) for value in values]
    return values


def _loaded(what: str, load: Callable[[], Any]) -> Any:
    from datasets.exceptions import DatasetsError

    try:
        return load()
    except (
        DatasetsError,
        OSError,
        ValueError,
        TypeError,
        RuntimeError,
        KeyError,
        ImportError,
    ) as error:
        offline = (
            " (the hub is switched off by HF_HUB_OFFLINE)"
            if is_offline() and what.startswith("hub:")
            else ""
        )
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{what}: cannot be loaded{offline}: {reason}") from None


def _in_cache(name: str) -> bool:
    import datasets

    return (Path(datasets.config.HF_DATASETS_CACHE) / name.replace("/", "___")).is_dir()
