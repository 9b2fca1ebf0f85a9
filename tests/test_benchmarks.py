"""Benchmarks are not run by the tests; what they take from each other and from the package is there
all the same."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def imports(path: Path):
    """(module, name) of every `from module import name`, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def defined(path: Path) -> set[str]:
    """What another file can import from this one."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {
                name.id
                for target in targets
                for name in ast.walk(target)
                if isinstance(name, ast.Name)
            }
    return names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(script):
    missing = []
    for module, name in imports(script):
        sibling = FOLDER / f"{module}.py"
        if sibling.is_file():
            missing += [f"{module}.{name}"] * (name not in defined(sibling))
        elif module.partition(".")[0] == "llm_magics":
            found = importlib.import_module(module)
            if not hasattr(found, name):
                importlib.import_module(f"{module}.{name}")
    assert not missing


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_benchmark_says_how_it_is_run(script):
    assert f"{script.name}" in (FOLDER / "README.md").read_text("utf-8") or not has_main(script)


def has_main(path: Path) -> bool:
    return "__main__" in path.read_text("utf-8")
