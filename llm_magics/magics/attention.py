"""`%attention`: every head of a model on one text, to look around in."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from llm_magics.display.plan import plan_table
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import Command
from llm_magics.magics.core.options import Option, Word, whole
from llm_magics.magics.core.python_source import python_call
from llm_magics.magics.split_cell import split_at_rule
from llm_magics.widgets.attention.selection import KINDS, VIEWS

if TYPE_CHECKING:
    from llm_magics.display.page import FramedPage
    from llm_magics.widgets.attention.attention_explorer import AttentionExplorer

__all__ = ["AttentionMagic"]

_SELECTED = ("view", "kind", "layer", "head", "sort")
_ENDINGS = (".html", ".svg", ".png")


def _heads(text: str) -> list[list[int]]:
    """Converter for --silence: "2.9,1.1" names layer 2 head 9 and layer 1 head 1."""
    try:
        return [
            [int(number) for number in one.split(".", 1)]
            for one in text.split(",")
            if one.split(".", 1)[1]
        ]
    except (ValueError, IndexError):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected LAYER.HEAD, several with commas, such as 2.9,1.1"
        ) from None


def _file(text: str) -> str:
    """Converter for --save."""
    if Path(text).suffix.lower() not in _ENDINGS:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a name that ends with {', '.join(_ENDINGS)}"
        )
    return text


class AttentionMagic(Command):
    """`%attention REF [text]`; in a cell a line `---` stands between source and target, or between
    two texts."""

    name = "attention"
    summary = "Look inside a model: every attention head on a text."
    details = (
        "Thumbnails of all layers and heads, sorted by any measure; one head as a map, as lines, "
        "neuron by neuron, as an alignment; compared with another model, text or training step. "
        "A head that is silenced shows at once what it was worth. In the cell form a line of "
        "three dashes separates source and target, or the two texts of a pair."
    )
    words = (
        Word(
            "ref", "hub id, local folder, embedded:NAME, run:NAME or a variable", completes="model"
        ),
    )
    text = "TEXT"
    cell = "TEXT, and optionally --- and a target or second text below it"
    options = (
        Option(
            "--target",
            "what the model is taken to have written, in place of its own output",
            "TEXT",
        ),
        Option("--view", "what is shown first", "VIEW", choices=VIEWS),
        Option("--kind", "which attention is shown first", "KIND", choices=KINDS),
        Option("--layer", "which layer is enlarged first, from 0", "N", whole(0, 10_000)),
        Option("--head", "which head is enlarged first, from 0", "N", whole(0, 10_000)),
        Option(
            "--sort", "sort the heads by this measure, such as entropy or previous-token", "MEASURE"
        ),
        Option(
            "--silence",
            "silence these heads of the kind shown: LAYER.HEAD, several with commas",
            "HEADS",
            _heads,
        ),
        Option(
            "--write",
            "let the model go on for so many tokens, and look at them step by step",
            "N",
            whole(1, 2_000),
        ),
        Option("--against", "compare with this model on the same text", "REF", completes="model"),
        Option("--against-text", "compare with the same model on this text", "TEXT"),
        Option("--checkpoints", "compare the steps of a training that were kept; REF is a run"),
        Option(
            "--bertviz",
            "hand the maps to one of BertViz's own views",
            "VIEW",
            choices=("head", "model", "neuron"),
        ),
        Option("--anyway", "with --bertviz, also for a text that it is not made for"),
        Option(
            "--save",
            "write the view to this file as well: .html (interactive), .svg or .png",
            "FILE",
            _file,
        ),
        Option("--in", "take the text from this notebook variable", "EXPR", completes="variable"),
    )
    examples = (
        "%attention embedded:en-de The cat sleeps on the sofa.",
        "%attention run:numbers --view cross forty-two",
        "%attention run:numbers --checkpoints --view steps forty-two",
        "%%attention embedded:en-de --save map.html\nThe cat sleeps.\n---\nDie Katze schläft.",
        "%attention embedded:en-de --bertviz head The cat sleeps.",
    )

    def run(self, call: Call) -> AttentionExplorer | FramedPage:
        from llm_magics import api

        reference, text, second = self._parts(call)
        if call["bertviz"]:
            page = api.bertviz(
                call.reference(reference), text, second, **self._bertviz_options(call)
            )
            if call["save"]:
                page.save(call["save"])
            return page
        view = api.explore_attention(call.reference(reference), text, second, **self._given(call))
        selection = self._selection(call)
        if selection:
            self._select(call, view, selection)
        if call["save"]:
            view.save(call["save"])
        return view

    def plan(self, call: Call) -> object:
        from llm_magics import api

        return plan_table(api.plan("attention", model=self._parts(call)[0]))

    def code(self, call: Call) -> str:
        reference, text, second = self._parts(call)
        if call["bertviz"]:
            return python_call(
                "from llm_magics import bertviz",
                "bertviz",
                reference,
                text,
                second,
                assign="page",
                **self._bertviz_options(call),
            )
        made = python_call(
            "from llm_magics import explore_attention",
            "explore_attention",
            reference,
            text,
            assign="view",
            second=second,
            **self._given(call),
        )
        selection = self._selection(call)
        lines = [made, *([f"view.selection = {selection!r}"] if selection else [])]
        return "\n".join([*lines, *([f"view.save({call['save']!r})"] if call["save"] else [])])

    def _parts(self, call: Call) -> tuple[str, str, str | None]:
        """Reference, text, and target or second text."""
        reference = call.word(0)
        if reference is None:
            raise call.wrong(
                "which model? write %attention REF TEXT, for example %attention embedded:en-de "
                "Hello"
            )
        source, below = split_at_rule(call.body())
        if below is not None and call["target"]:
            raise call.wrong("the target came from --target and from below ---; give one of them")
        second = call["target"] or below
        if not source.strip() or (second is not None and not second.strip()):
            side = "below" if source.strip() else "above"
            raise call.wrong(f"the text {side} --- is empty; expected text")
        return reference, source, second

    def _given(self, call: Call) -> dict[str, object]:
        """Arguments of `explore_attention` besides model and texts."""
        if call["checkpoints"] and not str(call.word(0)).startswith("run:"):
            raise call.wrong(
                f"--checkpoints needs a run, such as run:numbers; {call.word(0)} is none"
            )
        if call["checkpoints"] and (call["against"] or call["against-text"] or call["write"]):
            raise call.wrong(
                "--checkpoints compares the steps of one run on one text; leave --against and "
                "--write out"
            )
        against = call.reference(str(call["against"])) if call["against"] else None
        given = {
            "against": against,
            "against_text": call["against-text"],
            "write": call["write"],
            "checkpoints": call["checkpoints"] or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    @staticmethod
    def _bertviz_options(call: Call) -> dict[str, object]:
        given = {
            "view": call["bertviz"],
            "kind": call["kind"],
            "layer": call["layer"],
            "head": call["head"],
            "anyway": call["anyway"] or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    @staticmethod
    def _selection(call: Call) -> dict[str, object]:
        """What of the selection was given."""
        found = {name: call[name] for name in _SELECTED if call[name] is not None}
        if call["silence"]:
            found["silenced"] = call["silence"]
        return found

    @staticmethod
    def _select(call: Call, view: AttentionExplorer, selection: dict[str, object]) -> None:
        from traitlets import TraitError

        try:
            view.selection = selection
        except TraitError as error:
            raise call.wrong(str(error)) from None
