"""`%%understand`: what is in a text, and which model says so."""

from __future__ import annotations

from llm_magics.display.table import Table, table
from llm_magics.magics.core.command import MODEL, PRECISION, Call
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.models import size
from llm_magics.magics.rows import EACH
from llm_magics.magics.settings import settings_of
from llm_magics.magics.task import TaskCommand

__all__ = ["UnderstandMagic"]

_CONFIGURED = ("sentiment", "labels", "entities", "similarity")
_COUNT = 8


class UnderstandMagic(TaskCommand):
    """`%understand [options] TEXT`, or the text below `%%understand`."""

    name = "understand"
    summary = (
        "Show what is in a text: language, sentiment, labels, entities, key phrases, how alike "
        "its lines are."
    )
    details = (
        "Without --show, whatever the models on this machine can do is done, and every row says "
        "which model did it; an "
        "aspect that --show names is fetched from the hub where that is needed. --model does "
        "what it can of the aspects "
        "shown: a classifier sentiment or labels, a tagger entities, a sentence encoder "
        "similarity, a chat model all "
        "but similarity."
    )
    grows = False
    text = "TEXT"
    cell = "TEXT"
    options = (
        Option(
            "--show",
            "only these, with commas: language, sentiment, labels, entities, phrases, similarity",
            "ASPECTS",
        ),
        Option(
            "--labels",
            "labels to tell apart, with commas; quotes around all of it where one has a space",
            "LABELS",
        ),
        Option("--multi-label", "judge each label by itself: several may fit, or none"),
        Option("--count", "how many key phrases", "N", whole(1, 100), default=_COUNT),
        Option(
            "--language",
            "language of the text, code or name; auto finds out",
            "LANGUAGE",
            default="auto",
            completes="source language",
        ),
        MODEL,
        PRECISION,
        Option("--in", "take the text from this notebook variable", "EXPR", completes="variable"),
        EACH,
    )
    examples = (
        "%understand The food was lovely, but the service was slow.",
        "%understand --show entities --model dslim/bert-base-NER Ada Lovelace was born in London.",
        (
            "%%understand --labels sports,politics,science --out about\nThe telescope found "
            "water on "
            "a distant planet."
        ),
        "%understand --show sentiment --each df.review --out moods",
    )

    def arguments(self, call: Call) -> dict[str, object]:
        """Arguments of `Session.understand`, those at their default left out."""
        settings = settings_of(call.shell)
        defaults = {
            aspect: model
            for aspect in _CONFIGURED
            if (model := getattr(settings, f"{aspect}_model"))
        }
        given = {
            "show": _listed(call["show"]),
            "labels": _listed(call["labels"]),
            "multi_label": call["multi-label"] or None,
            "count": call["count"] if call["count"] != _COUNT else None,
            "language": call["language"] if call["language"] != "auto" else None,
            "model": call.model(),
            "load_options": call.load_options(),
            "defaults": defaults or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def plan(self, call: Call) -> Table:
        text = "" if call["each"] else call.body()
        plans = call.session.understanding_plan(text, **self.arguments(call))
        rows = [
            [
                aspect,
                plan.model,
                "none" if plan.resident else size(plan.needed_bytes),
                "none" if plan.cached else size(plan.download_bytes),
                plan.note,
            ]
            for aspect, plan in plans.items()
        ]
        return table(["", "would use", "memory", "download", ""], rows, align="llrrl")


def _listed(written: object) -> list[str] | None:
    """What stands between the commas."""
    return [part.strip() for part in str(written).split(",")] if written else None
