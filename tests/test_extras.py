"""Every hint to install an extra names this project's distribution and an extra that it has."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from llm_magics.errors import MissingExtra
from llm_magics.extras import DISTRIBUTION, install_hint

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HINT = re.compile(r"pip install (['\"]?)(llm[\w.-]*)((?:\[[^\]]*\])?)(['\"]?)")
ASKED = re.compile(r"(?:install_hint\(|extra=)['\"](\w+)['\"]")
HISTORY = {"CHANGELOG.md"}  # what was true then


def texts() -> list[Path]:
    """The files of the repository that people read or run."""
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml", "*.ipynb", "*.js"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in tracked.stdout.split() if name not in HISTORY]


def test_the_distribution_is_the_one_of_pyproject():
    assert PROJECT["name"] == DISTRIBUTION


def test_a_hint_is_quoted_for_every_shell():
    assert install_hint("tune", "lora") == "pip install 'llm-magics-notebook[tune,lora]'"


def test_every_written_hint_names_the_distribution_and_extras_that_exist():
    found = 0
    for path in texts():
        written = path.read_text(encoding="utf-8").replace("\\", "")  # escapes of JSON and regex
        for opening, name, extras, closing in HINT.findall(written):
            found += 1
            assert name == DISTRIBUTION, f"{path.name}: pip install {name}"
            wanted = {extra for extra in extras.strip("[]").split(",") if extra}
            assert wanted <= set(PROJECT["optional-dependencies"]), f"{path.name}: {extras}"
            assert not extras or opening == closing != "", f"{path.name}: {extras} is not quoted"
    assert found > 10


def test_every_hint_made_in_the_code_asks_for_an_extra_that_exists():
    made = set()
    for path in (ROOT / "llm_magics").rglob("*.py"):
        made |= set(re.findall(ASKED, path.read_text(encoding="utf-8")))
    assert {"fast", "tune", "lora"} <= made
    assert made <= set(PROJECT["optional-dependencies"])


CORE = {  # what DESIGN.md names, and what is used by every reader, run or translation
    "ipython",
    "ipywidgets",
    "anywidget",
    "torch",
    "transformers",
    "bertviz",
    "safetensors",
    "tokenizers",
    "sentencepiece",
    "huggingface_hub",
    "httpx2",
    "sacremoses",
    "filelock",
    "platformdirs",
    "psutil",
    "pysbd",
    "py3langid",
    "stopwordsiso",
    "num2words",
    "sacrebleu",
}


def test_a_plain_install_brings_the_core_and_nothing_that_serves_one_feature():
    names = {re.match(r"[\w.-]+", one)[0] for one in PROJECT["dependencies"]}
    assert names == CORE


@pytest.fixture
def without(monkeypatch):
    """Makes packages look as if they were not installed."""

    def hide(*packages: str) -> None:
        for package in packages:
            for name in [n for n in sys.modules if n.split(".")[0] == package] + [package]:
                monkeypatch.setitem(sys.modules, name, None)

    return hide


def refusal(work) -> str:
    with pytest.raises(MissingExtra) as caught:
        work()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_rows_of_the_hub_say_how_to_get_the_library_that_reads_them(without):
    from llm_magics.rows.datasets import opened

    without("datasets")
    assert install_hint("datasets") in refusal(lambda: opened("hub:owner/name"))


def test_a_parquet_file_says_how_to_get_the_library_that_reads_it(without, tmp_path):
    from llm_magics.rows import files

    without("pyarrow")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    message = refusal(lambda: list(files._parquet(tmp_path / "rows.parquet", {"text": "text"})))
    assert message.startswith("rows.parquet")
    assert install_hint("datasets") in message


def test_rouge_says_how_to_get_it_before_anything_is_trained(without):
    from llm_magics import metrics

    without("rouge_score")
    assert install_hint("rouge") in refusal(lambda: metrics.score("rougeL", ["a"], ["a"]))
    assert install_hint("rouge") in refusal(lambda: metrics.check_installed("rouge1"))
    assert metrics.score("chrf", ["a cat"], ["a cat"]) == 100  # the others need no rouge


def test_a_data_frame_says_how_to_get_pandas(without):
    from llm_magics.tasks.understand.annotations import Similarity

    without("pandas")
    made = Similarity(lines=("a",), matrix=((1.0,),))
    assert install_hint("pandas") in refusal(made.to_pandas)


def test_sentiment_without_its_lexicon_is_left_out_and_says_how_to_get_it(without):
    import llm_magics

    without("textblob")
    text = "The food was wonderful and the waiters were kind. The room was cold."
    found = llm_magics.understand(text, show=("language", "sentiment"), language="en")
    assert found.language.code == "en"
    assert found.sentiment is None
    assert install_hint("sentiment") in " ".join(found.notes)
