"""Train a recipe without a notebook:  python -m llm_magics.training RECIPE [--name NAME] [--threads N]

An interrupted training goes on from its newest checkpoint when the same name is given again.
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m llm_magics.training", description=__doc__.splitlines()[0]
    )
    parser.add_argument("recipe", help="a shipped recipe's name or a TOML file")
    parser.add_argument("--name", help="name of the run; an existing one is resumed")
    parser.add_argument("--root", type=Path, help="folder of the runs")
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int, help="torch threads")
    arguments = parser.parse_args()

    import torch

    from llm_magics.errors import LLMMagicsError
    from llm_magics.models.manager.device import choose_device
    from llm_magics.models.reference import runs_root
    from llm_magics.training.recipe.recipe import load_recipe
    from llm_magics.training.run.control import Control
    from llm_magics.training.run.events import Evaluated, Finished, LayersSeen, RunStarted, StepDone
    from llm_magics.training.run.loop import train
    from llm_magics.training.runs.runs import create_run, find_run

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    control = Control()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: control.stop())
    root = arguments.root or runs_root()
    try:
        exists = arguments.name and (root / arguments.name / "recipe.json").is_file()
        run = (
            find_run(root, arguments.name)
            if exists
            else create_run(root, load_recipe(arguments.recipe), arguments.name)
        )
        for event in train(run, device=arguments.device or choose_device(), control=control):
            if not isinstance(event, (StepDone, LayersSeen)) or event.step % 100 == 0:
                run.append(event)
            if isinstance(event, (RunStarted, Evaluated, Finished)) or (
                isinstance(event, StepDone) and event.step % 100 == 0
            ):
                print(event, flush=True)
    except LLMMagicsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
