"""Memory and rate of a batch from a file into a file: resident bytes at a tenth of the rows and at
the end.

    python benchmarks/batches.py --task summarize --rows 100000
    python benchmarks/batches.py --task translate --rows 100000

Summaries are picked by embedded:extractive; translations are embedded:en-de's, cut off after two
tokens, as it is the batch that is measured here and not the model (benchmarks/translate.py does
that).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import psutil

from llm_magics.session import Session

TASKS = {
    "summarize": {"model": "embedded:extractive", "language": "en", "max_words": 8},
    "translate": {"model": "embedded:en-de", "source": "en", "target": "de", "max_new_tokens": 2},
}
ROW = "The river rose {} centimetres in the night. Two bridges were closed at once."


def measure(task: str, count: int) -> dict[str, object]:
    """Rows from a file through `task` into a file; megabytes resident as it goes on."""
    process, session = psutil.Process(), Session()
    megabytes: dict[str, float] = {}
    marks = {count * share // 100: f"{share} %" for share in (1, 10, 25, 50, 75, 100)}
    done = 0

    def on_row(number: int, result: object) -> None:
        nonlocal done
        done += 1
        if done in marks:
            megabytes[marks[done]] = round(process.memory_info().rss / 2**20, 1)

    with tempfile.TemporaryDirectory() as folder:
        rows, out = Path(folder) / "rows.txt", Path(folder) / "results.jsonl"
        with rows.open("w", encoding="utf-8") as file:
            file.writelines(ROW.format(i) + "\n" for i in range(count))
        started = time.perf_counter()
        found = getattr(session, f"{task}_each")(rows, out_file=out, on_row=on_row, **TASKS[task])
        seconds = time.perf_counter() - started
        result = {
            "task": task,
            "rows": len(found),
            "failed": found.failed,
            "rss_mb": megabytes,
            "seconds": round(seconds, 1),
            "rows_per_s": round(count / seconds, 1),
            "file_mb": round(out.stat().st_size / 2**20, 1),
        }
    session.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=tuple(TASKS), default="summarize")
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.task, arguments.rows)))


if __name__ == "__main__":
    main()
