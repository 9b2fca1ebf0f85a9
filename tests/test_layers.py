"""Who may import whom: read from the source, every import statement, also those inside
functions."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import llm_magics

PACKAGE = Path(llm_magics.__file__).parent

# Room → the rooms it may import; `errors` and `extras` are open to all.
ROOMS = {
    "errors": set(),
    "extras": set(),
    "nn": set(),
    "text": {"models", "display"},
    "attention": {"nn"},
    "models": {"attention", "nn"},
    "metrics": set(),  # the field's scores: trainings judge by them, results that are given a reference
    "rows": {"metrics", "display", "text", "models"},
    # display, here and in training: results draw themselves
    "tasks": {"models", "attention", "display", "metrics", "text", "rows"},
    "training": {"nn", "models", "attention", "display", "metrics", "rows", "text"},
    "session": {"tasks", "training", "models", "attention", "rows"},
    "display": set(),
    "widgets": {"display"},
    "magics": {"session", "display", "widgets"},
    "extension": {"magics"},
    "__init__": {"extension", "session", "magics"},
}
# Modules of plain names and values, without weights: what completion and the curve need, open to
# the magics.
OPEN_TO_MAGICS = {
    "models.catalog",
    "models.catalog_entries",
    "models.backends.openai.endpoint",
    "models.number_format",
    "models.reference",
    "training.run.events",
    "training.recipe.recipe",
    "training.recipe.request",
}
# Rooms that must get by with few packages.
THIRD_PARTY = {
    "errors": set(),
    "extras": set(),
    "display": {"resvg_py"},  # svg_png only, when a picture is saved as .png
    "nn": {"torch"},
    "metrics": {"sacrebleu", "sacremoses", "rouge_score"},
    "widgets": {"anywidget", "traitlets", "ipykernel", "pandas"},  # pandas in to_pandas() only
    "magics": {"IPython", "traitlets", "pandas"},
    "extension": {"IPython"},
    "session": set(),
    "__init__": set(),
}
# Importing one of these must not cost what the heavy ones cost.
LIGHT = [
    "llm_magics",
    "llm_magics.extension",
    "llm_magics.magics",
    "llm_magics.magics.core.command",
    "llm_magics.magics.core.completion",
    "llm_magics.display",
    "llm_magics.display.result",
    "llm_magics.errors",
    "llm_magics.models",
    "llm_magics.models.catalog",
    "llm_magics.models.number_format",
    "llm_magics.models.reference",
    "llm_magics.session",
    "llm_magics.training.api",
    "llm_magics.training.run.events",
    "llm_magics.training.recipe.recipe",
    "llm_magics.training.recipe.request",
]
HEAVY = {
    "torch",
    "transformers",
    "numpy",
    "ipywidgets",
    "anywidget",
    "tokenizers",
    "huggingface_hub",
    "datasets",
}


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def is_type_checking(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def imports(path: Path):
    """(line, dotted module) of everything the file imports when it runs, relative imports made
    absolute."""
    package = ["llm_magics", *path.relative_to(PACKAGE).parts[:-1]]
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if is_type_checking(node):
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module.count(".") < 1 and module == "llm_magics":
                yield from ((node.lineno, f"llm_magics.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def sources():
    return sorted(path for path in PACKAGE.rglob("*.py"))


def test_every_room_has_its_rule():
    assert {room_of(path) for path in sources()} <= set(ROOMS)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_the_rooms_it_may(path):
    room = room_of(path)
    wrong = []
    for line, module in imports(path):
        if not module.startswith("llm_magics."):
            continue
        name = module.removeprefix("llm_magics.")
        target = name.split(".")[0]
        is_open = room == "magics" and name in OPEN_TO_MAGICS
        is_public = (
            target in llm_magics.__all__ and target != "errors"
        )  # `from llm_magics import __version__`
        if (
            target not in ROOMS[room] | {room, "errors", "extras"}
            and not is_open
            and not (room == "magics" and is_public)
        ):
            wrong.append(f"line {line}: {module}")
    assert not wrong, (
        f"{room} may import {', '.join(sorted(ROOMS[room])) or 'no other room'}: {'; '.join(wrong)}"
    )


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if room_of(path) in THIRD_PARTY],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_room_that_gets_by_with_few_packages_does(path):
    allowed = (
        THIRD_PARTY[room_of(path)] | set(sys.stdlib_module_names) | {"llm_magics", "__future__"}
    )
    wrong = [
        f"line {line}: {module}"
        for line, module in imports(path)
        if module.split(".")[0] not in allowed
    ]
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize("module", LIGHT)
def test_importing_a_light_module_imports_nothing_heavy(module):
    code = f"import sys, {module}; sys.exit(','.join(sorted({HEAVY!r} & set(sys.modules))) or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == 0, done.stderr
