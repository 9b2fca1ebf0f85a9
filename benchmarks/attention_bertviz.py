"""What BertViz makes of captured maps: seconds to build its page, bytes, and what a browser shows
of it.

    python benchmarks/attention_bertviz.py TOKENS    builds a page for each line "VIEW FILE" it reads; prints JSON lines

BertViz is given the maps of our own capture, so that both sides draw the same numbers. Its page is
opened twice: as a browser without a network sees it, and with the three scripts it asks a CDN for
served from installed packages.
"""

from __future__ import annotations

import json
import re
import resource
import select
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

VIEWS = ("head", "model")
_MOST_MEMORY_BYTES = 14 << 30
_NOTHING_COMES_S = 5
"""After a page was loaded without its scripts."""
_SCRIPTS = {  # what bertviz asks a CDN for → where installed packages have it
    "require.js": ("nbclassic", "nbclassic/static/components/requirejs/require.js"),
    "d3": ("mpld3", "mpld3/js/d3.v5.min.js"),
    "jquery": ("nbclassic", "nbclassic/static/components/jquery/jquery.min.js"),
}
_LINES = "document.querySelectorAll('svg line, svg path').length"


def captured_maps(tokens: int) -> tuple[list[Any], list[str]]:
    """(maps (1, H, T, T) of each layer, tokens) of MiniLM-L6 on a text of so many tokens, as our
    capture took them."""
    import torch
    from attention_inputs import minilm, text_of
    from transformers import AutoModel, AutoTokenizer

    from llm_magics.attention import AttentionStore, Panel, capture

    tokenizer = AutoTokenizer.from_pretrained(minilm())
    model = AutoModel.from_pretrained(minilm()).eval()
    ids = tokenizer(text_of(tokenizer, tokens), return_tensors="pt")
    with torch.no_grad(), capture(model) as captured:
        model(**ids)
    words = tokenizer.convert_ids_to_tokens(ids["input_ids"][0])
    panel = Panel("self", captured["self"], words, words)
    store = AttentionStore("MiniLM", [panel])
    return [
        torch.stack([store.weights("self", layer, head) for head in range(panel.heads)])[None]
        for layer in range(len(panel.layers))
    ], words


def serve(tokens: int) -> None:
    """Build a page for each line of the input; seconds are those of bertviz alone."""
    import bertviz

    maps, words = captured_maps(tokens)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    for line in sys.stdin:
        view, file = line.split()
        wall, cpu = time.perf_counter(), time.process_time()
        html = getattr(bertviz, f"{view}_view")(maps, words, html_action="return").data
        found = {
            "tokens": len(words),
            "build_s": time.perf_counter() - wall,
            "build_cpu_s": time.process_time() - cpu,
        }
        Path(file).write_text(
            f"<!doctype html><meta charset=utf-8><body>{html}</body>", encoding="utf-8"
        )
        print(json.dumps({**found, "mb": Path(file).stat().st_size / 1e6}), flush=True)


class Builder:
    """bertviz in a process of its own, of at most 14 GB."""

    def __init__(self, tokens: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(tokens)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def build(self, view: str, file: Path, most_s: float) -> dict[str, Any]:
        """Write bertviz's page of a view; {"failed": why} after `most_s` seconds or without
        memory."""
        try:
            self._process.stdin.write(f"{view} {file}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return {"failed": "not built: the process had ended"}
        if not select.select([self._process.stdout], [], [], most_s)[0]:
            self._process.kill()
            return {"failed": f"not built after {most_s:.0f} s"}
        answer = self._process.stdout.readline()
        return (
            json.loads(answer)
            if answer
            else {"failed": f"not built: the process ended with {self._process.wait()}"}
        )

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def shown(browser: Any, file: Path, most_s: float, *, served: bool) -> dict[str, Any]:
    """Open the page: SVG lines, and seconds until they are all there; {"lines": 0} when nothing was
    drawn in `most_s`.

    served: answer the requests to the CDN from installed packages, as if there were a network.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.route(re.compile("^https?:"), lambda route: _answered(route) if served else route.abort())
    start = time.perf_counter()
    try:
        page.goto(file.as_uri(), wait_until="load", timeout=most_s * 1000)
        left_s = max(1.0, most_s - (time.perf_counter() - start)) if served else _NOTHING_COMES_S
        page.wait_for_function(f"() => {_LINES} > 0", polling=100, timeout=left_s * 1000)
        return {"lines": page.evaluate(_LINES), "shown_s": time.perf_counter() - start}
    except Exception as error:  # noqa: BLE001 — a page that crashed shows nothing, too
        return {
            "lines": 0,
            "shown_s": time.perf_counter() - start,
            "why": str(error).splitlines()[0][:80],
        }
    finally:
        context.close()


def _answered(route: Any) -> None:
    name = next((name for name in _SCRIPTS if name in route.request.url), None)
    if name is None:
        return route.abort()
    distribution, path = _SCRIPTS[name]
    return route.fulfill(
        path=metadata.distribution(distribution).locate_file(path), content_type="text/javascript"
    )


if __name__ == "__main__":
    serve(int(sys.argv[1]))
