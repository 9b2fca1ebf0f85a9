"""`%%understand`: what is in a text, and which model says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llm_magics.display.table import Table, table
from llm_magics.display.units import size
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import MODEL, PRECISION
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.rows import EACH
from llm_magics.magics.settings import settings_of
from llm_magics.magics.task import IN, LANGUAGE, TaskCommand

__all__ = ["UnderstandMagic"]

_CONFIGURED = ("sentiment", "labels", "entities", "similarity")


def _listed(option: str) -> Callable[[Call, bool], list[str]]:
    """What stands between the commas of an option."""
    return lambda call, _: [part.strip() for part in str(call[option]).split(",")]


class UnderstandMagic(TaskCommand):
    """`%understand [options] TEXT`, or the text below `%%understand`."""

    name = "understand"
    summary = (
        "Show what is in a text: language, sentiment, labels, entities, key phrases, how alike "
        "its lines are."
    )
    details = (
        "Without --show, whatever the models on this machine can do is done, and every row says "
        "which model did it; an aspect that --show names is fetched from the hub where that is "
        "needed. --model does what it can of the aspects shown: a classifier sentiment or "
        "labels, a tagger entities, a sentence encoder similarity, a chat model all but "
        "similarity."
    )
    grows = False
    text = "TEXT"
    cell = "TEXT"
    options = (
        Option(
            "--show",
            "only these, with commas: language, sentiment, labels, entities, phrases, similarity",
            "ASPECTS",
            argument="show",
            resolve=_listed("show"),
        ),
        Option(
            "--labels",
            "labels to tell apart, with commas; quotes around all of it where one has a space",
            "LABELS",
            argument="labels",
            resolve=_listed("labels"),
        ),
        Option(
            "--multi-label",
            "judge each label by itself: several may fit, or none",
            argument="multi_label",
        ),
        Option("--count", "how many key phrases", "N", whole(1, 100), default=8, argument="count"),
        LANGUAGE,
        MODEL,
        PRECISION,
        IN,
        EACH,
    )
    examples = (
        "%understand The food was lovely, but the service was slow.",
        "%understand --show entities --model dslim/bert-base-NER Ada Lovelace was born in London.",
        (
            "%%understand --labels sports,politics,science --out about\nThe telescope found "
            "water on a distant planet."
        ),
        "%understand --show sentiment --each df.review --out moods",
    )

    def more_arguments(self, call: Call) -> dict[str, Any]:
        """The models that are set once for each aspect."""
        settings = settings_of(call.shell)
        defaults = {
            aspect: model
            for aspect in _CONFIGURED
            if (model := getattr(settings, f"{aspect}_model"))
        }
        return {"defaults": defaults or None}

    def plan(self, call: Call) -> Table:
        text = "" if call["each"] else call.body()
        from llm_magics import api

        plans = api.plan_understanding(text, **self._work(call).arguments)
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
