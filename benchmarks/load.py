"""CPU seconds of `%load_ext llm_magics` against bare IPython, in fresh processes.

    python benchmarks/load.py [--rounds N]

Each round starts both variants in turn, so that what else the machine does falls on both. Printed
are the medians, their difference (what loading costs) and their ratio. Fails when a heavy module
was imported, or when loading costs more than 0.05 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

LIMIT_S = 0.05
HEAVY = (
    "torch",
    "transformers",
    "numpy",
    "ipywidgets",
    "anywidget",
    "tokenizers",
    "huggingface_hub",
)

CHILD = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
start_s = time.process_time()
if {load}:
    shell.run_line_magic("load_ext", "llm_magics")
loading_s = time.process_time() - start_s
print(time.process_time(), loading_s, *sorted({heavy!r} & set(sys.modules)))
"""


def measure(load: bool) -> tuple[float, float]:
    """CPU seconds of a process as a whole, and of the loading alone."""
    code = CHILD.format(load=load, heavy=set(HEAVY))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    whole_s, loading_s, *heavy = done.stdout.split()
    assert not heavy, f"%load_ext imported {', '.join(heavy)}"
    return float(whole_s), float(loading_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    measure(True)  # compiles what is not compiled yet
    measure(False)
    bare, with_us, loading = [], [], []
    for _ in range(rounds):
        bare.append(measure(False)[0])
        whole_s, loading_s = measure(True)
        with_us.append(whole_s)
        loading.append(loading_s)
    bare_s, with_us_s, loading_s = (
        statistics.median(values) for values in (bare, with_us, loading)
    )
    print(f"{rounds} interleaved rounds, CPU seconds, medians")
    print(f"bare IPython                 {bare_s:.3f}   ({min(bare):.3f} to {max(bare):.3f})")
    print(
        f"with %load_ext llm_magics    {with_us_s:.3f}   ({min(with_us):.3f} to {max(with_us):.3f})"
    )
    print(f"difference                   {with_us_s - bare_s:.3f}   ratio {with_us_s / bare_s:.3f}")
    print(
        f"%load_ext alone              {loading_s:.3f}   ({min(loading):.3f} to {max(loading):.3f})"
    )
    assert loading_s <= LIMIT_S, (
        f"loading cost {loading_s:.3f} s of CPU, at most {LIMIT_S} s were promised"
    )


if __name__ == "__main__":
    main()
