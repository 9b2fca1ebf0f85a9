"""What the live panel costs a training: seconds a step in a real kernel, with the panel and with
--quiet, interleaved.

    python benchmarks/panel.py [--steps 150] [--rounds 5]

A kernel of its own runs `%train` cells on the number-words recipe; a client takes in every message,
as a browser would. Printed are medians of the seconds a step (over the steps that the run's record
holds) and their ratio.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from pathlib import Path

from jupyter_client.manager import start_new_kernel

from llm_magics.training.run.events import StepDone
from llm_magics.training.runs.runs import Run


def seconds_a_step(client, home: Path, name: str, steps: int, quiet: bool) -> float:
    """Train in the kernel; the mean over the recorded steps but the first ones."""
    line = (
        f"%train --recipe number-words --name {name} --set "
        f"schedule.max_steps={steps},schedule.epochs=100,"
        f"evaluation.every_steps={steps},evaluation.rows=1{' --quiet' if quiet else ''}"
    )
    reply = client.execute_interactive(line, timeout=600, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok", reply["content"]
    told = [
        event
        for event in Run(home / "runs" / name).events()
        if isinstance(event, StepDone) and event.step > 10
    ]
    return (told[-1].seconds - told[0].seconds) / (told[-1].step - told[0].step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    found: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = {
            **os.environ,
            "LLM_MAGICS_HOME": folder,
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive",
            "HF_HUB_OFFLINE": "1",
        }
        manager, client = start_new_kernel(env=environment)
        try:
            client.execute_interactive("%load_ext llm_magics", timeout=60)
            seconds_a_step(client, home, "warm-up", 30, quiet=False)
            for number in range(arguments.rounds):
                for quiet in (number % 2 == 0, number % 2 == 1):
                    name = f"round-{number}-{'quiet' if quiet else 'panel'}"
                    found[quiet].append(seconds_a_step(client, home, name, arguments.steps, quiet))
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    quiet, panel = statistics.median(found[True]), statistics.median(found[False])
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, one thread; {arguments.rounds} "
        "rounds of "
        f"{arguments.steps} steps"
    )
    print(f"--quiet     {1000 * quiet:.2f} ms a step")
    print(f"with panel  {1000 * panel:.2f} ms a step: {panel / quiet:.3f} of it")
    print(
        "each round:",
        ", ".join(f"{p / q:.3f}" for q, p in zip(found[True], found[False], strict=True)),
    )


if __name__ == "__main__":
    main()
