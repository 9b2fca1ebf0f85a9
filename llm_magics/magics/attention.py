"""`%attention`: every head of a model on one text, as a map to look around in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_magics.magics.command import Call, Command, python_call
from llm_magics.magics.options import Option, Word, whole

if TYPE_CHECKING:
    from llm_magics.widgets.attention_map import AttentionMap

__all__ = ["AttentionMagic", "attention_map"]

_SEPARATOR = "---"


class AttentionMagic(Command):
    """`%attention REF [text]`; in a cell a line `---` stands between source and target."""

    name = "attention"
    summary = "Show every attention head of a model on a text."
    details = ("All layers and heads are thumbnails, one is enlarged with its tokens. "
               "A translation model shows encoder, decoder and cross attention; without a target text it looks at its "
               "own translation. In the cell form a line of three dashes separates source and target.")
    words = (Word("ref", "hub id, local folder, embedded:NAME, run:NAME or a variable", completes="model"),)
    text = "TEXT"
    cell = "TEXT, and optionally --- and a target text below it"
    options = (
        Option("--target", "what the model is taken to have written, in place of its own output", "TEXT"),
        Option("--kind", "which attention is enlarged first", "KIND", choices=("encoder", "decoder", "cross", "self")),
        Option("--layer", "which layer is enlarged first, from 0", "N", whole(0, 10_000)),
        Option("--head", "which head is enlarged first, from 0", "N", whole(0, 10_000)),
        Option("--in", "take the text from this notebook variable", "EXPR", completes="variable"),
    )
    examples = (
        "%attention embedded:en-de The cat sleeps on the sofa.",
        "%attention run:numbers --kind cross forty-two",
        "%%attention embedded:en-de\nThe cat sleeps.\n---\nDie Katze schläft.",
    )

    def run(self, call: Call) -> AttentionMap:
        reference, text, target = self._parts(call)
        view = attention_map(call.reference(reference), text, target)
        wanted = self._wanted(call)
        if wanted:
            view.selection = self._selection(call, view, wanted)
        return view

    def plan(self, call: Call) -> object:
        from llm_magics.magics.models import plan_table

        return plan_table(call.session.plan("attention", model=self._parts(call)[0]))

    def code(self, call: Call) -> str:
        reference, text, target = self._parts(call)
        made = python_call("from llm_magics import attention_map", "attention_map", reference, text, assign="view",
                           target=target)
        wanted = self._wanted(call)
        return f"{made}\nview.selection = view.selection | {wanted!r}" if wanted else made

    @staticmethod
    def _wanted(call: Call) -> dict[str, object]:
        """What of the selection was given."""
        return {name: call[name] for name in ("kind", "layer", "head") if call[name] is not None}

    def _parts(self, call: Call) -> tuple[str, str, str | None]:
        """Reference, source text and target text."""
        reference = call.word(0)
        if reference is None:
            raise call.wrong("which model? write %attention REF TEXT, for example %attention embedded:en-de Hello")
        source, target = _split(call.body())
        if target is not None and call["target"]:
            raise call.wrong("the target came from --target and from below ---; give one of them")
        target = call["target"] or target
        if not source.strip() or (target is not None and not target.strip()):
            side = "below" if source.strip() else "above"
            raise call.wrong(f"the text {side} --- is empty; expected text")
        return reference, source, target

    @staticmethod
    def _selection(call: Call, view: AttentionMap, wanted: dict[str, object]) -> dict[str, object]:
        selection = {**view.selection, **wanted}
        panels = {panel["kind"]: panel for panel in view.panels}
        panel = panels.get(selection["kind"])
        if panel is None:
            raise call.wrong(f"this model has no {selection['kind']} attention; it has {', '.join(panels)}")
        for name in ("layer", "head"):
            if selection[name] >= panel[f"{name}s"]:
                raise call.wrong(f"there is no {name} {selection[name]}; {selection['kind']} attention has "
                                 f"{name}s 0 to {panel[f'{name}s'] - 1}")
        return selection


def attention_map(model: object, text: str, target: str | None = None) -> AttentionMap:
    """The attention of `model` on `text` as a widget; what it shows is readable as `.map()` and `.selection`.

    `model` is a reference. `target` is what a translation model is taken to have written; None: its own output.
    """
    from llm_magics.session import current_session
    from llm_magics.widgets.attention_map import AttentionMap, Panel

    view = current_session().attention(model, text, target)
    panels = [Panel(**panel) if isinstance(panel, dict) else panel for panel in view.panels]
    return AttentionMap(title=view.title, panels=panels, fetch=view.fetch, fetch_row=view.fetch_row)


def _split(text: str) -> tuple[str, str | None]:
    lines = text.split("\n")
    marks = [i for i, line in enumerate(lines) if line.strip() == _SEPARATOR]
    if not marks:
        return text.strip(), None
    return "\n".join(lines[: marks[0]]).strip(), "\n".join(lines[marks[0] + 1:]).strip()
