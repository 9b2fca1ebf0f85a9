"""kill -9 at every file event of a save: the resumed run is the run it would have been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_run_killed_at_any_point_of_a_save_resumes_to_the_same_bits(tmp_path):
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("crash_points.py"), tmp_path],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["events"]) >= 10
    assert any(event.startswith("os.rename") for event in found["events"])
    assert set(found["outcomes"].values()) == {"same"}, found
