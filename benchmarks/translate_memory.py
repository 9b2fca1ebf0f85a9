"""Peak memory of translating, a process for each way, beside the float32 weights and the key-value
cache.

    python benchmarks/translate_memory.py [--sentences 256] [--threads 1]

The ways are those of benchmarks/translate.py. A process loads its model, forgets its peak
(/proc/self/clear_refs, so Linux only), translates the sentences and reads its peak again (VmHWM).
Printed is what that is over the process before it had a model. The cache is that of the largest
batch: keys and values, of the source and of the target, for every layer.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import translate
from translate_model import build, converted, some_sentences

from llm_magics.models.folder.precision import quantise
from llm_magics.models.generate.batches import bucketed
from llm_magics.models.manager.manager import ModelManager

MB = 2**20
WAYS = (
    "one by one",
    "fixed batches",
    "bucketed batches",
    "ctranslate2 float32",
    "ctranslate2 int8",
    "llm_magics",
    "llm_magics int8",
)


def memory(field: str) -> int:
    """Bytes of this process: VmRSS is what it has now, VmHWM the most it had."""
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(field)
    )
    return int(line.split()[1]) * 1024


def settle() -> None:
    """Gives free memory back and forgets the peak."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def run(way: str, count: int, folder: str, threads: int) -> tuple[int, int, int]:
    """(Bytes before there was a model, with it, at the peak) of this process."""
    torch.set_num_threads(threads)
    sentences = some_sentences(count)
    limits = [len(sentence.split()) + 1 for sentence in sentences]
    order, groups = list(range(count)), bucketed(limits, translate.BUDGET)
    if way.startswith("ctranslate2"):
        import ctranslate2

        read = [[*sentence.split(), "</s>"] for sentence in sentences]
        settle()
        before = memory("VmRSS")
        translator = ctranslate2.Translator(
            folder, compute_type=way.split()[1], intra_threads=threads, inter_threads=1
        )
        settle()
        loaded = memory("VmRSS")
        translate.with_ctranslate2(translator, read, limits, groups)
        return before, loaded, memory("VmHWM")
    settle()
    before = memory("VmRSS")
    model, tokenizer = build()
    if "int8" in way:
        quantise(model)
    settle()
    loaded = memory("VmRSS")
    if way.startswith("llm_magics"):
        manager = ModelManager()
        manager.add_variable("marian", model, tokenizer)
        with manager.lease("variable:marian") as leased:
            translate.with_ours(leased, sentences, limits)
    else:
        fixed = [order[i : i + 16] for i in order[::16]]
        groups = {"one by one": [[i] for i in order], "fixed batches": fixed}.get(way, groups)
        translate.with_generate(model, tokenizer, sentences, limits, groups)
    return before, loaded, memory("VmHWM")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument(
        "--run", nargs=2, metavar=("WAY", "FOLDER"), help="what each process is started with"
    )
    arguments = parser.parse_args()
    if arguments.run:
        print(*run(arguments.run[0], arguments.sentences, arguments.run[1], arguments.threads))
        return
    model, tokenizer = build()
    weights = sum(parameter.numel() * 4 for parameter in model.parameters())
    try:
        folder = converted(model, tokenizer)
    except ImportError:
        folder = tempfile.gettempdir()
        arguments.ways = [way for way in arguments.ways if not way.startswith("ctranslate2")]
    lengths = [len(sentence.split()) + 1 for sentence in some_sentences(arguments.sentences)]
    cache = (
        max(len(rows) * lengths[rows[0]] for rows in bucketed(lengths, translate.BUDGET))
        * 2
        * 2
        * 6
        * 512
        * 4
    )
    print(f"float32 weights {weights / MB:.0f} MB, cache of the largest batch {cache / MB:.0f} MB")
    for way in arguments.ways:
        command = [
            sys.executable,
            __file__,
            "--sentences",
            str(arguments.sentences),
            "--threads",
            str(arguments.threads),
            "--run",
            way,
            folder,
        ]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        before, loaded, peak = map(int, output.split()[-3:])
        print(
            f"{way:<24} model {(loaded - before) / MB:6.0f} MB  peak {(peak - before) / MB:6.0f} "
            "MB  "
            f"{(peak - before) / weights:5.2f} × the weights, "
            f"{(peak - before) / (weights + cache):5.2f} × weights and cache",
            flush=True,
        )


if __name__ == "__main__":
    main()
