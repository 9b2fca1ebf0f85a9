"""How many files of the package one warm cell enters, and that no two of them call each other both
ways.

A path that a newcomer follows is short and goes one way. The cell is run twice in a child process;
the second time every call into a function of the package is recorded, in all threads. A call counts
as one from the nearest frame of the package above it, also through torch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import llm_magics

MOST_FILES = {
    "translate": 58,
}
"""Cell → the most files it may enter; the aim is 30, and 45 for a training. Only ever lowered."""
MOST_TWO_WAY = {"translate": 4}
"""Cell → pairs of files that call each other; the aim is 0. Only ever lowered."""
CELLS = {
    "translate": "get_ipython().run_cell_magic('translate', "
    "'--to de --model embedded:en-de --quiet', 'The cat sleeps.\\n')",
}
TRACER = r"""
import json, sys, threading
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell
import llm_magics

package, cell = str(Path(llm_magics.__file__).parent), sys.argv[1]
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "llm_magics")
shell.run_cell(cell).raise_error()
files, calls, seen = {}, set(), set()


def name(frame):
    path = frame.f_code.co_filename
    if not path.startswith(package):
        return None
    return path[len(package) + 1 :].removesuffix(".py").replace("\\", "/")


def profile(frame, event, argument):
    if event != "call":
        return
    above = frame.f_back
    pair = frame.f_code, above and above.f_code
    if pair in seen or frame.f_code.co_name == "<module>":
        return
    seen.add(pair)
    entered = name(frame)
    if entered is None:
        return
    files.setdefault(entered, set()).add(frame.f_code.co_qualname)
    while above is not None and name(above) is None:
        above = above.f_back
    if above is not None and name(above) != entered:
        calls.add((name(above), entered))


threading.setprofile(profile)
sys.setprofile(profile)
outcome = shell.run_cell(cell)
sys.setprofile(None)
threading.setprofile(None)
outcome.raise_error()
print("PATH " + json.dumps({
    "files": {file: sorted(functions) for file, functions in files.items()},
    "two_way": sorted(pair for pair in calls if pair[0] < pair[1] and pair[::-1] in calls),
}))
"""


def path_of(cell: str, home: Path) -> dict:
    environment = {
        **os.environ,
        "LLM_MAGICS_HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
        "PYTHONPATH": str(Path(llm_magics.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, "-c", TRACER, cell], env=environment, capture_output=True, text=True
    )
    found = [line for line in done.stdout.splitlines() if "PATH " in line]
    assert found, done.stdout + done.stderr
    return json.loads(found[0].partition("PATH ")[2])


@pytest.mark.parametrize("cell", CELLS)
def test_a_warm_cell_enters_few_files_and_goes_one_way(cell, tmp_path):
    path = path_of(CELLS[cell], tmp_path)
    files, two_way = sorted(path["files"]), [" <> ".join(pair) for pair in path["two_way"]]
    shown = "\n  ".join([f"{len(files)} files:", *files, f"{len(two_way)} both ways:", *two_way])
    sys.stdout.write(f"{cell}: {shown}\n")  # seen with pytest -s
    assert len(files) <= MOST_FILES[cell], shown
    assert len(two_way) <= MOST_TWO_WAY[cell], shown
