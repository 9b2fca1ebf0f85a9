"""`%%summarize`: a long text in a few sentences."""

from __future__ import annotations

from llm_magics.magics.command import MODEL, Call
from llm_magics.magics.options import Option, whole
from llm_magics.magics.rows import EACH
from llm_magics.magics.settings import settings_of
from llm_magics.magics.task import TaskCommand

__all__ = ["SummarizeMagic"]


class SummarizeMagic(TaskCommand):
    """`%summarize [options] TEXT`, or the text below `%%summarize`."""

    name = "summarize"
    summary = "Summarise text in its own language."
    details = ("The result says whether its sentences are the text's own or written by a model. "
               "The text is never read as options and never formatted: quotes and braces survive.")
    text = "TEXT"
    cell = "TEXT"
    options = (
        Option("--max-words", "length of the summary at most; Chinese and Japanese count characters", "N",
               whole(5, 10_000), default=100),
        Option("--style", "paragraph or bullets", "STYLE", choices=("paragraph", "bullets"), default="paragraph"),
        Option("--language", "language of the text, code or name; auto finds out", "LANGUAGE", default="auto",
               completes="source language"),
        MODEL,
        Option("--in", "take the text from this notebook variable", "EXPR", completes="variable"),
        EACH,
    )
    examples = (
        "%%summarize --max-words 60 --style bullets\nA long text …",
        "%summarize --in article --model embedded:extractive",
        "%summarize --each df.body --out summaries",
    )

    def arguments(self, call: Call) -> dict[str, object]:
        """Arguments of `Session.summarize`, those at their default left out."""
        model = call.model()
        given = {
            "max_words": call["max-words"] if call["max-words"] != 100 else None,
            "style": call["style"] if call["style"] != "paragraph" else None,
            "language": call["language"] if call["language"] != "auto" else None,
            "model": model,
            "default": None if model else settings_of(call.shell).summarize_model or None,
        }
        return {name: value for name, value in given.items() if value is not None}
