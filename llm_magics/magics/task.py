"""What the magics of a task share: one text or many rows, the plan, and the equivalent Python."""

from __future__ import annotations

from llm_magics.magics.core.command import Box, Call, Command, python_call
from llm_magics.magics.core.options import Option
from llm_magics.magics.rows import BATCH, EACH, each_code, run_each
from llm_magics.magics.stream import stream

__all__ = ["ENGINE", "PANEL", "TaskCommand"]

ENGINE = Option(
    "--engine",
    "what computes the model: torch, or ctranslate2 for less memory and faster beams with Marian, "
    "M2M100, NLLB, BART, mBART, Pegasus and T5, without word links; needs pip install "
    "'llm_magics[fast]'",
    "ENGINE",
    default="torch",
    choices=("torch", "ctranslate2"),
)
PANEL = Option(
    "--panel",
    "open a panel to try it in: text, model and options as on the line, result beside them",
)


class TaskCommand(Command):
    """A magic whose name is a method of `Session`, with a twin NAME_each for many rows. A subclass
    gives `arguments`."""

    boxes: tuple[Box, ...] = (Box("text", "Text", option="--in"),)
    """The parts of its text, each a box of the panel."""
    grows = True
    """Whether the method tells how far it is, through `on_progress`."""

    def arguments(self, call: Call) -> dict[str, object]:
        """Arguments of the method, those that were not given left out."""
        raise NotImplementedError

    def all_options(self) -> tuple[Option, ...]:
        return (*self.options, *(BATCH if EACH in self.options else ()), PANEL, *self.common)

    def _check(self, call: Call) -> None:
        super()._check(call)
        for option in BATCH if EACH in self.options and not call["each"] else ():
            if call[option.name]:
                raise call.wrong(
                    f"{option.flag} is for many rows: name them with --each, or leave it out"
                )
        if call["panel"] and call.values.get("each"):
            raise call.wrong("a panel works on one text: leave out --each, or --panel")

    def worker(self, call: Call) -> Command:
        if not call["panel"]:
            return self
        from llm_magics.magics.panels.playground import PanelOpener  # brings anywidget

        return PanelOpener(self)

    def named_text(self, call: Call, option: str) -> str:
        """The text of the variable that `option` of a box names; "" when the option was not
        given."""
        expression = call[option.lstrip("-")]
        value = call.look_up(str(expression)) if expression else ""
        if not isinstance(value, str):
            raise call.wrong(
                f"{option} {expression} is of type {type(value).__name__}, expected text"
            )
        return value

    def run(self, call: Call) -> object:
        arguments = self.arguments(call)
        if call["each"]:
            return run_each(call, getattr(call.session, f"{self.name}_each"), arguments)
        return stream(
            call, getattr(call.session, self.name), call.body(), grows=self.grows, **arguments
        )

    def plan(self, call: Call) -> object:
        from llm_magics.magics.models import plan_table

        arguments = self.arguments(call)
        text = "" if call["each"] else call.body()
        return plan_table(call.session.plan(self.name, text=text, **arguments))

    def code(self, call: Call) -> str:
        arguments = self.arguments(call)
        if call["each"]:
            return each_code(call, f"{self.name}_each", arguments)
        return python_call(
            f"from llm_magics import {self.name}", self.name, call.body(), **arguments
        )
