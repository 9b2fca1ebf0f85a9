"""Memory and time of one translator by torch and by CTranslate2, greedy and with beams, each in a
process of its own.

    python benchmarks/engine.py [--sentences 32] [--threads 1]

The model is that of benchmarks/translate.py: a random-initialised Marian of opus-mt size. Every
process loads it, translates sentences of 5 to 60 tokens into 32 tokens each, and says how far its
memory went above what it was with everything imported. The conversion is made by the first
CTranslate2 process of each format, and kept for the second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

WAYS = [
    ("torch", "fp32"),
    ("torch", "int8"),
    ("ctranslate2", "fp32"),
    ("ctranslate2", "fp32"),
    ("ctranslate2", "int8"),
    ("ctranslate2", "int8"),
]
BEAMS = (1, 4)
WRITTEN = 32


def measure(
    folder: str, engine: str, precision: str, sentences: int, threads: int
) -> dict[str, float]:
    """In this process: MB above the start and seconds."""
    import psutil
    import torch
    import transformers
    from translate_model import some_sentences

    from llm_magics.models.generate.generate import generate
    from llm_magics.models.manager.manager import ModelManager

    torch.set_num_threads(threads)
    transformers.MarianMTModel, transformers.PreTrainedTokenizerFast, transformers.GenerationConfig  # noqa: B018 - imported now
    texts = some_sentences(sentences)
    manager, start = ModelManager(device="cpu"), psutil.Process().memory_info().rss
    began, found = time.perf_counter(), {}
    with manager.lease(folder, engine=engine, dtype=precision) as model:
        found |= {
            "load s": time.perf_counter() - began,
            "weights MB": model.n_bytes / 1e6,
            "after loading MB": peak(start),
        }
        for beams in BEAMS:
            began = time.process_time()
            generate(
                model, texts, num_beams=beams, max_new_tokens=WRITTEN, min_new_tokens=WRITTEN - 1
            )
            found[f"{beams} beam{'s' * (beams > 1)} CPU s"] = time.process_time() - began
        found["most MB"] = peak(start)
    return found


def peak(start_bytes: int) -> float:
    """MB, by Linux's high-water mark of this program: that of getrusage begins at its parent's."""
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    return (int(line.split()[1]) * 1024 - start_bytes) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--one",
        nargs=3,
        metavar=("FOLDER", "ENGINE", "PRECISION"),
        help="measure one way, in this process",
    )
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one, arguments.sentences, arguments.threads)))
        return
    from translate_model import build

    with tempfile.TemporaryDirectory(prefix="llm_magics-benchmark-") as root:
        for part in build():
            part.save_pretrained(Path(root, "marian"))
        command = [
            sys.executable,
            __file__,
            "--sentences",
            str(arguments.sentences),
            "--threads",
            str(arguments.threads),
        ]
        surroundings = {**os.environ, "LLM_MAGICS_HOME": root}
        for number, way in enumerate(WAYS):
            done = subprocess.run(
                [*command, "--one", str(Path(root, "marian")), *way],
                env=surroundings,
                text=True,
                stdout=subprocess.PIPE,
                check=True,
            )
            found = json.loads(done.stdout.splitlines()[-1])
            if not number:
                print(f"{'':<18}" + "".join(f"{name:>18}" for name in found))
            print(
                f"{' '.join(way):<18}" + "".join(f"{value:18.1f}" for value in found.values()),
                flush=True,
            )


if __name__ == "__main__":
    main()
