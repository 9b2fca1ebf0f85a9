"""Runs test files in forks of a process that has torch: "FOLDER<tab>TEST FILE" in, the exit status
out, a line each.

FOLDER comes first on the path and takes what the tests write, in output.txt.
"""

from __future__ import annotations

import os
import sys

import pytest
import torch


def run(folder: str, tests: str) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 70
    try:
        output = os.open(os.path.join(folder, "output.txt"), os.O_CREAT | os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        sys.path.insert(0, folder)
        status = int(
            pytest.main(
                [
                    "-q",
                    "-x",
                    "-p",
                    "no:cacheprovider",
                    "--import-mode=importlib",
                    "-c",
                    os.devnull,
                    tests,
                ]
            )
        )
    finally:
        os._exit(status)


if __name__ == "__main__":
    torch.set_num_threads(1)  # a fork has no thread but its own
    for line in sys.stdin:
        sys.stdout.write(f"{run(*line.rstrip().split(chr(9)))}\n")
        sys.stdout.flush()
