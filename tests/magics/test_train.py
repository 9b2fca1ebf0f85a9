"""`%train` in a terminal shell and in a real kernel, on a recipe that takes seconds."""

from __future__ import annotations

import re
import time

import pytest

from llm_magics.errors import DataError, InputError, RunError
from llm_magics.session import current_session

RECIPE = """name = "words"
seed = 1
[data]
source = "number-words"
languages = ["en"]
largest = 200
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
epochs = {epochs}
warmup_steps = 5
[batch]
tokens = 300
[evaluation]
every_steps = 5
metric = "exact_match"
rows = 5
"""


def recipe(epochs):
    return RECIPE.replace("{epochs}", str(epochs))


def test_a_recipe_in_the_cell_trains_a_model_that_is_usable_at_once(cells):
    result = cells.run(f"%%train --name first --seed 5 --out trained\n{recipe(1)}")
    assert cells.shell.user_ns["trained"] is result
    assert result.model == "run:first"
    lines = cells.output.stdout.splitlines()
    assert lines[0].startswith("first: ")
    assert "181 training rows" in lines[1]
    assert lines[2].strip().startswith("only ")
    assert "validation loss" in lines[3]
    assert any(line.startswith("completed at step") for line in lines)
    assert current_session().find_run("first").recipe().seed == 5
    view = cells.run("%attention run:first --target 42 forty-two")
    assert {panel["kind"] for panel in view.sources[0]["panels"]} == {"encoder", "decoder", "cross"}
    assert cells.run("%translate --model run:first forty-two").provenance.model == "run:first"


def test_the_list_shows_recipes_and_runs(cells):
    assert "number-words" in repr(cells.run("%train --list"))
    cells.run(f"%%train --name listed --epochs 0.3\n{recipe(9)}")
    listing = cells.run("%train --list")
    assert [row[:2] for row in listing.runs.rows] == [("listed", "completed")]


def test_a_run_is_shown_again_from_its_record(cells):
    cells.run(f"%%train --name seen --epochs 0.3 --quiet\n{recipe(9)}")
    assert cells.output.stdout.strip() in ("", "Out[0]:")
    cells.run("%train --attach seen")
    assert "completed at step" in cells.output.stdout
    assert "run:seen, ended; files in " in cells.output.stdout
    assert "no model" in cells.run("%train --attach seen --dry-run")


def test_in_the_background_the_cell_returns_at_once_and_the_run_can_be_stopped(cells):
    run = cells.run(f"%%train --name behind --background\n{recipe(500)}")
    assert not run.done
    assert "behind" in {row[0] for row in cells.run("%train --list").runs.rows}
    result = cells.run("%train --stop behind")
    assert result.reason == "stopped"
    assert run.wait(60)
    assert current_session().find_run("behind").model_folder.is_dir()


def test_a_stopped_run_goes_on(cells):
    cells.run(f"%%train --name halves --background\n{recipe(2)}")
    first = cells.run("%train --stop halves")
    second = cells.run("%train --resume halves")
    assert second.steps > first.steps
    assert second.reason == "completed"


def test_the_equivalent_python_trains_the_same_model(cells):
    code = cells.run(f"%%train --code --epochs 0.2 --name twin\n{recipe(1)}")
    cells.run(str(code))
    assert cells.shell.user_ns["result"].name == "twin"
    assert repr(cells.shell.user_ns["run"]).startswith("run:twin, ended; files in ")
    assert "result" not in str(cells.run("%train --code --recipe number-words --background"))


def test_a_dry_run_trains_nothing(cells):
    table = cells.run(f"%%train --dry-run\n{recipe(1)}")
    assert "parameters" in dict(table.rows)["model"]
    assert current_session().runs() == []


def test_unloading_while_a_training_runs_does_not_end_it(cells):
    run = cells.run(f"%%train --name survivor --background\n{recipe(500)}")
    cells.shell.run_line_magic("reload_ext", "llm_magics")
    assert not run.done
    assert current_session().training["survivor"] is run
    run.stop()
    assert run.wait(60)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("%train --recipe number-wrods", "RecipeError"),
        ("%%train\nseed = 1\n[data]\nsorce = 'x'", "RecipeError"),
        ("%train --attach nothing", "RunError"),
        ("%train --stop nothing", "RunError"),
        ("%train --recipe number-words --name ../x", "RunError"),
    ],
)
def test_what_the_training_room_refuses_is_one_line_that_says_so(cells, cell, name):
    with pytest.raises(Exception, match=".") as caught:
        cells.run(cell)
    assert type(caught.value).__name__ == name
    assert len(caught.value._render_traceback_()) == 1


@pytest.mark.slow
def test_interrupting_a_training_in_a_kernel_ends_it_in_order(kernel):
    record = kernel.home / "runs" / "cut" / "events.jsonl"
    cell = kernel.start(f"%%train --name cut --out r\n{recipe(5000)}")
    end = time.monotonic() + 60
    while not (record.is_file() and "StepDone" in record.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    kernel.manager.interrupt_kernel()
    reply, outputs, updates = kernel.finish(cell)
    assert reply["status"] == "ok"
    assert "application/vnd.jupyter.widget-view+json" in outputs[0]["data"]
    assert "data:image/svg+xml" in updates[-1]["data"]["text/html"]
    assert "interrupted" in updates[-1]["data"]["text/plain"]
    reply, outputs, _ = kernel.run(
        "print(r.reason, r.folder.joinpath('model', 'config.json').is_file())"
    )
    assert outputs[-1]["text"].strip() == "stopped True"


@pytest.mark.slow
def test_the_curve_of_a_finished_training_holds_its_values(kernel):
    reply, outputs, updates = kernel.run(f"%%train --name drawn --out r\n{recipe(1)}")
    assert reply["status"] == "ok"
    assert "application/vnd.jupyter.widget-view+json" in outputs[0]["data"]
    assert "finished" in updates[-1]["data"]["text/plain"]
    assert "validation" in updates[-1]["data"]["text/plain"]
    reply, outputs, updates = kernel.run("%train --attach drawn")
    assert "finished" in (updates[-1]["data"]["text/plain"])


def test_optimizer_and_learning_rate_take_the_place_of_the_recipes(cells):
    assert "adam" in cells.refusal(
        f"%%train --name rated --epochs 0.2 --optimizer adm --lr 0.004\n{recipe(9)}"
    )
    cells.run(
        f"%%train --name rated --epochs 0.2 --optimizer momentum --lr 0.004 --quiet\n{recipe(9)}"
    )
    from llm_magics import current_session

    optimizer = current_session().find_run("rated").recipe().optimizer
    assert (optimizer.name, optimizer.lr) == ("momentum", 0.004)


ROWS = [
    {"text": word, "label": "ab"[number % 2]}
    for number, word in enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight"])
]
FEW = "--task classify --epochs 1 --set model.d_model=8"


def test_other_data_under_a_name_that_is_taken_is_refused_and_not_answered_with_the_old_run(cells):
    cells.shell.user_ns["rows"] = ROWS
    first = cells.run(f"%train gru --data rows {FEW} --name taken")
    with pytest.raises(RunError, match="--replace"):
        cells.run("%train lstm --data rows --task classify --name taken")
    assert cells.run("%train --resume taken --data rows --epochs 2").steps == 2 * first.steps


def test_resuming_what_trains_here_already_leaves_it_in_hand(cells):
    run = cells.run(f"%%train --name busy --background\n{recipe(500)}")
    with pytest.raises(RunError, match="%train --stop busy"):
        cells.run("%train --resume busy")
    assert current_session().training["busy"] is run
    assert cells.run("%train --stop busy").reason == "stopped"


def test_a_resume_that_fails_before_it_begins_says_nothing_of_the_run(cells):
    cells.shell.user_ns["rows"] = ROWS
    cells.run(f"%train gru --data rows {FEW} --name whole")
    with pytest.raises(DataError, match="give it again"):
        cells.run("%train --resume whole --epochs 2")
    run = current_session().find_run("whole")
    assert [summary.state for summary in current_session().survey_runs()] == ["finished"]
    assert (run.recipe().schedule.epochs, run.earlier_recipes()) == (1, {})
    with pytest.raises(RunError, match="runs in this notebook"):
        cells.run("%train --stop whole")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gru --data rows --task answer", "fine-tuning only"),
        ("gru --data rows --task classify --lora 2", "lora.rank = 2"),
        ("gru --data rows --task classify --augment join=0.1", "augmentation.join"),
        ("gru --data rows --task classify --set data.languages=en", "expected a list"),
        ("net --data rows --task classify", "--loss"),
        ("net --data mapping --loss mse", "TensorDataset"),
        ("net --data pairs.csv --loss mse", "object of the notebook"),
        ("held['net'] --data pairs --loss mse", "one shape"),
        ("net --data pairs --loss broken", r"boom \(in broken, line 1"),
        ("transformer --data rows --from en --to de", "--fields source="),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_trained(cells, line, message):
    import torch

    net, pairs = torch.nn.Linear(2, 1), [(torch.zeros(2), torch.tensor(1.0))] * 4
    cells.shell.user_ns |= {
        "rows": ROWS,
        "net": net,
        "held": {"net": net},
        "mapping": {"x": 1},
        "pairs": pairs,
    }
    cells.run("def broken(output, target): raise ValueError('boom')")
    with pytest.raises(Exception, match=message) as caught:
        cells.run(f"%train {line}")
    assert "\n" not in str(caught.value)


def test_a_finished_run_goes_on_to_a_later_end_and_says_what_that_does_to_the_rate(cells):
    first = cells.run(f"%%train --name long\n{recipe(1)}")
    with pytest.raises(
        RunError,
        match=r"run long is finished .*; give --epochs.*: %train --resume long --epochs 2$",
    ):
        cells.run("%train --resume long")
    second = cells.run("%train --resume long --epochs 2")
    assert "the schedule now runs to 2 epochs" in cells.output.stdout
    assert (second.reason, second.steps) == ("completed", 2 * first.steps)
    assert (
        dict(cells.run("%runs show long").rows)[f"until step {first.steps}"]
        == "schedule.epochs = 1.0"
    )
    with pytest.raises(Exception, match="not optimizer.lr"):
        cells.run("%train --resume long --epochs 3 --lr 0.1")
    assert "overrides={'schedule.epochs': 3.0}" in str(
        cells.run("%train --resume long --epochs 3 --code")
    )


def test_a_new_run_begins_with_the_model_of_another(cells):
    cells.shell.user_ns["rows"] = ROWS
    cells.run(f"%train gru --data rows {FEW} --name one")
    cells.run("%train run:one --data rows --name two")
    assert (
        "begun with the model and the tokenizer of run:one; the optimizer is new"
        in cells.output.stdout
    )
    assert dict(cells.run("%runs show two").rows)["begun with"] == "run:one"
    assert "%train --resume one" in cells.refusal("%train run:one")
    assert (
        "those of run:one" in dict(cells.run("%train run:one --data rows --dry-run").rows)["model"]
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "net --data pairs --loss mse --from en --to de",
            "^--from is for translate and summarize; a module of the notebook",
        ),
        ("gru --data rows --task classify --to de", "^--to is for"),
        ("gru --data rows --task classify --loss mse", "^--loss is for a module of the notebook"),
        (
            "org/bert --data rows --task classify --tokenizer word",
            "^--tokenizer is for a model that is built from scratch; org",
        ),
        ("org/bert --data rows --task classify --vocab 100", "^--vocab is for"),
        ("net --data pairs --loss mse --skip-bad-rows", "^--skip-bad-rows is for models of text"),
        ("--recipe number-words --set batch.rows=8", "^batch.rows is for a module of the notebook"),
        (
            "net --data pairs",
            "give --loss, a function of .* or one of cross_entropy, mse.*none was given",
        ),
        ("net --data pairs --loss mes", "got 'mes'"),
    ],
)
def test_an_option_that_means_nothing_or_is_missing_is_said_at_the_call(cells, line, message):
    import torch

    cells.shell.user_ns |= {
        "rows": ROWS,
        "net": torch.nn.Linear(2, 1),
        "pairs": [(torch.zeros(2), torch.zeros(1))] * 4,
    }
    with pytest.raises(Exception, match=message):
        cells.run(f"%train {line} --background")
    assert current_session().runs() == []


def test_a_module_without_a_loss_fails_at_the_call():
    import torch

    from llm_magics import train

    with pytest.raises(InputError, match="give --loss"):
        train(model=torch.nn.Linear(2, 1), data=[(torch.zeros(2), torch.zeros(1))] * 4)


def test_a_run_that_fails_before_its_first_step_leaves_its_name_free(cells):
    import torch

    cells.shell.user_ns |= {
        "net": torch.nn.Linear(2, 1),
        "pairs": [(torch.zeros(2), torch.zeros(1))] * 40,
    }
    cells.run("def broken(output, target): raise ValueError('boom')")
    with pytest.raises(Exception, match="boom"):
        cells.run("%train net --data pairs --loss broken --name mine")
    assert current_session().runs() == []
    result = cells.run("%train net --data pairs --loss mse --name mine --epochs 1 --quiet --out r")
    assert cells.shell.user_ns["r"].name == "mine"
    assert result is None or result.name == "mine"
    assert "nats" not in dict(cells.run("%runs show mine").rows)["lowest validation loss"]
    assert "nats" not in (current_session().find_run("mine").model_folder / "card.md").read_text()


def test_a_run_that_fails_later_keeps_its_record(cells):
    import torch

    cells.shell.user_ns |= {
        "net": torch.nn.Linear(2, 1),
        "pairs": [(torch.zeros(2), torch.zeros(1))] * 90,
    }
    cells.run(
        "calls = []\ndef tired(output, target):\n    calls.append(1)\n    if len(calls) > 2: "
        "raise ValueError('enough')\n"
        "    return ((output - target) ** 2).mean()"
    )
    with pytest.raises(Exception, match="enough"):
        cells.run("%train net --data pairs --loss tired --name mine")
    assert [one.state for one in current_session().survey_runs()] == ["failed"]


def test_a_dry_run_reads_the_first_rows_and_says_what_is_not_known(cells, home):
    rows = "".join(f"good {number},1\nbad {number},2\n" for number in range(50))
    (home.parent / "rows.csv").write_text(f"review,stars\n{rows}")
    with pytest.raises(DataError, match="no column 'text' for text"):
        cells.run("%train gru --data rows.csv --task classify --dry-run")
    line = "%train gru --data rows.csv --task classify --fields text=review,label=stars"
    limited = dict(cells.run(f"{line} --vocab 500 --dry-run").rows)["model"]
    most = int(
        re.search(r"at most ([\d,]+) parameters \(vocabulary limit 500\)", limited)[1].replace(
            ",", ""
        )
    )
    cells.run(f"{line} --vocab 500 --epochs 1 --name real --quiet")
    (trained,) = (one.parameters for one in current_session().survey_runs())
    assert 0 < trained <= most
    assert [run.name for run in current_session().runs()] == ["real"]


def test_a_dry_run_counts_the_parameters_of_a_module_and_of_a_model_to_fine_tune(cells):
    import torch

    cells.shell.user_ns |= {
        "net": torch.nn.Linear(2, 1),
        "pairs": [(torch.zeros(2), torch.zeros(1))] * 4,
        "rows": ROWS,
    }
    assert (
        "3 parameters"
        in dict(cells.run("%train net --data pairs --loss mse --dry-run").rows)["model"]
    )
    absent = dict(cells.run("%train org/absent --data rows --task classify --dry-run").rows)
    assert "unknown before the download" in absent["model"]
    assert absent["memory needed"] == "unknown"
