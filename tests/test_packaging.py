"""What a stranger gets: a wheel built from the source distribution, installed away from the
checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, by way of the sdist, as `pip install` from a source distribution would make it."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_all_that_is_needed_and_nothing_at_the_top_but_the_package(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} <= {
        "llm_magics",
        f"llm_magics_notebook-{version()}.dist-info",
    }
    assert {name for name in names if "/widgets/static/" in name} == {
        f"llm_magics/widgets/static/{path.relative_to(ROOT / 'widgets').as_posix()}"
        for path in browser_files()
    }
    for needed in (
        "models/catalog.toml",
        "models/embedded/en-de/model.safetensors",
        "models/embedded/en-de/card.md",
        "training/recipes/number-words.toml",
        "training/recipes/tatoeba-en-de.toml",
    ):
        assert f"llm_magics/{needed}" in names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl", ".test.js"))]


def test_the_wheel_holds_every_embedded_model_and_they_stay_within_their_forty_megabytes(wheel):
    shipped = ROOT / "llm_magics" / "models" / "embedded"
    with zipfile.ZipFile(wheel) as archive:
        sizes = {
            info.filename: info.file_size
            for info in archive.infolist()
            if "/embedded/" in info.filename
        }
    assert set(sizes) == {
        path.relative_to(ROOT).as_posix() for path in shipped.rglob("*") if path.is_file()
    }
    assert 1e6 < sum(sizes.values()) <= 40e6


def test_the_installed_wheel_loads_translates_and_finds_its_widgets(wheel, tmp_path):
    site = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--target",
            str(site),
            str(wheel),
        ],
        check=True,
    )
    code = (
        "import llm_magics, pathlib\n"
        f"assert pathlib.Path(llm_magics.__file__).is_relative_to({str(site)!r}), "
        "llm_magics.__file__\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "ip = InteractiveShell.instance(); ip.run_line_magic('load_ext', 'llm_magics')\n"
        "r = ip.run_cell_magic('translate', '--from en --to de', 'Good morning.')\n"
        "assert r.text.strip(), r\n"
        "from llm_magics.widgets.training.training_panel import TrainingPanel\n"
        "assert 'render' in TrainingPanel._esm\n"
        "from llm_magics.widgets.attention.attention_explorer import AttentionExplorer\n"
        "assert 'render' in AttentionExplorer._esm\n"
        "print('fine')\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "LLM_MAGICS_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip().endswith("fine"), done.stdout + done.stderr


def test_the_newest_release_of_the_changelog_is_the_version_of_the_package():
    first = next(
        line
        for line in (ROOT / "CHANGELOG.md").read_text().splitlines()
        if line.startswith("## ") and not line.startswith("## Unreleased")
    )
    assert version() in first


def browser_files() -> list[Path]:
    """What of `widgets/` is read at run time."""
    folder = ROOT / "widgets"
    checks = {"package.json", "package-lock.json", "tsconfig.json"}
    return [
        path
        for path in (*folder.rglob("*.js"), *folder.rglob("*.css"), *folder.rglob("*.json"))
        if "node_modules" not in path.parts
        and path.name not in checks
        and not path.name.endswith(".test.js")
    ]


def test_an_editable_install_reads_the_browser_halves_in_the_checkout(tmp_path):
    script = (
        "from hatchling.builders.wheel import WheelBuilder\n"
        f"print(next(WheelBuilder({str(ROOT)!r}).build("
        f"directory={str(tmp_path)!r}, versions=['editable'])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(done.stdout.strip().splitlines()[-1]) as archive:
        pointer = next(name for name in archive.namelist() if name.endswith(".pth"))
        assert archive.read(pointer).decode().split() == [str(ROOT)]


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
