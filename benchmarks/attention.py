"""The attention explorer beside bertviz: bytes, seconds and frames, in real JupyterLab in real
Chromium.

    python benchmarks/attention.py [--tokens 128 512 2048 8192] [--rounds 5] [--without bertviz
    memory]

128 and 512 tokens go through MiniLM-L6 with its real weights, more through a random BERT of 12
layers of 12 heads, 768 wide; bertviz gets the maps that our own capture took of the same model and
text. A round opens the explorer in a cell and builds bertviz's page, in turn. Figures are medians;
the first round, with all imports, is given apart, and the only one at 8,192 tokens, where a forward
pass takes minutes on a loaded core. See the README.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attention_bertviz import VIEWS, Builder, shown
from attention_inputs import minilm, random_bert

HERE = Path(__file__).parent
MEMORY_CASES = {128: "minilm-128", 512: "minilm-512", 2_048: "bert-2048", 8_192: "bert-8192"}
_MOST_ROUNDS = {128: 20, 512: 20, 2_048: 3, 8_192: 0}
_CLICKS = 12
_ZOOM_S = 4
_MOST_S = 180.0
_PAGE_MOST_S = 900.0
_SETUP = """\
import sys, time
sys.path.insert(0, {here!r})
%load_ext llm_magics
import torch; torch.set_num_threads(1)
from attention_inputs import text_of
from llm_magics.session import current_session
ended = {{}}
def at_the_end(*_): ended.update(at=time.time(), cpu=time.process_time())
with current_session().manager.lease({reference!r}) as loaded:
    _ = loaded.module.register_forward_hook(at_the_end)
    text = text_of(loaded.tokenizer, {tokens})"""
_LOOK = "view = %attention {reference} --in text\nview"


def browser_tests() -> Any:
    """tests/browser/conftest.py, which knows how to run JupyterLab and Chromium."""
    specification = importlib.util.spec_from_file_location(
        "browser_tests", HERE.parent / "tests" / "browser" / "conftest.py"
    )
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Explorer:
    """A notebook whose second cell opens the explorer on a text of so many tokens."""

    def __init__(self, tests: Any, lab: dict, context: Any, reference: str, tokens: int) -> None:
        import nbformat

        cells = [
            _SETUP.format(here=str(HERE), reference=reference, tokens=tokens),
            _LOOK.format(reference=reference),
        ]
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        made.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
        }
        nbformat.write(made, lab["root"] / f"tokens-{tokens}.ipynb")
        self.page = context.new_page()
        self.page.set_default_timeout(_PAGE_MOST_S * 1000)
        self.page.add_init_script(path=HERE / "attention_page.js")
        self.notebook = tests.Notebook(self.page, lab, f"tokens-{tokens}.ipynb")
        self.notebook.open()
        self.page.evaluate(
            "() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0; }"
        )
        self.notebook.command("notebook:run-cell")
        self.notebook.python("len(text)")  # raises where the cell failed

    def open(self) -> dict[str, float]:
        """Run the cell: bytes, and seconds from the end of the forward pass, to the first picture
        and what follows it.

        The first picture has a head enlarged, from its thumbnail where all thumbnails came with the
        widget.
        """
        self.page.evaluate(
            "() => { window.begin(); "
            "window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1; }"
        )
        self.notebook.command("notebook:clear-cell-output")
        self.notebook.command("notebook:run-cell", wait=False)
        self.page.wait_for_function("() => window.measured.heads.length > 0", polling=20)
        cpu = self.notebook.python("time.process_time() - ended['cpu']")
        self.page.wait_for_function("() => window.measured.whole > 0", polling=50)
        end_ms = 1000 * self.notebook.python("ended['at']")
        first_ms, sharp_ms, whole_ms = self.page.evaluate(
            "() => [measured.first, measured.heads[0][0], measured.whole]"
        )
        first, sharp = self.page.evaluate(
            "times => times.map(window.bytes_until)", [first_ms, sharp_ms]
        )
        return {
            "first_kb": first / 1000,
            "first_s": (first_ms - end_ms) / 1000,
            "sharp_kb": sharp / 1000,
            "sharp_s": (sharp_ms - end_ms) / 1000,
            "cpu_s": cpu,
            "thumbnails_s": max(0.0, whole_ms - end_ms) / 1000,
        }

    def click(self, count: int) -> list[float]:
        """ms from the click to the pixels, of heads that were not looked at before."""
        layers, heads = self.notebook.python("(lambda p: (p.layers, p.heads))(view._panel())")
        places = [1 + i * (layers * heads - 2) // count for i in range(count)]
        return [
            self.page.evaluate(
                "([place, key]) => window.click_head(place, key)",
                [place, f"0/self/{place // heads}/{place % heads}"],
            )
            for place in places
        ]

    def frames(self) -> list[dict[str, float]]:
        """What drawing each head took."""
        return self.page.evaluate("() => window.measured.frames")

    def zoom(self) -> dict[str, Any]:
        """Frames a second while the wheel turns."""
        return self.page.evaluate("seconds => window.zoom_for(seconds)", _ZOOM_S)


@contextmanager
def jupyterlab_in_chromium(tests: Any, folder: Path) -> Iterator[tuple[dict, Any]]:
    """(lab, browser) while the block runs."""
    from playwright.sync_api import sync_playwright

    for name in ("home", "notebooks"):
        (folder / name).mkdir()
    with (
        tests.running_lab(folder / "home", folder / "notebooks") as lab,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=tests.CHROMIUM, headless=True, args=tests.FLAGS
        )
        yield lab, browser
        browser.close()


def ours_and_bertviz(
    tests: Any,
    lab: dict,
    browser: Any,
    reference: str,
    tokens: int,
    rounds: int,
    views: tuple[str, ...],
    folder: Path,
) -> dict[str, Any]:
    """All figures of one length; bertviz is built in the same rounds, once where a round takes
    minutes."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    explorer = Explorer(tests, lab, context, reference, tokens)
    opened, bertviz = [explorer.open()], {view: [] for view in views}
    builder = Builder(tokens) if views else None
    for number in range(rounds):
        opened.append(explorer.open())
        for view in views:
            if not number or tokens <= 128:
                bertviz[view].append(builder.build(view, folder / f"{view}.html", _MOST_S))
    if builder:
        builder.close()
    found = {
        "first round": opened[0],
        "opened": opened[1:] or opened,
        "clicks_ms": explorer.click(_CLICKS),
    }
    found["frames"] = explorer.frames()
    found["zoom"] = explorer.zoom()
    context.close()
    for view, all_ in bertviz.items():
        ways = {"no network": False, "scripts served": True} if "failed" not in all_[-1] else {}
        shows = {
            way: shown(browser, folder / f"{view}.html", _MOST_S, served=served)
            for way, served in ways.items()
        }
        found[f"bertviz {view}"] = {"built": all_, **shows}
        (folder / f"{view}.html").unlink(missing_ok=True)
    return found


def report(tokens: int, found: dict[str, Any]) -> None:
    """The figures of one length, one a line."""

    def middle(values: list[float]) -> str:
        return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"

    def line(what: str, value: str) -> None:
        print(f"{tokens:>6,}  {what:48} {value}", flush=True)

    for name, what in (
        ("first_kb", "kB to the first picture"),
        ("first_s", "s from the forward pass to the first picture"),
        ("sharp_kb", "kB until the head is there in full"),
        ("sharp_s", "s of that"),
        ("cpu_s", "kernel's CPU s of that"),
        ("thumbnails_s", "s until all thumbnails are there"),
    ):
        line(
            what,
            (
                f"{middle([one[name] for one in found['opened']])}, first round "
                f"{found['first round'][name]:.4g}"
            ),
        )
    line("ms from a click on a head to its pixels", middle(found["clicks_ms"]))
    line(
        "ms to draw a head, all of a frame's scripts",
        middle([one["script_ms"] for one in found["frames"]]),
    )
    line("  and until its pixels are there", middle([one["pixels_ms"] for one in found["frames"]]))
    gaps = sorted(found["zoom"]["gaps"])
    slow = gaps[int(len(gaps) * 0.95)]
    line(
        "frames/s while zooming",
        f"{found['zoom']['frames_s']:.1f}, 95 % of frames within {slow:.1f} ms",
    )
    for view in VIEWS:
        if not (of := found.get(f"bertviz {view}")):
            continue
        good = [one for one in of["built"] if "failed" not in one]
        if not good:
            line(f"bertviz {view} view", of["built"][-1]["failed"])
            continue
        line(f"bertviz {view} view: MB", f"{good[0]['mb']:.1f}")
        for name, what in (("build_s", "s to build"), ("build_cpu_s", "CPU s of that")):
            line(f"bertviz {view} view: {what}", middle([one[name] for one in good]))
        for way in ("no network", "scripts served"):
            one = of[way]
            line(
                f"bertviz {view} view, {way}",
                f"{one['lines']:,} SVG lines after {one['shown_s']:.1f} s"
                if one["lines"]
                else f"blank after {one['shown_s']:.0f} s ({one['why']})",
            )


def memory(tokens: int) -> None:
    """Peak memory over the model, by benchmarks/attention_memory.py."""
    subprocess.run(
        [sys.executable, str(HERE / "attention_memory.py"), "--cases", MEMORY_CASES[tokens]],
        check=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tokens", nargs="+", type=int, choices=MEMORY_CASES, default=list(MEMORY_CASES)
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without", nargs="+", choices=("bertviz", "memory"), default=[])
    parser.add_argument("--json", type=Path, help="write every single figure to this file as well")
    arguments = parser.parse_args()
    tests, kept = browser_tests(), {}
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} "
        "before; "
        "one thread in the kernel"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with jupyterlab_in_chromium(tests, folder) as (lab, browser):
            for tokens in arguments.tokens:
                reference = (
                    minilm() if tokens <= 512 else random_bert(folder / f"bert-{tokens}", tokens)
                )
                rounds, views = (
                    min(arguments.rounds, _MOST_ROUNDS[tokens]),
                    VIEWS if tokens <= 512 else (),
                )
                kept[tokens] = ours_and_bertviz(
                    tests,
                    lab,
                    browser,
                    reference,
                    tokens,
                    rounds,
                    () if "bertviz" in arguments.without else views,
                    folder,
                )
                report(tokens, kept[tokens])
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=1))
    if "memory" not in arguments.without:
        for tokens in arguments.tokens:
            memory(tokens)


if __name__ == "__main__":
    main()
