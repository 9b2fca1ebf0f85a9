"""Execute a notebook in a real kernel, and optionally write it as one HTML page beside it.

    python examples/execute.py examples/quickstart.ipynb --html

The page needs no network: the live widgets' static pictures are in it, their saved state is not (a
viewer would fetch a widget manager from a CDN to show that).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


def execute(path: Path, timeout_s: int = 900) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh kernel; runs are kept in a folder that goes away
    afterwards."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="llm_magics-") as home:
        # Without the hub: the same result on every machine, as no download decides which model is
        # used.
        environment = {**os.environ, "LLM_MAGICS_HOME": home, "HF_HUB_OFFLINE": "1"}
        client = NotebookClient(
            notebook,
            timeout=timeout_s,
            kernel_name="python3",
            store_widget_state=False,
            resources={"metadata": {"path": str(path.parent)}},
        )
        client.execute(env=environment)
    return notebook


def to_html(notebook: nbformat.NotebookNode) -> str:
    """One page; nothing in it is loaded from anywhere."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(require_js_url="", mathjax_url="", jquery_url="", mermaid_js_url="")
    return exporter.from_notebook_node(notebook)[0]


def headlines(notebook: nbformat.NotebookNode) -> list[str]:
    """The figures that the results carry with them, a line each."""
    lines = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            figures = output.get("metadata", {}).get("llm_magics")
            if figures:
                parts = [
                    cell.source.splitlines()[0][:44].ljust(44),
                    figures["model"],
                    f"{figures['seconds']:.2f} s",
                ]
                if figures["tokens"]:
                    parts.append(f"{figures['tokens_per_s']:,.0f} tokens/s")
                parts += [
                    f"{name} {value:.1f}"
                    for name, value in figures["parameters"].get("metrics", {}).items()
                ]
                lines.append("  ".join(parts))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--html", action="store_true", help="write NOTEBOOK.html beside it")
    arguments = parser.parse_args()
    began = time.monotonic()
    try:
        notebook = execute(arguments.notebook)
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.html:
        page = arguments.notebook.with_suffix(".html")
        page.write_text(to_html(notebook), encoding="utf-8")
        print(f"wrote {page}")
    print(*headlines(notebook), sep="\n")
    print(f"{arguments.notebook.name}: {time.monotonic() - began:.0f} s in a fresh kernel")
    return 0


if __name__ == "__main__":
    sys.exit(main())
