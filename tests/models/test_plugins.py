"""A backend that comes with another package, found by its entry point."""

from __future__ import annotations

import sys

import pytest

import llm_magics
from llm_magics.errors import InputError, ModelError, ModelNotFound, WrongTask
from llm_magics.models.manager.manager import ModelManager
from llm_magics.models.reference import Reference, parse_reference
from llm_magics.tasks.generate.task import generate
from llm_magics.tasks.translate.task import translate

PACKAGE = """
from llm_magics.models.backends.base import TextBackend
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.generate.types import Generation


class Shout(TextBackend):
    kind = "shout"

    def generate(self, model, request):
        found = []
        for index, source in enumerate(request.sources):
            if request.stopped():
                found.append(Generation("", finished=False))
                continue
            found.append(Generation(source.upper(), n_new_tokens=len(source.split())))
            if request.on_text is not None:
                request.on_text(index, found[-1].text, True)
        return found


def open_model(reference):
    name = reference.name.partition(":")[2]
    if name == "broken":
        raise OSError("no such voice")
    if name == "nothing":
        return None
    return LoadedModel(
        reference, "shout", "seq2seq", Shout(), source_language="en", target_language="de"
    )
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The package, installed as pip lays it out: a module and its dist-info."""
    (tmp_path / "shouting.py").write_text(PACKAGE, "utf-8")
    about = tmp_path / "shouting-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n", "utf-8"
    )
    (about / "entry_points.txt").write_text(
        "[llm_magics.backends]\nshout = shouting:open_model\n", "utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("shouting", None)


@pytest.fixture
def manager():
    manager = ModelManager(device="cpu")
    yield manager
    assert not manager.check()
    manager.close()


def test_a_reference_of_an_installed_backend_can_be_typed_again(toy):
    reference = parse_reference("shout:loud/voice@2")
    assert reference == Reference("backend", "shout:loud/voice@2")
    assert parse_reference(str(reference)) == reference


def test_without_the_package_the_reference_is_refused():
    with pytest.raises(ModelNotFound, match="is not a model reference: the prefixes are"):
        parse_reference("shout:loud")


def test_a_backend_of_another_package_translates(toy, manager):
    result = translate(
        "The cat sat. It slept.", model="shout:loud", source="en", target="de", manager=manager
    )
    assert result.text == "THE CAT SAT. IT SLEPT."
    assert result.provenance.model == "shout:loud"
    assert result.provenance.parameters["backend"] == "shout"
    assert [(row.name, row.state, row.engine) for row in manager.rows()] == [
        ("shout:loud", "idle", "shout")
    ]


def test_a_script_needs_the_name_only(toy):
    result = llm_magics.translate("Where is the cat?", model="shout:loud", source="en", target="de")
    assert result.text == "WHERE IS THE CAT?"


def test_it_is_opened_once(toy, manager):
    with manager.lease("shout:loud") as first, manager.lease("shout:loud") as second:
        assert first is second
    assert manager.plan("shout:loud").note.startswith("a package of its own opens it")


def test_what_only_loaded_models_have_is_refused_in_one_line(toy, manager):
    with pytest.raises(InputError, match="leave out dtype"), manager.lease("shout:a", dtype="int8"):
        pass
    with manager.lease("shout:loud") as model:
        with pytest.raises(WrongTask, match="the backend shout only writes text"):
            _ = model.module
        with pytest.raises(WrongTask, match="does not go on with a text"):
            generate("A dog", model="shout:loud", raw=True, manager=manager)


def test_a_backend_that_fails_is_named(toy, manager):
    for name, why in (("broken", "OSError: no such voice"), ("nothing", "gave a NoneType")):
        with (
            pytest.raises(ModelError, match=f"shouting:open_model.* {why}|{why}"),
            manager.lease(f"shout:{name}"),
        ):
            pass
