"""Tiny models built on the spot (tests/models/conftest.py has the builders) under one real
manager."""

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tiny_builders):
    """tiny("marian") -> the folder of a tiny random model of that family, built once."""
    root, built = tmp_path_factory.mktemp("tiny"), {}

    def build(family: str) -> str:
        if family not in built:
            name = {"marian": "opus-mt-en-de"}.get(family, family)
            built[family] = str(tiny_builders[family](root / name))
        return built[family]

    return build


@pytest.fixture(scope="session")
def manager():
    from llm_magics.models.manager.manager import ModelManager

    manager = ModelManager(device="cpu")
    yield manager
    manager.close()
