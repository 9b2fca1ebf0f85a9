"""Tiny models built on the spot (tests/models/conftest.py has the builders) under one real manager."""

import importlib.util
from pathlib import Path

import pytest


def _builders():
    place = Path(__file__).parents[1] / "models" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_models", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.BUILDERS


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """tiny("marian") -> the folder of a tiny random model of that family, built once."""
    root, built = tmp_path_factory.mktemp("tiny"), {}

    def build(family: str) -> str:
        if family not in built:
            name = {"marian": "opus-mt-en-de"}.get(family, family)
            built[family] = str(_builders()[family](root / name))
        return built[family]

    return build


@pytest.fixture(scope="session")
def manager():
    from llm_magics.models.manager import ModelManager

    manager = ModelManager(device="cpu")
    yield manager
    manager.close()
