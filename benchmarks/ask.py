"""How often the embedded answer picker finds the sentence that holds the answer, beside the first
sentence and chance.

    python benchmarks/ask.py --data FOLDER [--questions 1500]

The data (not part of this project): SQuAD 1.1 dev and CMRC 2018 dev, as JSON lines with context,
question and answers. A sentence is right when one of the answers stands in it as a whole, at the
place the annotators gave.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from pathlib import Path

from llm_magics.text.passages import Passage, answer_sentences, sentence_passages

FILES = {
    "SQuAD 1.1": ("squad_dev/dev_v1.1.jsonl.gz", "en"),
    "CMRC 2018": ("cmrc2018/dev.jsonl.gz", "zh"),
}


def rows(path: Path, count: int) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return random.Random(1).sample(found, min(count, len(found)))


def holds_answer(sentence: Passage, row: dict) -> bool:
    return any(
        sentence.start <= answer["start"] and answer["start"] + len(answer["text"]) <= sentence.end
        for answer in row["answers"]
    )


def figures(questions: list[dict], language: str) -> dict[str, float]:
    """Share of questions answered rightly, in percent, by each way of choosing a sentence."""
    right = {"embedded:extractive": 0.0, "first sentence": 0.0, "a random sentence": 0.0}
    for row in questions:
        sentences = sentence_passages(row["context"], language)
        ranked = answer_sentences(row["question"], [sentence.text for sentence in sentences])
        right["embedded:extractive"] += bool(ranked) and holds_answer(sentences[ranked[0][1]], row)
        right["first sentence"] += holds_answer(sentences[0], row)
        right["a random sentence"] += sum(
            holds_answer(sentence, row) for sentence in sentences
        ) / len(sentences)
    return {way: 100 * count / len(questions) for way, count in right.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=1_500)
    arguments = parser.parse_args()
    for name, (file, language) in FILES.items():
        questions = rows(arguments.data / file, arguments.questions)
        found = figures(questions, language)
        print(
            f"{name:10} {len(questions):5,} questions  "
            + "  ".join(f"{way} {share:.1f} %" for way, share in found.items())
        )


if __name__ == "__main__":
    main()
