"""Completion of magic lines: flags, languages, models, runs, recipes and notebook variables.

Registered as a context matcher; nothing else is imported before a line of ours is completed, and
torch never.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.completer import SimpleCompletion, context_matcher

from llm_magics.magics import MAGICS, find_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

    from llm_magics.magics.core.command import Command
    from llm_magics.magics.core.options import Option

__all__ = ["cached_models", "candidates", "make_matcher", "shipped_recipes"]

_LINE = re.compile(rf"\s*(?:\w+\s*=\s*)?%{{1,2}}({'|'.join(MAGICS)})\s(.*)", re.DOTALL)
_MOST_VARIABLES = 200


def make_matcher(shell: InteractiveShell) -> Callable[[CompletionContext], dict]:
    """The matcher to append to `shell.Completer.custom_matchers`."""

    @context_matcher(identifier="llm_magics")
    def matcher(context: CompletionContext) -> dict:
        found = _LINE.fullmatch(context.line_with_cursor[: context.cursor_position])
        if not found:
            return {"completions": []}
        fragment, offers = candidates(find_command(found[1]), found[2], shell.user_ns)
        matching = [
            SimpleCompletion(offer, type="magic") for offer in offers if offer.startswith(fragment)
        ]
        # Without suppressing the others, IPython would offer Python builtins behind `--`.
        return {
            "completions": matching,
            "suppress": bool(matching),
            "matched_fragment": fragment,
            "ordered": True,
        }

    return matcher


def candidates(command: Command, line: str, variables: dict[str, object]) -> tuple[str, list[str]]:
    """The fragment being typed at the end of `line`, and everything that could stand there, best
    first."""
    before, fragment = _split(line)
    options = {option.flag: option for option in command.all_options()}
    flag, equals, value = fragment.partition("=")
    if equals and flag in options:
        return value, list(_values(options[flag], variables))
    if before and before[-1] in options and options[before[-1]].metavar:
        return fragment, list(_values(options[before[-1]], variables))
    if fragment.startswith("-"):
        used = {word.partition("=")[0] for word in before}
        return fragment, [flag for flag in options if flag not in used]
    return fragment, list(_word(command, options, before, variables))


def _split(line: str) -> tuple[list[str], str]:
    words = line.split()
    if not line or line[-1].isspace():
        return words, ""
    return words[:-1], words[-1]


def _word(
    command: Command, options: dict[str, Option], before: list[str], variables: dict[str, object]
) -> Iterator[str]:
    """What the next leading word may be: `%models load …`, `%attention …`."""
    given, skip = 0, False
    for word in before:
        takes_value = not skip and word in options and bool(options[word].metavar)
        given += not skip and not word.startswith("-")
        skip = takes_value
    if given < len(command.words) or (command.words and command.words[-1].many):
        word = command.words[min(given, len(command.words) - 1)]
        yield from word.choices
        yield from _offers("task" if before[:1] == ["recommend"] else word.completes, variables)


def _values(option: Option, variables: dict[str, object]) -> Iterator[str]:
    yield from option.choices
    yield from _offers(option.completes, variables)


def _offers(kind: str, variables: dict[str, object]) -> Iterable[str]:
    if kind == "language":
        return _languages()
    if kind == "source language":
        return ["auto", *_languages()]
    if kind == "task":
        return _tasks()
    if kind == "model":
        return _models(variables)
    if kind == "run":
        return _runs()
    if kind == "recipe":
        return shipped_recipes()
    if kind == "study":
        return _studies()
    if kind == "trainable":
        return _trainable(variables)
    return _variables(variables) if kind == "variable" else []


def _tasks() -> tuple[str, ...]:
    from llm_magics.models.catalog_entries import TASKS

    return TASKS


def _languages() -> list[str]:
    from llm_magics.models.catalog import languages

    return list(languages())


def _models(variables: dict[str, object]) -> list[str]:
    """Loaded models first, then the notebook's, embedded ones, those of packages, runs, and what
    lies in the hub's cache."""
    from llm_magics.models.reference import embedded_names, package_names, run_names

    names = [
        *(f"embedded:{name}" for name in embedded_names()),
        *(f"package:{name}" for name in package_names()),
        *(f"run:{name}" for name in run_names()),
        *cached_models(),
    ]
    return list(dict.fromkeys([*_loaded(), *_modules(variables, pairs=True), *names]))


def _modules(variables: dict[str, object], *, pairs: bool = False) -> list[str]:
    """Variables that hold a module of torch, or with `pairs` one and its tokenizer."""
    torch = sys.modules.get("torch")  # without torch no variable holds a module
    if torch is None:
        return []
    held = {
        name: value[0] if pairs and isinstance(value, tuple) and len(value) == 2 else value
        for name, value in list(variables.items())
        if not name.startswith("_")
    }
    return [name for name, value in held.items() if isinstance(value, torch.nn.Module)][
        :_MOST_VARIABLES
    ]


def _loaded() -> list[str]:
    session = sys.modules.get("llm_magics.session")  # nothing is loaded before there was a session
    if not session:
        return []
    manager = session.current_session().manager
    return [*(row.name for row in manager.rows()), *manager.served_names]


def _runs() -> list[str]:
    from llm_magics.models.reference import runs_root

    return sorted(path.parent.name for path in runs_root().glob("[!.]*/recipe.json"))


def _studies() -> list[str]:
    from llm_magics.models.reference import data_root

    return sorted(path.parent.name for path in (data_root() / "studies").glob("[!.]*/tune.json"))


def shipped_recipes() -> list[str]:
    """Names of the recipes in the package."""
    folder = Path(__file__).parents[2] / "training" / "recipes"
    return sorted(path.stem for path in folder.glob("*.toml"))


def _trainable(variables: dict[str, object]) -> list[str]:
    """Architectures, modules of the notebook, and models that lie here to be fine-tuned."""
    from llm_magics.models.reference import package_names
    from llm_magics.training.recipe.recipe import ARCHITECTURES

    packages = [f"package:{name}" for name in package_names()]
    return [*ARCHITECTURES, *_modules(variables), *packages, *cached_models()]


def _variables(variables: dict[str, object]) -> list[str]:
    """Names that hold text or rows, the user's own, in the order they were made."""
    fitting = [
        name
        for name, value in list(variables.items())
        if not name.startswith("_")
        and name not in ("In", "Out")
        and (
            isinstance(value, (str, list, tuple))
            or (hasattr(value, "__len__") and hasattr(value, "__getitem__"))
        )
    ]
    return fitting[:_MOST_VARIABLES]


def cached_models() -> list[str]:
    """Ids of the models in the Hugging Face cache, read from the names of its folders."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"
    )
    root = Path(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")).expanduser()
    try:
        folders = sorted(
            entry.name for entry in os.scandir(root) if entry.name.startswith("models--")
        )
    except OSError:
        return []
    return [name.removeprefix("models--").replace("--", "/") for name in folders]
