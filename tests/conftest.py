"""What holds for every test: how the suite is spread over processes, and what is left out."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes is left out, unless it is asked for."""
    for item in items:
        if item.get_closest_marker("long") and os.environ.get("LLM_MAGICS_LONG") != "1":
            item.add_marker(pytest.mark.skip(reason="takes minutes; set LLM_MAGICS_LONG=1"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With `-n`, a file stays in one process (its models are built once), and so do all tests of
    the one browser."""
    from xdist.scheduler import LoadScopeScheduling

    class FileScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/browser" if file.startswith("tests/browser/") else file

    return FileScheduling(config, log)


@pytest.fixture(scope="session")
def tiny_builders() -> dict:
    """Family -> the function that builds a tiny model of it in a folder: those of tests/models, for
    other folders."""
    place = Path(__file__).parent / "models" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_models", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.BUILDERS
