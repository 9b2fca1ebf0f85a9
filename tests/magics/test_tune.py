"""`%tune` in a terminal shell and in a real kernel, on trainings that take tenths of a second."""

from __future__ import annotations

import json
import re
import time

import pytest

pytest.importorskip("optuna", reason="the extra [tune]")

WORDS = """
[data]
source = "number-words"
languages = ["en"]
largest = 60
source_language = "en"
target_language = "digits"
[tokenizer]
vocab_size = 300
[model]
d_model = 8
nhead = 2
num_encoder_layers = 1
num_decoder_layers = 1
dim_feedforward = 8
[schedule]
epochs = {epochs}
warmup_steps = 2
[batch]
tokens = 300
[evaluation]
every_steps = 2
rows = 2
metric = "exact_match"
[search]
"optimizer.lr" = [1e-3, 1e-2]
"""
NOTEBOOK = """import torch
torch.manual_seed(0)
module = torch.nn.Linear(1, 1)
rows = [(x, 2 * x + 1) for x in torch.rand(32, 1)]
held_out = [(x, 2 * x + 1) for x in torch.rand(8, 1)]
"""
OBJECTS = """model = "module"
data = "rows"
validation = "held_out"
loss = "mse"
[set]
schedule.epochs = {epochs}
batch.rows = 8
evaluation.every_steps = 5
evaluation.watch_every = 0
[search]
"optimizer.lr" = [0.01, 0.1, 0.2]
"""


def words(epochs=2):
    return WORDS.replace("{epochs}", str(epochs))


def objects(epochs=5):
    return OBJECTS.replace("{epochs}", str(epochs))


def test_a_cell_searches_and_the_best_run_can_be_used_at_once(cells):
    result = cells.run(f"%%tune --name better --trials 2 --out found\n{words()}")
    assert cells.shell.user_ns["found"] is result
    lines = cells.output.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["t000", "complete"], ["t001", "complete"]]
    assert any("best so far" in line for line in lines)
    assert "run:better" in cells.output.stdout
    assert result.settings == {"optimizer.lr": 1e-2}
    assert cells.run("%translate --model run:better forty-two").provenance.model == "run:better"
    assert [row[:3] for row in cells.run("%tune --list").rows] == [("better", "ended", "2 of 2")]
    shown = cells.run("%tune --attach better")
    assert shown.board.best.settings == result.settings
    assert "data:image/svg+xml" in shown._repr_mimebundle_()[0]["text/html"]


def test_objects_of_the_notebook_are_searched_with_and_found_again_when_the_search_goes_on(cells):
    cells.run(NOTEBOOK)
    first = cells.run(f"%%tune --name lines --trials 1 --quiet\n{objects()}")
    assert first is None or len(first.trials) == 1
    result = cells.run("%tune --resume lines --trials 3")
    assert [trial.state for trial in result.trials] == ["complete"] * 3
    cells.run("del rows")
    with pytest.raises(Exception, match="data = rows"):
        cells.run("%tune --resume lines --trials 4")


def test_a_search_in_the_background_is_looked_at_and_stopped(cells):
    cells.run(NOTEBOOK)
    search = cells.run(f"%%tune --name behind --trials 3 --background\n{objects(100_000)}")
    assert not search.done
    assert cells.run("%tune --attach behind") is search
    assert [row[:2] for row in cells.run("%tune --list").rows] == [("behind", "searching")]
    cells.shell.run_line_magic("reload_ext", "llm_magics")
    assert not search.done
    result = cells.run("%tune --stop behind")
    assert result.reason == "stopped"
    assert cells.run("%tune --list").rows[0][1] == "can go on"


def test_the_equivalent_python_searches_the_same(cells):
    code = str(cells.run(f"%%tune --name twin --trials 2 --code\n{words(1)}"))
    cells.run(code)
    assert cells.shell.user_ns["result"].run == "twin"
    cells.run(NOTEBOOK)
    code = str(cells.run(f"%%tune --name pair --trials 1 --code\n{objects(1)}"))
    assert "'data': rows" in code
    cells.run(code)
    assert len(cells.shell.user_ns["result"].trials) == 1
    assert "find_study('pair')" in str(cells.run("%tune --attach pair --code"))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%tune --name x", "write what is trained and a \\[search\\] table"),
        ("%%tune\nrecipe = 'number-words'", "--name NAME"),
        ("%%tune --name x\nrecipe = number-words", "not valid TOML"),
        ("%tune --list --attach x", "do not go together"),
        ("%%tune --resume x\nrecipe = 'number-words'", "leave the cell below it empty"),
        ("%tune --trials 0", "whole number"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(cells, cell, message):
    assert re.search(message, cells.refusal(cell))


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("%%tune --name x\nrecipe = 'number-words'", "RecipeError"),
        ("%tune --attach nothing", "RunError"),
        ("%tune --stop nothing", "RunError"),
        ("%%tune --name ../x\nrecipe = 'number-words'\n[search]\nseed = [1]", "RunError"),
    ],
)
def test_what_the_training_room_refuses_is_one_line_that_says_so(cells, cell, name):
    with pytest.raises(Exception, match=".") as caught:
        cells.run(cell)
    assert type(caught.value).__name__ == name
    assert len(caught.value._render_traceback_()) == 1


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            words().replace('"number-words"', '"files"\ntrain = "absent.csv"'),
            "data file 'absent.csv' not found",
        ),
        (objects().replace('"mse"', '"broken"'), "boom"),
    ],
)
def test_what_every_trial_would_meet_ends_the_search_and_leaves_no_study(cells, cell, message):
    cells.run(f"{NOTEBOOK}\ndef broken(output, target): raise ValueError('boom')")
    with pytest.raises(Exception, match=message):
        cells.run(f"%%tune --name gone --trials 3\n{cell}")
    assert "t000" not in cells.output.stdout, "the message stands there once"
    assert cells.run("%tune --list").rows == ()
    cells.run(f"%%tune --name gone --trials 1 --quiet\n{objects()}")
    assert [row[0] for row in cells.run("%tune --list").rows] == ["gone"]


def test_an_error_that_every_trial_would_meet_leaves_a_study_that_goes_on_as_it_was(cells):
    cells.run(NOTEBOOK)
    cells.run(f"%%tune --name kept --trials 1 --quiet\n{objects()}")
    cells.run("right, rows = rows, [(torch.zeros(1), torch.zeros(2))] * 9")
    with pytest.raises(Exception, match="give both one shape"):
        cells.run("%tune --resume kept --trials 3")
    cells.run("rows = right")
    assert [trial.state for trial in cells.run("%tune --resume kept --trials 3").trials] == [
        "complete"
    ] * 3


BUSY = """import time
end = time.monotonic() + 60
while search.board().trials[0].state == "running" and time.monotonic() < end:
    time.sleep(0.02)
print(search.board().trials[0].state)
"""


@pytest.mark.slow
def test_in_a_kernel_the_board_is_live_and_a_button_stops_one_trial_while_a_cell_runs(kernel):
    kernel.run(NOTEBOOK)
    _, outputs, _ = kernel.run(
        f"%%tune --name live --trials 2 --background --out search\n{objects(100_000)}"
    )
    view = outputs[0]["data"]["application/vnd.jupyter.widget-view+json"]
    kernel.run(
        "import time\nwhile not (search.board().trials and search.board().trials[0].steps): "
        "time.sleep(0.02)"
    )
    request = kernel.start(BUSY)
    time.sleep(0.5)
    click(kernel, view["model_id"], {"do": "stop_trial", "trial": 0})
    _, outputs, _ = kernel.finish(request)
    assert outputs[-1]["text"].strip() == "stopped"
    _, outputs, _ = kernel.run(
        "from ipywidgets.widgets.widget import _instances\n"
        f"board, end = _instances[{view['model_id']!r}], time.monotonic() + 20\n"
        "while board.trials[0]['state'] == 'running' and time.monotonic() < end: time.sleep(0.05)\n"
        "print(board.trials[0]['state'], board.stoppable)"
    )
    assert outputs[-1]["text"].split() == ["stopped", "True"]
    kernel.run("r = %tune --stop live")
    _, outputs, _ = kernel.run(
        "import time\ntime.sleep(1)\nprint(board.status, board.stoppable, r.reason)"
    )
    assert outputs[-1]["text"].split() == ["interrupted", "False", "stopped"]


@pytest.mark.slow
def test_the_board_of_a_finished_search_stays_in_the_saved_notebook(kernel):
    kernel.run(NOTEBOOK)
    reply, outputs, updates = kernel.run(f"%%tune --name kept --trials 3\n{objects()}")
    assert reply["status"] == "ok"
    assert "application/vnd.jupyter.widget-view+json" in outputs[0]["data"]
    assert updates[-1]["data"]["text/plain"].startswith("finished: kept: 3 complete")
    assert updates[-1]["data"]["text/html"].count("data:image/svg+xml") == 1
    assert "t001" in updates[-1]["data"]["text/html"]
    assert "run:kept" in outputs[-1]["text"]


def click(kernel, model_id, content):
    """Send a widget message as JupyterLab does: to a subshell, where there are such."""
    client = kernel.client
    client.control_channel.send(client.session.msg("create_subshell_request", {}))
    subshell = client.get_control_msg(timeout=20)["content"].get("subshell_id")
    message = client.session.msg(
        "comm_msg", {"comm_id": model_id, "data": {"method": "custom", "content": content}}
    )
    message["header"]["subshell_id"] = subshell
    client.shell_channel.send(message)


@pytest.mark.slow
def test_interrupting_the_cell_ends_the_search_in_order_and_it_goes_on_later(kernel):
    kernel.run(NOTEBOOK)
    interrupted = []

    def interrupt(outputs, updates):
        if outputs and not interrupted:
            time.sleep(3)
            interrupted.append(True)
            kernel.manager.interrupt_kernel()

    cell = objects(100_000)
    reply, outputs, _ = kernel.finish(
        kernel.start(f"%%tune --name cut --out r\n{cell}"), until=interrupt
    )
    assert reply["status"] == "ok", json.dumps(outputs)[:2000]
    _, outputs, _ = kernel.run("print(r.reason, r.trials[0].state)")
    assert outputs[-1]["text"].strip() == "stopped interrupted"
