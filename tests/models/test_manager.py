"""One copy of each model, within a budget, whatever many threads ask for."""

from __future__ import annotations

import gc
import os
import random
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from llm_magics.errors import (
    DoesNotFit,
    LLMMagicsError,
    ManagerClosed,
    ModelError,
    ModelNotFound,
    UnsafeModel,
    WrongTask,
)
from llm_magics.models.folder import open as loading
from llm_magics.models.generate.generate import generate
from llm_magics.models.manager.manager import ModelManager

TEXTS = ["The cat sat on the mat.", "No.", "Where is the station?", "It is raining again today."]


@pytest.fixture
def manager():
    manager = ModelManager(device="cpu")
    yield manager
    assert manager.check() == []
    manager.close()


def names(manager):
    return {row.name.rpartition("/")[2]: row.state for row in manager.rows()}


def bytes_of(models, *families):
    sizes = ModelManager(device="cpu")
    return sum(sizes.load(models(family)).bytes for family in families)


def test_the_same_model_is_loaded_once_however_it_is_named(manager, models, monkeypatch):
    folder = models("t5")
    monkeypatch.chdir(folder.parent)
    with manager.lease(folder) as one, manager.lease("./t5") as two, manager.lease("t5") as three:
        assert one is two is three
    with manager.lease(folder, dtype="bfloat16") as half:
        assert half is not one
    assert [row.uses for row in manager.rows()] == [1, 3]


def test_a_row_tells_what_the_table_shows(manager, models):
    with manager.lease(models("house")) as model:
        [row] = manager.rows()
        assert (row.task, row.device, row.dtype, row.state) == (
            "translate",
            "cpu",
            "float32",
            "in use",
        )
        assert (row.parameters, row.bytes, row.uses) == (model.n_parameters, model.n_bytes, 1)
    [row] = manager.rows()
    assert row.state == "idle"
    assert row.last_used_s >= 0


def test_the_least_recently_used_idle_model_makes_room(models):
    manager = ModelManager(
        device="cpu", budget_bytes={"cpu": bytes_of(models, "t5", "bart", "llama") + 50_000}
    )
    for family in ("t5", "bart", "llama"):
        manager.load(models(family))
    with manager.lease(models("t5")):
        pass
    manager.load(models("pegasus"))
    assert "bart" not in names(manager)
    assert "t5" in names(manager)
    assert manager.check() == []


def test_a_leased_or_pinned_model_is_never_dropped_and_the_refusal_names_it(models):
    manager = ModelManager(
        device="cpu", budget_bytes={"cpu": bytes_of(models, "t5", "bart") + 1_000}
    )
    manager.load(models("bart"))
    manager.pin(models("bart"))
    with manager.lease(models("t5")) as model:
        with pytest.raises(DoesNotFit) as caught:
            manager.load(models("pegasus"))
        assert "t5" in str(caught.value)
        assert "in use" in str(caught.value)
        assert "pinned" in str(caught.value)
        assert generate(model, TEXTS, max_new_tokens=2)
    assert names(manager) == {"t5": "idle", "bart": "pinned"}
    manager.pin(models("bart"), on=False)
    manager.load(models("pegasus"))
    assert "pegasus" in names(manager)
    assert manager.check() == []


def test_a_model_larger_than_the_budget_is_refused_and_nothing_is_dropped_for_it(models):
    manager = ModelManager(device="cpu", budget_bytes={"cpu": bytes_of(models, "house") + 100})
    manager.load(models("house"))
    with pytest.raises(DoesNotFit, match="house"):
        manager.load(models("bart"))
    assert names(manager) == {"house": "idle"}
    assert manager.check() == []


def test_a_dropped_model_gives_its_memory_back(manager, models):
    with manager.lease(models("bart")) as model:
        module = weakref.ref(model.module)
        held = model.n_bytes
    del model
    assert manager.unload(models("bart")) == held
    gc.collect()
    assert module() is None
    assert manager.rows() == []


def test_unloading_says_what_is_wrong(manager, models):
    with manager.lease(models("t5")), pytest.raises(ModelError, match="in use"):
        manager.unload(models("t5"))
    with pytest.raises(ModelNotFound, match=r"did you mean .*t5"):
        manager.unload(str(models("t5")) + "5")
    with pytest.raises(ModelNotFound, match="loaded are"):
        manager.pin("embedded:xx")


def test_an_idle_model_goes_after_its_time(models):
    manager = ModelManager(device="cpu", keep_alive_s=0.05)
    with manager.lease(models("house")):
        threading.Event().wait(0.3)
        assert names(manager) == {"house": "in use"}
    for _ in range(200):
        if not manager.rows():
            break
        threading.Event().wait(0.05)
    assert manager.rows() == []
    manager.close()


def test_a_pinned_model_stays_after_its_time(models):
    manager = ModelManager(device="cpu", keep_alive_s=0.01)
    with manager.lease(models("house")):
        manager.pin(models("house"))
    threading.Event().wait(0.3)
    assert names(manager) == {"house": "pinned"}
    manager.close()
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def test_many_threads_load_one_model_once(manager, models, monkeypatch):
    opened, whole = [], loading.open_model

    def count(*args, **kwargs):
        opened.append(args[0])
        return whole(*args, **kwargs)

    monkeypatch.setattr(loading, "open_model", count)
    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(lambda _: manager.load(models("marian")).name, range(24)))
    assert len(set(states)) == 1
    assert len(opened) == 1
    assert manager.rows()[0].uses == 24


def test_a_failure_reaches_everyone_who_waited_and_the_next_try_is_fresh(manager, copy_of):
    folder = copy_of("t5")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    def attempt(_):
        try:
            manager.load(folder)
        except LLMMagicsError as error:
            return type(error)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(attempt, range(12))) == {UnsafeModel}
    assert manager.rows() == []
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")
    assert manager.load(folder).state == "idle"


def test_an_interrupt_while_loading_leaves_nothing_half_done(manager, models, monkeypatch):
    whole = loading.open_model
    monkeypatch.setattr(
        loading, "open_model", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt())
    )
    with pytest.raises(KeyboardInterrupt):
        manager.load(models("t5"))
    assert manager.rows() == []
    monkeypatch.setattr(loading, "open_model", whole)
    assert manager.load(models("t5")).state == "idle"


def test_running_out_of_memory_drops_idle_models_and_tries_once_more(manager, models, monkeypatch):
    manager.load(models("t5"))
    whole, tries = loading.open_model, []

    def scarce(reference, *args, **kwargs):
        tries.append(len(manager.rows()))
        if len(tries) == 1:
            raise torch.OutOfMemoryError("out of memory")
        return whole(reference, *args, **kwargs)

    monkeypatch.setattr(loading, "open_model", scarce)
    manager.load(models("bart"))
    assert tries == [2, 1]
    assert names(manager) == {"bart": "idle"}
    tries.clear()
    monkeypatch.setattr(
        loading,
        "open_model",
        lambda *a, **k: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory")),
    )
    with pytest.raises(DoesNotFit):
        manager.load(models("llama"))
    assert "llama" not in names(manager)


def test_a_module_of_the_notebook_is_a_model_too(manager, models):
    with manager.lease(models("t5")) as model:
        reference = manager.add_variable("mine", model.module, model.tokenizer)
    with manager.lease("variable:mine") as mine, manager.lease("mine") as same:
        assert mine is same
        assert mine.family == "t5"
        assert len(generate(mine, TEXTS, max_new_tokens=2)) == len(TEXTS)
    assert str(reference) == "variable:mine"
    with manager.lease(models("house")) as house:
        manager.add_variable(
            "mine", house.module, house.tokenizer, source_language="en", target_language="de"
        )
    with manager.lease("variable:mine") as mine:
        assert mine.backend.kind == "native"
    with pytest.raises(ModelNotFound, match="add_variable"):
        manager.load("variable:other")
    with pytest.raises(WrongTask):
        manager.add_variable("x", object(), None)
    with pytest.raises(WrongTask):
        manager.add_variable("x", torch.nn.Linear(2, 2), None)


def test_a_plan_tells_what_a_load_would_take_and_loads_nothing(manager, models):
    plan = manager.plan(models("t5"))
    assert manager.rows() == []
    assert plan.cached
    assert plan.download_bytes == 0
    row = manager.load(models("t5"))
    assert plan.needed_bytes == row.bytes
    assert manager.plan(models("t5")).resident
    assert manager.plan(models("t5"), dtype="bfloat16").needed_bytes == row.bytes // 2


def test_a_plan_for_what_would_fail_says_why(manager, models, copy_of):
    folder = copy_of("t5")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "--allow-pickle" in manager.plan(folder).note
    assert "--allow-pickle" not in manager.plan(folder, allow_pickle=True).note
    small = ModelManager(device="cpu", budget_bytes={"cpu": 10})
    assert "more than is free" in small.plan(models("t5")).note
    with pytest.raises(ModelNotFound):
        manager.plan("run:../x")


def test_info_is_plain_values_for_loaded_and_unloaded_models(manager, models):
    assert manager.info(models("marian"))["state"] == "not loaded"
    manager.load(models("marian"))
    info = manager.info(models("marian"))
    assert (info["family"], info["source_language"], info["state"]) == ("marian", "en", "idle")
    assert all(
        isinstance(value, str | int | float | bool | tuple | None) for value in info.values()
    )


def test_a_closed_manager_refuses_and_says_so(models):
    manager = ModelManager(device="cpu")
    manager.load(models("house"))
    manager.close()
    assert manager.rows() == []
    for work in (lambda: manager.load(models("house")), lambda: manager.plan(models("house"))):
        with pytest.raises(ManagerClosed):
            work()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)  # fork is the point here
def test_a_forked_child_is_refused_even_if_the_lock_was_held(manager, models):
    manager.load(models("house"))
    with manager._store.lock:
        child = os.fork()
        if child == 0:
            try:
                manager.load(models("house"))
            except ManagerClosed as error:
                os._exit(42 if "forked" in str(error) else 1)
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert manager.load(models("house")).state == "idle"


def test_answers_of_many_threads_equal_the_serial_ones(manager, models):
    options = {"m2m_100": {"source_language": "en", "target_language": "de"}}
    families = ("marian", "m2m_100", "t5", "house")
    expected = {}
    for family in families:
        with manager.lease(models(family)) as model:
            for count in (1, 2, 4):
                expected[family, count] = generate(
                    model, TEXTS[:count], max_new_tokens=5, **options.get(family, {})
                )

    def ask(number):
        family, count = random.Random(number).choice(sorted(expected))
        with manager.lease(models(family)) as model:
            written = generate(model, TEXTS[:count], max_new_tokens=5, **options.get(family, {}))
        return [item.token_ids for item in written] == [
            item.token_ids for item in expected[family, count]
        ]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(80)))


def test_the_ledger_stays_right_under_threads_that_load_use_and_drop(models):
    families = ("t5", "bart", "llama", "house", "bert")
    folders = [models(family) for family in families]
    manager = ModelManager(
        device="cpu", budget_bytes={"cpu": bytes_of(models, "t5", "bart") + 30_000}
    )
    refused = []

    def work(number):
        choice = random.Random(number)
        for _ in range(12):
            folder = choice.choice(folders)
            try:
                if choice.random() < 0.25:
                    manager.unload(folder)
                else:
                    with manager.lease(folder) as model:
                        assert not any(item.is_meta for item in model.module.parameters())
            except (DoesNotFit, ModelError) as error:
                refused.append(type(error))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert manager.check() == []
    assert all(row.state == "idle" for row in manager.rows())
    assert sum(row.bytes for row in manager.rows()) <= bytes_of(models, "t5", "bart") + 30_000
    manager.close()
