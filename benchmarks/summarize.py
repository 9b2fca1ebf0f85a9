"""ROUGE of the embedded extractive summariser beside the first sentences of the text.

    python benchmarks/summarize.py --data /path/to/data        (or set LLM_MAGICS_DATA)

F1 of rouge-score, with stemming; Chinese by character.

lead-3     the first three sentences, whatever their length
lead       the first sentences that fit the same number of words, at least one
ours       `embedded:extractive` with that number of words

The constants of the summariser were settled on SciTLDR train and CSL dev; that long texts want more
weight on their beginning was seen on the news articles themselves, so those figures may flatter by
a little.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

from rouge_score import rouge_scorer

from llm_magics.text.extractive import count_words, pick_sentences
from llm_magics.text.segments import segment

MEASURES = ("rouge1", "rouge2", "rougeL")
SETS = (  # name, file, language, words
    ("CNN news", "cnn_dailymail/validation_500.jsonl.gz", "en", 75),
    ("CNN news", "cnn_dailymail/validation_500.jsonl.gz", "en", 50),
    ("SciTLDR test", "scitldr/test.jsonl.gz", "en", 75),
    ("SciTLDR test", "scitldr/test.jsonl.gz", "en", 30),
    ("CSL test (titles)", "csl_title_zh/test.jsonl.gz", "zh", 100),
)


class Characters:
    """The tokenizer of rouge-score for Chinese: every letter or digit is a token."""

    def tokenize(self, text: str) -> list[str]:
        return [character for character in text if character.isalnum()]


def lead_3(sentences: list[str], _: int) -> list[str]:
    return sentences[:3]


def lead(sentences: list[str], max_words: int) -> list[str]:
    taken, words = sentences[:1], count_words(sentences[0]) if sentences else 0
    for sentence in sentences[1:]:
        words += count_words(sentence)
        if words > max_words:
            break
        taken.append(sentence)
    return taken


def ours(sentences: list[str], max_words: int) -> list[str]:
    return [sentences[i] for i in pick_sentences(sentences, max_words)]


SYSTEMS: dict[str, Callable[[list[str], int], list[str]]] = {
    "lead-3": lead_3,
    "lead": lead,
    "ours": ours,
}


def read(path: Path, rows: int | None) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines][:rows]


def scorer(language: str) -> rouge_scorer.RougeScorer:
    if language == "zh":
        return rouge_scorer.RougeScorer(MEASURES, tokenizer=Characters())
    return rouge_scorer.RougeScorer(MEASURES, use_stemmer=True)


def figures(
    rows: list[dict], language: str, max_words: int
) -> dict[str, tuple[list[float], float]]:
    """System -> (mean F1 of each measure in per cent, mean words)."""
    rouge = scorer(language)
    glue = "" if language == "zh" else " "
    scores: dict[str, list[list[float]]] = {name: [] for name in SYSTEMS}
    words: dict[str, list[int]] = {name: [] for name in SYSTEMS}
    for row in rows:
        sentences = [sentence.text for sentence in segment(row["document"], language).sentences]
        references = row.get("summaries") or [row["summary"]]
        for name, system in SYSTEMS.items():
            summary = glue.join(system(sentences, max_words))
            best = rouge.score_multi(references, summary)
            scores[name].append([100 * best[measure].fmeasure for measure in MEASURES])
            words[name].append(count_words(summary))
    return {
        name: ([mean(column) for column in zip(*scores[name], strict=True)], mean(words[name]))
        for name in SYSTEMS
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("LLM_MAGICS_DATA"),
        help="folder with cnn_dailymail/, scitldr/ and csl_title_zh/",
    )
    parser.add_argument("--rows", type=int, default=None, help="use only so many rows of each set")
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data FOLDER or set LLM_MAGICS_DATA")
    print(
        f"{'data':20} {'rows':>5} {'limit':>5}  {'system':7} {'R-1':>6} {'R-2':>6} "
        f"{'R-L':>6} "
        f"{'words':>6}"
    )
    for name, file, language, max_words in SETS:
        started = time.perf_counter()
        rows = read(Path(options.data) / file, options.rows)
        for system, (values, words) in figures(rows, language, max_words).items():
            numbers = " ".join(f"{value:6.2f}" for value in values)
            print(f"{name:20} {len(rows):5} {max_words:5}  {system:7} {numbers} {words:6.1f}")
        print(f"{'':20} {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
