"""What the magics of a task share: one text or many rows, the plan, and the equivalent Python."""

from __future__ import annotations

from llm_magics.magics.command import Call, Command, python_call
from llm_magics.magics.rows import each_code, run_each
from llm_magics.magics.stream import stream

__all__ = ["TaskCommand"]


class TaskCommand(Command):
    """A magic whose name is a method of `Session`, with a twin NAME_each for many rows. A subclass gives `arguments`."""

    def arguments(self, call: Call) -> dict[str, object]:
        """Arguments of the method, those that were not given left out."""
        raise NotImplementedError

    def run(self, call: Call) -> object:
        arguments = self.arguments(call)
        if call["each"]:
            return run_each(call, getattr(call.session, f"{self.name}_each"), arguments)
        return stream(call, getattr(call.session, self.name), call.body(), **arguments)

    def plan(self, call: Call) -> object:
        from llm_magics.magics.models import plan_table

        arguments = self.arguments(call)
        text = "" if call["each"] else call.body()
        return plan_table(call.session.plan(self.name, text=text, **arguments))

    def code(self, call: Call) -> str:
        arguments = self.arguments(call)
        if call["each"]:
            return each_code(call, f"{self.name}_each", arguments)
        return python_call(f"from llm_magics import {self.name}", self.name, call.body(), **arguments)
