"""The figures of translators that ship, or of runs: first sentences, Tatoeba, FLORES, faults, seconds.

    python benchmarks/translators.py --data FOLDER [MODEL ...] [--rows N] [--show]

A model is a folder with a config.json; none: the six that ship. --show prints the first sentences that nobody accepts.
The data (not part of this project): tatoeba_en_XX/test.jsonl.gz and flores/dev.jsonl.gz.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import torch

from llm_magics.models.folder.native import load_native
from llm_magics.models.reference import embedded_root
from llm_magics.training.translator_scores import Scores, read_tasks, scores_of

LIST = Path(__file__).parents[1] / "tests" / "data" / "first_sentences" / "sentences.jsonl"
PAIRS = ("en-de", "de-en", "en-fr", "fr-en", "en-zh", "zh-en")


def pairs(path: Path, source: str, target: str, count: int | None) -> list[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [(row[source], row[target]) for row in map(json.loads, file)][:count]


def figures(folder: Path, data: Path, count: int | None) -> Scores:
    """All figures of the model in a folder, by its first `count` rows of each corpus."""
    module, tokenizer, config = load_native(folder)
    source, target = config["source_language"], config["target_language"]
    other = target if source == "en" else source
    corpora = {
        "Tatoeba test, sacreBLEU": (
            "bleu",
            pairs(data / f"tatoeba_en_{other}" / "test.jsonl.gz", source, target, count),
        ),
        "FLORES dev, chrF2": (
            "chrf",
            pairs(data / "flores" / "dev.jsonl.gz", source, target, count),
        ),
    }
    return scores_of(module, tokenizer, target, read_tasks(LIST, source, target), corpora)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, help="of each corpus; all by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--json", type=Path, help="file that the figures are written to")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = {}
    for folder in arguments.models or [embedded_root() / pair for pair in PAIRS]:
        scores = figures(folder, arguments.data, arguments.rows)
        found[str(folder)] = scores.figures
        print(
            folder.name,
            *(f"{name} {value:.3g}" for name, value in scores.figures.items()),
            sep="  ",
            flush=True,
        )
        if arguments.show:
            print(*(f"    {source}  →  {answer}" for source, answer in scores.refused), sep="\n")
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
