"""Kill a training with SIGKILL at one file event after another of a save, resume it, and compare
with the uninterrupted run.

    python tests/training/crash_points.py FOLDER      prints one JSON object

Each training is a child that was forked from here, where torch is imported already. File events are
what Python's audit hooks see: every open for writing, mkdir, rename, remove, rmdir and rmtree under
the run's folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import torch

from llm_magics.training.recipe.recipe import recipe_from_dict
from llm_magics.training.run import checkpoint
from llm_magics.training.run.events import CheckpointSaved, StepDone
from llm_magics.training.run.loop import train
from llm_magics.training.runs.runs import Run, create_run

RECIPE = {
    "name": "crash",
    "seed": 5,
    "data": {"source": "number-words", "languages": ["en"], "largest": 60},
    "tokenizer": {"vocab_size": 300},
    "model": {
        "d_model": 8,
        "nhead": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "dim_feedforward": 16,
        "dropout": 0.2,
    },
    "schedule": {"epochs": 100, "max_steps": 6, "warmup_steps": 2},
    "batch": {"tokens": 200},
    "evaluation": {
        "every_steps": 2,
        "metric": "exact_match",
        "rows": 1,
        "keep_last": 1,
        "watch_every": 0,
    },
}
WATCHED = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}


def weights_of(run: Run) -> dict[str, str]:
    """Digests of the weights, the optimizer's tensors and the settings of the newest checkpoint."""
    path, _ = checkpoint.latest_valid(run.checkpoints)
    state = json.loads((path / "state.json").read_text())
    del state["seconds"]  # the only thing that depends on the clock
    files = {
        name: (path / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors")
    }
    files["state.json"] = json.dumps(state, sort_keys=True).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def trained(run: Run, kill_at: int | None, log: list[str] | None = None) -> dict[str, str]:
    """Train to the end; during the save of step 4 (and its pruning) the file event `kill_at` is the
    last."""
    count, saving = 0, False

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        if not saving:
            return
        if event == "open":
            mode = arguments[1]
            if not (isinstance(mode, str) and set(mode) & set("wax+")):
                return
        elif event not in WATCHED:
            return
        path = str(arguments[0])
        if (
            os.path.isabs(path) and str(run.folder) not in path
        ):  # rmtree names files relative to their folder
            return
        count += 1
        if log is not None:
            log.append(f"{event} {path.rpartition('/')[2].split('-')[0]}")
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    for event in train(run):
        if isinstance(event, CheckpointSaved) and event.step == 4:
            saving = False
        elif isinstance(event, StepDone) and event.step == 4:
            saving = True
        run.append(event)
    return weights_of(run)


def in_child(work) -> tuple[object, bool]:
    """(what `work` returned, whether it was killed)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            answer = work()
        except BaseException as error:  # noqa: BLE001 - the parent must be told
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    return (json.loads(answer) if answer else None), os.WIFSIGNALED(status)


def main(root: Path) -> dict[str, object]:
    torch.set_num_threads(1)
    recipe = recipe_from_dict(RECIPE)

    def whole() -> dict[str, object]:
        log: list[str] = []
        return {"weights": trained(create_run(root, recipe, "whole"), None, log), "events": log}

    reference, _ = in_child(whole)
    outcomes = {}
    for point in range(1, len(reference["events"]) + 1):
        run = create_run(root, recipe, f"killed-{point}")
        _, killed = in_child(lambda run=run, point=point: trained(run, point))
        resumed, died = in_child(lambda run=run: trained(run, None))
        same = resumed == reference["weights"]
        outcomes[point] = (
            "same" if same and killed and not died else f"killed {killed}, resumed to {resumed}"
        )
    return {"events": reference["events"], "outcomes": outcomes}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]).resolve())))
