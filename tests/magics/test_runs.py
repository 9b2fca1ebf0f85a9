"""`%runs` against runs that lie on disk, one that trains, and in a real kernel."""

from __future__ import annotations

import shutil

import pytest

from llm_magics.errors import RunError, WrongTask
from llm_magics.session import current_session
from llm_magics.training.run.events import Evaluated, Finished, RunStarted, StepDone

TOML = """name = "words"
seed = 1
[data]
source = "number-words"
languages = ["en"]
largest = 120
source_language = "en"
target_language = "digits"
[tokenizer]
vocab_size = 330
[model]
d_model = 16
nhead = 2
num_encoder_layers = 1
num_decoder_layers = 1
dim_feedforward = 32
[schedule]
epochs = 2
warmup_steps = 5
[batch]
tokens = 300
[evaluation]
every_steps = 3
metric = "exact_match"
rows = 3
"""
EVENTS = [
    RunStarted("words", 0, 20, 1234, 90, 10, "cpu"),
    StepDone(10, 20, 1.0, 3.0, 1e-3, 1.0, 500.0, 2.0),
    Evaluated(10, 1.0, 2.5, {"exact_match": 12.5}),
    Finished("completed", 20, 4.0, {"exact_match": 25.0}),
]


@pytest.fixture
def made(cells, tiny_model):
    """Makes a finished run whose model is the tiny one."""
    from llm_magics.training.recipe.recipe import recipe_from_dict
    from llm_magics.training.runs.runs import create_run

    def made(name, events=EVENTS, **settings):
        document = {"name": "words", "data": {"source": "number-words", "languages": ["en"]}}
        run = create_run(
            current_session().runs_root, recipe_from_dict(document).with_settings(settings), name
        )
        for event in events:
            run.append(event)
        shutil.copytree(tiny_model, run.model_folder)
        return run

    return made


def names(table):
    return {row[0] for row in table.rows}


def row(cells, name):
    table = cells.run("%runs")
    return dict(zip(table.headers, next(row for row in table.rows if row[0] == name), strict=True))


def test_without_runs_the_list_says_how_one_is_made(cells):
    assert "%train makes one" in cells.run("%runs").text()


def test_the_list_tells_every_run_in_a_line(cells, made):
    made("one")
    (current_session().runs_root / "foreign").mkdir()
    assert names(cells.run("%runs")) == {"one", "foreign"}
    found = row(cells, "one")
    assert (found["state"], found["task"], found["model"]) == (
        "finished",
        "translate",
        "transformer",
    )
    assert (found["step"], found["lowest loss"], found["metric"]) == (
        "20",
        "2.500",
        "exact match 25",
    )
    assert row(cells, "foreign")["state"].startswith("damaged: no recipe.json")


def test_settings_that_differ_and_figures_stand_beside_each_other(cells, made):
    made("one"), made("two", EVENTS[:3], seed=4)
    comparison = cells.run("%runs compare one two --out found")
    assert cells.shell.user_ns["found"] is comparison
    assert comparison.settings == {"seed": (0, 4)}
    assert comparison.figures["state"] == ("finished", "not ended")
    shown = cells.output.stdout
    assert "seed" in shown
    assert "lowest validation loss" in shown
    assert "data:image/svg+xml" in comparison._repr_mimebundle_()[0]["text/html"]


def test_a_run_is_shown_with_its_record(cells, made):
    made("one")
    about = dict(cells.run("%runs show one").rows)
    assert "completed at step 20" in cells.output.stdout
    assert about["lowest validation loss"] == "2.5000 nats a target, at step 10"
    assert about["step"] == "20 of 20"


def test_a_renamed_run_takes_its_model_along_and_the_old_one_is_unloaded(cells, made):
    made("one")
    cells.run("%models load run:one")
    assert "run:first" in cells.run("%runs rename one first")
    assert cells.run("%models").rows == ()
    assert names(cells.run("%runs")) == {"first"}
    assert (
        cells.run("%translate --from en --to de --model run:first The cat sleeps.").provenance.model
        == "run:first"
    )
    made("one")
    with pytest.raises(RunError, match="'first' exists"):
        cells.run("%runs rename one first")


def test_deleted_runs_come_back_until_the_trash_is_emptied(cells, made):
    made("one"), made("two"), made("three")
    with pytest.raises(RunError, match="no run named 'tow'"):
        cells.run("%runs delete one tow")
    assert names(cells.run("%runs")) == {"one", "two", "three"}  # all or none
    assert "%runs restore two" in cells.run("%runs delete one two")
    assert names(cells.run("%runs trash")) == {"one", "two"}
    assert "2 in the trash" in cells.run("%runs").text()
    assert cells.run("%runs restore two") == "two is back"
    assert "deleted for good" in cells.run("%runs delete --forever three")
    assert cells.run("%runs empty-trash").startswith("1 run deleted for good")
    assert names(cells.run("%runs")) == {"two"}
    assert not cells.run("%runs trash").rows


def test_a_pinned_model_keeps_its_run(cells, made):
    made("one")
    cells.run("%models load run:one"), cells.run("%models pin run:one")
    with pytest.raises(RunError, match="%models unpin run:one"):
        cells.run("%runs delete one")
    assert names(cells.run("%runs")) == {"one"}
    cells.run("%models unpin run:one"), cells.run("%runs delete one")
    assert cells.run("%models").rows == ()


def test_a_run_that_trains_here_is_neither_renamed_nor_deleted_and_goes_on_afterwards(cells):
    run = cells.run(f"%%train --name busy --background --set schedule.epochs=5000\n{TOML}")
    try:
        assert row(cells, "busy")["state"] == "running here"
        for line in ("delete busy", "rename busy other", "delete --forever busy"):
            with pytest.raises(RunError, match="%train --stop busy"):
                cells.run(f"%runs {line}")
    finally:
        stopped = cells.run("%train --stop busy")
    assert not run.error
    assert row(cells, "busy")["state"] == "stopped"
    resumed = cells.run("%runs resume busy --background")
    try:
        assert resumed is not run
        assert resumed.name == "busy"
    finally:
        assert cells.run("%train --stop busy").steps >= stopped.steps
    assert "busy" in cells.run("%runs delete busy")
    assert current_session().training == {}


def test_an_exported_run_translates_as_the_run_does(cells, made, tmp_path):
    made("one")
    written = cells.run(f"%runs export one --to {tmp_path / 'out'}")
    assert written.family == "pegasus"
    assert "AutoModelForSeq2SeqLM" in cells.output.stdout
    texts = [
        cells.run(f"%translate --from en --to de --model {model} The cat sleeps.").text
        for model in ("run:one", tmp_path / "out")
    ]
    assert len(texts[0]) > 50
    assert texts[1].startswith(
        texts[0]
    )  # the two have other limits to what a model of random weights writes
    for format in ("copy", "card"):
        assert (
            cells.run(f"%runs export one --to {tmp_path / format} --format {format}").format
            == format
        )


def test_what_has_no_twin_in_transformers_says_so_in_one_line(cells, made, tmp_path):
    run = made("one")
    config = run.model_folder / "config.json"
    text = (
        '{"format": "llm_magics", "format_version": 1, "architecture": "RecurrentSeq2Seq", '
        '"arguments": '
        '{"src_vocab_size": 9, "tgt_vocab_size": 9, "embedding_size": 8, "hidden_size": 8}}'
    )
    config.write_text(text)
    with pytest.raises(WrongTask, match="no recurrent translators") as caught:
        cells.run(f"%runs export one --to {tmp_path / 'out'}")
    assert len(caught.value._render_traceback_()) == 1


def test_a_dry_run_changes_nothing(cells, made, tmp_path):
    made("one"), made("two")
    cells.run("%runs delete two")
    for line, said in (
        ("delete one", "would move to the trash: one"),
        ("delete --forever one", "would delete for good: one"),
        ("rename one other", "would rename one to other"),
        ("restore two", "would move two"),
        ("empty-trash", "would delete 1 run for good"),
        ("resume one --epochs 20", "parameters"),
        (f"export one --to {tmp_path / 'out'}", "family pegasus"),
        ("compare one two", "no model"),
        ("", "no model"),
    ):
        assert said in str(cells.run(f"%runs {line} --dry-run")), line
    assert names(cells.run("%runs")) == {"one"}
    assert names(cells.run("%runs trash")) == {"two"}
    assert not (tmp_path / "out").exists()


def test_the_equivalent_python_does_the_same(cells, made):
    for name in ("one", "two", "three"):
        made(name)
    for line in (
        "",
        "show one",
        "compare one two",
        "rename one first",
        "export first --to here --format card --force",
        "delete two three",
        "trash",
        "restore three",
        "delete --forever three",
        "empty-trash",
    ):
        cells.run(str(cells.run(f"%runs --code {line}")))
    assert names(cells.run("%runs")) == {"first"}
    assert cells.run("%runs trash").rows == ()
    assert cells.shell.user_ns["written"].files == ("README.md",)
    assert cells.shell.user_ns["comparison"].runs == ("one", "two")
    assert "train(name='first')" in cells.run("%runs resume first --code")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("comprae a b", "did you mean 'compare'?"),
        ("compare a", "at least 2 names, 1 given: %runs compare A B"),
        ("rename a", "2 names, 1 given: %runs rename OLD NEW"),
        ("delete", "at least 1 name, 0 given"),
        ("show", "1 name, 0 given: %runs show NAME"),
        ("trash a", "0 names, 1 given"),
        ("export a", "--to FOLDER"),
        ("export a --to x --format pickle", "pickle"),
        ("delete a --to x", "--to goes with %runs export"),
        ("--forever", "--forever goes with %runs delete"),
        ("rename a b --background", "--background goes with %runs resume"),
        ("compare a a", "no run named"),
    ],
)
def test_wrong_words_are_answered_in_one_line(cells, line, answer):
    if line == "compare a a":
        with pytest.raises(RunError, match=answer):
            cells.run(f"%runs {line}")
    else:
        assert answer in cells.refusal(f"%runs {line}")


@pytest.mark.parametrize(
    "line",
    [
        "show ../x",
        "resume --list",
        "resume nothing",
        "rename nothing x",
        "restore nothing",
        "export nothing --to x",
        "compare nothing x",
        "delete ..",
    ],
)
def test_what_is_no_run_is_refused_before_anything_happens(cells, made, line):
    made("one")
    with pytest.raises(Exception, match="run|option"):
        cells.run(f"%runs {line}")
    assert names(cells.run("%runs")) == {"one"}


def test_names_of_runs_are_completed_one_after_the_other(cells, made):
    from llm_magics.magics import find_command
    from llm_magics.magics.core.completion import candidates

    made("one"), made("two")
    cells.run("%runs delete two")
    made("three")
    command = find_command("runs")
    assert candidates(command, "comp", {}) == ("comp", list(command.words[0].choices))
    for line in ("compare ", "compare one ", "delete one three "):
        assert candidates(command, line, {})[1] == ["one", "three"]


@pytest.mark.slow
def test_a_comparison_in_a_notebook_is_a_live_panel_that_is_also_a_picture(kernel):
    setup = (
        "from llm_magics import current_session\nfrom llm_magics.training.recipe.recipe import "
        "recipe_from_dict\n"
        "from llm_magics.training.runs.runs import create_run\n"
        "from llm_magics.training.run.events import Evaluated, RunStarted, StepDone\n"
        "for number, name in enumerate(('one', 'two')):\n"
        "    document = {'seed': number, 'data': {'source': 'number-words'}}\n"
        "    run = create_run(current_session().runs_root, recipe_from_dict(document), name)\n"
        "    for event in (RunStarted(name, 0, 9, 1, 1, 1, 'cpu'), StepDone(5, 9, 1.0, 3.0, "
        "1e-3, 1.0, 9.0, 1.0),\n"
        "                  Evaluated(5, 1.0, 2.5, {'bleu': 9.0}), StepDone(9, 9, 2.0, 2.0, 1e-3, "
        "1.0, 9.0, 2.0)):\n"
        "        run.append(event)\n"
    )
    assert kernel.run(setup)[0]["status"] == "ok"
    reply, outputs, _ = kernel.run("%runs compare one two")
    assert reply["status"] == "ok"
    panel, tables = (output["data"] for output in outputs)
    assert "application/vnd.jupyter.widget-view+json" in panel
    assert "data:image/svg+xml" in panel["text/html"]
    assert "seed" in tables["text/html"]
    assert "data:image/svg+xml" not in tables["text/html"]  # one picture is enough
