"""What fewer bits cost and bring: the translators that ship, in float32, bfloat16 and int8, on
held-out sentences.

    python benchmarks/precision.py --data FOLDER [--models fr-en en-fr …] [--rounds 3] [--threads 1]

The data (not part of this project) are the Tatoeba test rows that no model here was trained on. The
formats are interleaved in every round; printed are chrF and BLEU, medians of CPU seconds, and their
ratio to float32.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from llm_magics.metrics import score
from llm_magics.models.generate.generate import generate
from llm_magics.models.manager.manager import ModelManager

FORMATS = ("float32", "bfloat16", "int8")


def test_rows(data: Path, source: str, target: str) -> tuple[list[str], list[str]]:
    """(Sentences to translate, their translations by people)."""
    other = source if target == "en" else target
    with gzip.open(data / f"tatoeba_en_{other}" / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row[source] for row in rows], [row[target] for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["fr-en", "en-de"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    manager = ModelManager(device="cpu")
    for name in arguments.models:
        sources, expected = test_rows(arguments.data, *name.split("-"))
        seconds: dict[str, list[float]] = {form: [] for form in FORMATS}
        outputs: dict[str, list[str]] = {}
        for _ in range(arguments.rounds):
            for form in FORMATS:
                with manager.lease(f"embedded:{name}", dtype=form) as model:
                    began = time.process_time()
                    outputs[form] = [done.text for done in generate(model, sources)]
                    seconds[form].append(time.process_time() - began)
        whole = statistics.median(seconds["float32"])
        for form in FORMATS:
            figures = "  ".join(
                f"{metric} {score(metric, outputs[form], expected, name[-2:]):.2f}"
                for metric in ("chrf", "bleu")
            )
            middle = statistics.median(seconds[form])
            print(
                f"{name}  {form:9} {figures}  {middle:6.1f} CPU s  {whole / middle:.2f} × float32  "
                f"({len(sources):,} sentences)"
            )


if __name__ == "__main__":
    main()
