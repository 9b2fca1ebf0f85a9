"""A new run that begins with the model of another one."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from llm_magics.errors import DataError, LLMMagicsError
from llm_magics.session import Session
from llm_magics.training.run import checkpoint
from llm_magics.training.run.setup import Given, prepare
from llm_magics.training.runs.summary import summary_of

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
ROWS = [
    {"text": f"{a} {b}", "label": "xyz"[(i + j) % 3]}
    for i, a in enumerate(WORDS)
    for j, b in enumerate(WORDS)
]
MORE = [
    {"text": f"{a} {b} {c}", "label": "xy"[i % 2]}
    for i, a in enumerate(WORDS)
    for b in WORDS
    for c in WORDS[:2]
]
SMALL = {
    "model.d_model": 8,
    "schedule.epochs": 2.0,
    "schedule.warmup_steps": 1,
    "batch.tokens": 200,
    "tokenizer.kind": "word",
    "tokenizer.min_frequency": 1,
    "optimizer.lr": 0.02,
}


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_MAGICS_HOME", str(tmp_path))
    return Session()


@pytest.fixture
def first(session):
    handle = session.train(
        model="gru", data=ROWS, task="classify", name="first", overrides=SMALL, device="cpu"
    )
    return handle.result


def begun(session, name="second", **more):
    return session.train(model="run:first", data=MORE, name=name, device="cpu", **more)


def test_it_begins_with_the_weights_and_the_tokenizer_and_a_new_optimizer(session, first):
    handle = begun(session)
    handle.result  # noqa: B018 - it waits and raises
    setup = prepare(handle.run, "cpu", Given(data={"train": MORE}))
    theirs, ours = load_file(first.folder / "model" / "model.safetensors"), setup.model.state_dict()
    assert theirs
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert setup.optimizer.state_dict()["state"] == {}
    assert handle.run.tokenizer_file.read_bytes() == (first.folder / "tokenizer.json").read_bytes()
    assert setup.objective.labels == ["x", "y", "z"], (
        "the order of the outputs is that of the first run"
    )
    trained = checkpoint.weights(checkpoint.latest_valid(handle.run.checkpoints)[0])
    assert any(not torch.equal(trained[name], tensor) for name, tensor in theirs.items())


def test_where_it_comes_from_is_told_everywhere(session, first):
    handle = begun(session)
    assert "begun with run:first" in handle.result.provenance.why
    assert handle.run.recipe().model.from_run == "first"
    assert summary_of(handle.run).begun_with == "run:first"
    assert any(
        "begun with the model and the tokenizer of run:first" in note
        for note in handle.run.events()[0].notes
    )
    assert "run:first" in (handle.run.model_folder / "card.md").read_text()


def test_the_settings_are_those_of_the_first_run_but_for_what_is_said(session, first):
    made = session.recipe(model="run:first", data=MORE, overrides={"optimizer.lr": 0.5})
    assert (made.model.d_model, made.schedule.epochs, made.optimizer.lr, made.task) == (
        8,
        2,
        0.5,
        "classify",
    )


def test_the_first_run_is_needed_no_more_once_the_second_has_begun(session, first):
    whole = begun(session, "whole").result
    handle = begun(session, "cut", overrides={"schedule.epochs": 400.0})
    handle.stop()
    handle.wait()
    shutil.rmtree(first.folder)
    for path in checkpoint.list_checkpoints(handle.run.checkpoints):
        shutil.rmtree(path)  # as if it had been killed before the first checkpoint
    document = handle.run.recipe().to_dict()
    document["schedule"]["epochs"] = 2.0
    (handle.run.folder / "recipe.json").write_text(json.dumps(document))
    again = session.train(name="cut", data=MORE, resume=True, device="cpu").result
    assert dict(again.losses["validation"]).items() >= dict(whole.losses["validation"]).items()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"overrides": {"model.d_model": 16}},
            "model.d_model is for a model that is built from scratch; this training begins",
        ),
        (
            {"overrides": {"tokenizer.kind": "char"}},
            "^--tokenizer is for a model that is built from scratch",
        ),
        ({"task": "language-model"}, "learnt task = 'classify' and can begin no other"),
    ],
)
def test_what_the_model_cannot_follow_is_refused_at_the_call(session, first, said, message):
    with pytest.raises(LLMMagicsError, match=message):
        begun(session, **said)
    assert [run.name for run in session.runs()] == ["first"]


def test_labels_that_the_model_does_not_know_are_refused(session, first):
    handle = session.train(
        model="run:first",
        data=[*MORE, {"text": "one", "label": "q"}] * 2,
        name="other",
        device="cpu",
    )
    with pytest.raises(DataError, match="does not know: q; it knows x, y, z"):
        handle.result  # noqa: B018 - it waits and raises
    assert [run.name for run in session.runs()] == ["first"]


def test_a_run_without_a_model_and_a_module_of_the_notebook_begin_nothing(session):
    with pytest.raises(LLMMagicsError, match="no run named 'nothing'"):
        session.train(model="run:nothing", data=MORE)
    module, rows = torch.nn.Linear(1, 1), [(torch.ones(1), torch.ones(1))] * 40
    session.train(  # noqa: B018 - it waits and raises
        model=module, data=rows, loss="mse", name="mine", overrides={"schedule.epochs": 1.0}
    ).result
    with pytest.raises(LLMMagicsError, match="was a module of a notebook"):
        session.train(model="run:mine", data=rows)


def test_the_range_test_of_a_begun_run_leaves_it_alone(session, first):
    found = session.find_lr(model="run:first", data=MORE, device="cpu")
    assert found.losses[0] < 1.2 * max(loss for _, loss in first.losses["validation"])
    assert [run.name for run in session.runs()] == ["first"]
