"""`%%summarize`: a long text in a few sentences."""

from __future__ import annotations

from llm_magics.magics.core.command import MODEL, PRECISION
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.rows import EACH
from llm_magics.magics.task import (
    ALTERNATIVES,
    COMPARE,
    ENGINE,
    IN,
    LANGUAGE,
    REFERENCE,
    TaskCommand,
)

__all__ = ["SummarizeMagic"]


class SummarizeMagic(TaskCommand):
    """`%summarize [options] TEXT`, or the text below `%%summarize`."""

    name = "summarize"
    summary = "Summarise text in its own language."
    details = (
        "The result says whether its sentences are the text's own or written by a model. "
        "The text is never read as options and never formatted: quotes and braces survive."
    )
    text = "TEXT"
    cell = "TEXT"
    options = (
        Option(
            "--max-words",
            "length of the summary at most; Chinese and Japanese count characters",
            "N",
            whole(5, 10_000),
            default=100,
            argument="max_words",
        ),
        Option(
            "--style",
            "paragraph or bullets",
            "STYLE",
            choices=("paragraph", "bullets"),
            default="paragraph",
            argument="style",
        ),
        LANGUAGE,
        MODEL,
        PRECISION,
        ENGINE,
        ALTERNATIVES,
        REFERENCE,
        COMPARE,
        IN,
        EACH,
    )
    examples = (
        "%%summarize --max-words 25\n"
        "The Danube rises in the Black Forest and flows into the Black Sea. On its way of 2,850 "
        "kilometres it passes ten countries.\nFour capitals lie on its banks: Vienna, "
        "Bratislava, Budapest and Belgrade. In the Middle Ages the river was a border of "
        "empires.\nToday it is a road for ships, a source of power, and home to sturgeons.",
        "%summarize --in article --model embedded:extractive",
        "%summarize --each df.body --out summaries",
        "%summarize --each articles.jsonl --column body --resume summaries.jsonl",
    )
