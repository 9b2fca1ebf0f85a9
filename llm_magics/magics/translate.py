"""`%%translate`: text from one language into another."""

from __future__ import annotations

from llm_magics.magics.command import MODEL, Call
from llm_magics.magics.options import Option, whole
from llm_magics.magics.rows import EACH
from llm_magics.magics.settings import settings_of
from llm_magics.magics.task import TaskCommand

__all__ = ["TranslateMagic"]


class TranslateMagic(TaskCommand):
    """`%translate [options] TEXT`, or the text below `%%translate`."""

    name = "translate"
    summary = "Translate text and show it beside its source."
    details = ("Sentence by sentence; paragraphs, blank lines and list marks stay as they are. "
               "The text is never read as options and never formatted: quotes and braces survive. "
               "A single line that ends in ? asks IPython for help before any magic sees it: put a question below "
               "%%translate.")
    text = "TEXT"
    cell = "TEXT"
    options = (
        Option("--from", "language of the text, code or name; auto finds out", "LANGUAGE", default="auto",
               completes="source language"),
        Option("--to", "language to translate into, code or name", "LANGUAGE", completes="language"),
        MODEL,
        Option("--beams", "beams of the search; 1 is greedy and fastest", "N", whole(1, 64), default=1),
        Option("--in", "take the text from this notebook variable", "EXPR", completes="variable"),
        EACH,
    )
    examples = (
        "%translate --to de Good morning, my friend.",
        "%%translate --from en --to de --out letter\nDear Ms Smith,\n\nthank you for your letter.",
        "%translate --to de --each df[\"text\"] --out german",
    )

    def arguments(self, call: Call) -> dict[str, object]:
        """Arguments of `Session.translate`, those that were not given left out."""
        settings = settings_of(call.shell)
        target, model = call["to"] or settings.target_language, call.model()
        default = None if model else settings.translate_model or None
        if not (target or model or default):  # a model of one pair of languages says itself which they are
            raise call.wrong("into which language? write --to, for example --to de")
        given = {"source": call["from"] if call["from"] != "auto" else None, "target": target or None,
                 "model": model, "default": default, "num_beams": call["beams"] if call["beams"] != 1 else None}
        return {name: value for name, value in given.items() if value is not None}
