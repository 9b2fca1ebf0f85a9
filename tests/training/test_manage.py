"""Runs in the folder of the runs: told in figures whatever lies there, renamed, put into the trash,
compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from llm_magics.display.html import render
from llm_magics.errors import InputError, RunError
from llm_magics.training.recipe.recipe import recipe_from_dict
from llm_magics.training.recipe.settings import differing_settings
from llm_magics.training.run.events import (
    Evaluated,
    Finished,
    LayersSeen,
    RunStarted,
    Sample,
    Sampled,
    StepDone,
)
from llm_magics.training.runs.compare import compare
from llm_magics.training.runs.manage import (
    delete_run,
    empty_trash,
    list_trash,
    rename_run,
    restore_run,
)
from llm_magics.training.runs.runs import Run, create_run, find_run, list_runs
from llm_magics.training.runs.summary import folder_bytes, survey

DOCUMENT = {
    "name": "tiny",
    "data": {"source": "number-words", "languages": ["en"]},
    "evaluation": {"metric": "bleu"},
}


def started(step=0):
    return RunStarted("tiny", step, 40, 1234, 218, 12, "cpu")


def step(number, loss=3.0):
    return StepDone(number, 40, number / 10, loss, 1e-3, 1.0, 500.0, number * 2.0)


def look(number, loss, bleu):
    return Evaluated(number, number / 10, loss, {"bleu": bleu, "chrf": 2 * bleu})


WHOLE = [
    started(),
    step(10),
    look(10, 2.5, 10.0),
    step(20),
    look(20, 2.0, 20.0),
    step(30),
    look(30, 2.2, 30.0),
]


def made(root, name, events=(), **settings):
    run = create_run(root, recipe_from_dict(DOCUMENT).with_settings(settings), name)
    for event in events:
        run.append(event)
    return run


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("lock")
    }


def only(root):
    (one,) = survey(root)
    return one


# Looking


@pytest.mark.parametrize(
    ("events", "state", "reason"),
    [
        ([], "not begun", ""),
        (WHOLE, "not ended", ""),
        ([*WHOLE, Finished("stopped", 30, 60.0)], "stopped", "stopped"),
        ([*WHOLE, Finished("early stop", 30, 60.0, {"bleu": 25.0})], "finished", "early stop"),
        ([*WHOLE, Finished("stopped", 30, 60.0), started(30), step(31)], "not ended", ""),
    ],
)
def test_the_state_of_a_run_is_told_by_its_record(tmp_path, events, state, reason):
    made(tmp_path, "one", events)
    assert (only(tmp_path).state, only(tmp_path).reason) == (state, reason)


def test_a_run_is_told_in_figures(tmp_path):
    run = made(tmp_path, "one", [*WHOLE, Finished("completed", 30, 61.5, {"bleu": 25.0})])
    one = only(tmp_path)
    assert (one.task, one.model, one.parameters, one.train_rows) == (
        "translate",
        "transformer",
        1234,
        218,
    )
    assert (one.step, one.total_steps, one.epochs, one.seconds) == (30, 40, 3.0, 61.5)
    assert (one.loss, one.loss_step, one.metric, one.metrics) == (2.0, 20, "bleu", {"bleu": 25.0})
    assert one.n_bytes == sum(len(content) for content in contents(run.folder).values())


def test_what_a_resumed_training_did_anew_is_told_once_as_in_the_record(tmp_path):
    run = made(tmp_path, "one", [*WHOLE, started(15), step(20), look(20, 2.4, 15.0)])
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('{"event": "StepDone", "step": 99')  # a crash
    looks = [event for event in run.events() if isinstance(event, Evaluated)]
    one = only(tmp_path)
    assert (
        (one.loss, one.loss_step) == min((event.loss, event.step) for event in looks) == (2.4, 20)
    )
    assert (
        one.step == max(event.step for event in run.events() if isinstance(event, StepDone)) == 20
    )


def test_the_newest_comes_first(tmp_path):
    for age, name in enumerate(("new", "older", "oldest")):
        run = made(tmp_path, name, [started()])
        os.utime(run.folder / "events.jsonl", (1e9 - age, 1e9 - age))
    assert [one.name for one in survey(tmp_path)] == ["new", "older", "oldest"]


def broken_recipe(text):
    return lambda folder: (folder / "recipe.json").write_text(text)


def record(content):
    def write(folder):
        (folder / "recipe.json").write_text(json.dumps(DOCUMENT))
        (folder / "events.jsonl").write_bytes(content)

    return write


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda folder: (folder / "notes.txt").write_text("hello"), "no recipe.json"),
        (broken_recipe('{"nam'), "cannot be read"),
        (broken_recipe("[1, 2]"), "cannot be read"),
        (broken_recipe('{"from": "elsewhere"}'), "unknown setting from"),
        (broken_recipe("null"), "cannot be read"),
        (
            record(
                b'{"event": "Evaluated", "step": "x", "epoch": 1, "loss": "y"}\n' * 2
                + b'{"event": "RunStarted", "run": "a", "step": 1}\n'
            ),
            "",
        ),
        (
            record(
                b'{"event": "RunStarted", "run": "a", "step": "x", "total_steps": 1, '
                b'"parameters": 1, "train_rows": 1, '
                b'"validation_rows": 1, "device": "cpu"}\n{"event": "Evaluated", "step": 1, '
                b'"epoch": 1, "loss": "y"}\n'
                b'{"event": "Evaluated", "step": 1, "epoch": 1, "loss": 1}\n'
            ),
            "cannot be read",
        ),
        (record(b"\xff\xfe\x00garbage\n" * 3), ""),
        (lambda folder: (folder / "recipe.json").mkdir(), "no recipe.json"),
    ],
)
def test_a_damaged_or_foreign_folder_is_a_line_and_never_an_error(tmp_path, damage, what):
    made(tmp_path, "good", WHOLE)
    (tmp_path / "bad").mkdir()
    damage(tmp_path / "bad")
    (tmp_path / "a name with spaces").mkdir()
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    told = {one.name: one for one in survey(tmp_path)}
    assert set(told) == {"good", "bad", "a name with spaces"}
    assert told["good"].step == 30
    assert what in told["bad"].reason
    assert told["bad"].state == ("damaged" if what else told["bad"].state)
    assert "name" in told["a name with spaces"].reason


def test_no_folder_of_runs_is_no_run(tmp_path):
    assert survey(tmp_path / "nowhere") == []


def test_what_another_process_trains_is_running_elsewhere_until_it_dies(tmp_path):
    run = made(tmp_path, "one", WHOLE)
    code = (
        "import sys; from pathlib import Path; from llm_magics.training.runs.runs import Run\n"
        f"with Run(Path({str(run.folder)!r})).locked(): print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        assert only(tmp_path).state == "running elsewhere"
        for refused in (
            lambda: rename_run(tmp_path, "one", "two"),
            lambda: delete_run(tmp_path, "one"),
            lambda: delete_run(tmp_path, "one", forever=True),
        ):
            with pytest.raises(RunError, match=f"process {process.pid}"):
                refused()
    finally:
        process.kill()
        process.wait()
    assert only(tmp_path).state == "not ended"
    assert rename_run(tmp_path, "one", "two").name == "two"


def test_what_this_process_knows_goes_before_the_record(tmp_path):
    run = made(tmp_path, "one", WHOLE)
    with run.locked():
        assert survey(tmp_path, {"one": "paused here"})[0].state == "paused here"


# Renaming and deleting


def test_a_renamed_run_keeps_everything(tmp_path):
    before = contents(made(tmp_path, "one", WHOLE).folder)
    renamed = rename_run(tmp_path, "one", "two")
    assert [run.name for run in list_runs(tmp_path)] == ["two"]
    assert contents(renamed.folder) == before
    assert renamed.recipe() == find_run(tmp_path, "two").recipe()


@pytest.mark.parametrize("name", ["two", "../x", "a b", "", ".hidden", "x" * 65, "dot."])
def test_a_name_that_is_taken_or_none_is_refused(tmp_path, name):
    made(tmp_path, "one", WHOLE), made(tmp_path, "two")
    with pytest.raises(RunError, match="exists|cannot name a run"):
        rename_run(tmp_path, "one", name)
    assert [run.name for run in list_runs(tmp_path)] == ["one", "two"]


def test_a_deleted_run_comes_back_as_it_was(tmp_path):
    before = contents(made(tmp_path, "one", WHOLE).folder)
    gone = delete_run(tmp_path, "one")
    assert list_runs(tmp_path) == []
    assert survey(tmp_path) == []
    assert [(one.name, one.n_bytes) for one in list_trash(tmp_path)] == [("one", gone.n_bytes)]
    assert gone.n_bytes >= sum(map(len, before.values()))
    assert contents(restore_run(tmp_path, "one").folder) == before
    assert list_trash(tmp_path) == []


def test_the_run_that_was_deleted_last_comes_back_first(tmp_path):
    for seed in (1, 2, 3):
        made(tmp_path, "one-20200101-000000", seed=seed)  # a name that looks like one in the trash
        delete_run(tmp_path, "one-20200101-000000")
    seeds = []
    for _ in range(3):
        run = restore_run(tmp_path, "one-20200101-000000")
        seeds.append(run.recipe().seed)
        rename_run(tmp_path, run.name, f"back-{len(seeds)}")
    assert seeds == [3, 2, 1]
    with pytest.raises(RunError, match="no run 'one' in the trash; in it: nothing"):
        restore_run(tmp_path, "one")


def test_a_run_comes_back_only_where_its_name_is_free(tmp_path):
    made(tmp_path, "one", seed=1)
    delete_run(tmp_path, "one")
    made(tmp_path, "one", seed=2)
    with pytest.raises(RunError, match="%runs rename one NEW"):
        restore_run(tmp_path, "one")
    assert find_run(tmp_path, "one").recipe().seed == 2
    assert len(list_trash(tmp_path)) == 1


def test_for_good_means_for_good(tmp_path):
    made(tmp_path, "one"), made(tmp_path, "two")
    delete_run(tmp_path, "one", forever=True)
    assert list_trash(tmp_path) == []
    delete_run(tmp_path, "two")
    (tmp_path / ".trash" / "not-ours").mkdir()
    assert [one.name for one in empty_trash(tmp_path)] == ["two"]
    assert [path.name for path in (tmp_path / ".trash").iterdir()] == ["not-ours"]


def test_a_folder_that_may_be_no_run_goes_into_the_trash_at_most(tmp_path):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="may not be a run"):
        delete_run(tmp_path, "papers", forever=True)
    delete_run(tmp_path, "papers")
    assert (restore_run(tmp_path, "papers").folder / "thesis.txt").read_text() == "years of work"


def test_what_a_link_points_to_is_not_deleted(tmp_path):
    made(tmp_path / "elsewhere", "real")
    root = tmp_path / "runs"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere" / "real")
    for forever in (False, True):
        with pytest.raises(RunError, match="is a link"):
            delete_run(root, "link", forever=forever)
    assert find_run(tmp_path / "elsewhere", "real").recipe()


@pytest.mark.parametrize("name", ["nothing", "../elsewhere", ".trash", "", "."])
def test_only_what_lies_in_the_folder_of_the_runs_is_deleted(tmp_path, name):
    root = tmp_path / "runs"
    made(root, "one"), made(tmp_path, "elsewhere")
    (root / ".trash").mkdir()
    with pytest.raises(RunError):
        delete_run(root, name)
    assert find_run(tmp_path, "elsewhere")
    assert find_run(root, "one")


def test_bytes_are_counted_without_following_links(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"x" * 11)
    size = folder_bytes(tmp_path)
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    assert size == 111
    assert folder_bytes(tmp_path) - size < 300


# Comparing


def test_the_settings_that_differ_are_named_by_their_dotted_path():
    one = recipe_from_dict(DOCUMENT)
    two = one.with_settings(
        {"optimizer.lr": 0.01, "data.fields": {"source": "en"}, "description": "other", "seed": 4}
    )
    assert differing_settings([one.to_dict(), one.to_dict()]) == {}
    assert differing_settings([one.to_dict(), two.to_dict()]) == {
        "seed": (0, 4),
        "data.fields.source": (None, "en"),
        "optimizer.lr": (0.001, 0.01),
    }
    three = {
        key: value for key, value in one.to_dict().items() if key != "lora"
    }  # of an earlier version
    assert differing_settings([one.to_dict(), three])["lora.rank"] == (0, None)


def test_runs_beside_each_other(tmp_path):
    samples = Sampled(30, (Sample("a cat", "eine Katze", "eine Katze!"),))
    runs = [
        made(tmp_path, "one", [*WHOLE, samples, Finished("completed", 30, 61.5, {"bleu": 25.0})]),
        made(
            tmp_path, "two", [*WHOLE[:3], LayersSeen(10, ("a",), (None,), (None,), (1.0,))], seed=4
        ),
    ]
    found = compare(runs)
    assert found.runs == ("one", "two")
    assert found.settings == {"seed": (0, 4)}
    assert found.figures["state"] == ("finished", "not ended")
    assert found.figures["lowest validation loss"] == (2.0, 2.5)
    assert found.figures["at step"] == (20, 10)
    assert found.figures["bleu"] == (25.0, 10.0)
    assert found.figures["chrf"] == (None, 20.0)
    assert "one, two: 1 setting differs" in str(found)
    assert "seed" in found.plain()
    html = render(found.node())
    assert html.count("data:image/svg+xml") == 2  # losses and metrics
    assert "eine Katze!" in html
    lines = {(run, line.name): (line.x, line.y) for run, line in found.charts.loss}
    assert lines["one", "validation"] == ([10, 20, 30], [2.5, 2.0, 2.2])


def test_a_comparison_needs_two_different_runs(tmp_path):
    run = made(tmp_path, "one")
    for runs in ([run], [run, run], []):
        with pytest.raises(InputError, match="two different runs"):
            compare(runs)
    empty = compare([run, made(tmp_path, "two")])
    assert "svg" not in render(empty.node())
    assert "the recipes have the same settings" in empty.plain()


def test_a_run_made_by_hand_is_still_a_run(tmp_path):
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand" / "recipe.json").write_text(json.dumps(DOCUMENT))
    assert compare([Run(tmp_path / "hand"), made(tmp_path, "one")]).figures["steps"] == (0, 0)
