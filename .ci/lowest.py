"""Prints constraints that hold every direct dependency at the lowest version pyproject.toml allows.

torch alone stays at the version of constraints.txt, whose processor's build is the one at hand.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
    name, floor = re.fullmatch(r"([\w.-]+)>=([\w.]+)", line).groups()
    if name != "torch":
        print(f"{name}=={floor}")
print(re.search(r"^torch==.*$", (ROOT / "constraints.txt").read_text(), re.M)[0])
