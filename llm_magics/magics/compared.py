"""Magics whose models can be compared: one text through several of them, side by side."""

from __future__ import annotations

from pathlib import Path

from llm_magics.display.table import table
from llm_magics.magics.command import Call, python_call
from llm_magics.magics.options import Option, whole
from llm_magics.magics.stream import stream
from llm_magics.magics.task import TaskCommand

__all__ = ["ALTERNATIVES", "COMPARE", "REFERENCE", "ComparedCommand", "checked"]

ALTERNATIVES = Option("--alternatives", "other results of the model, shown on demand (beam search)", "N", whole(0, 20),
                      default=0)
REFERENCE = Option("--reference", "variable or text file with the right result, to score this one by", "VAR|FILE",
                   completes="variable")
COMPARE = Option("--compare", "models to compare on the same text, with commas between", "REF,REF")


class ComparedCommand(TaskCommand):
    """A task magic with --compare."""

    def run(self, call: Call) -> object:
        if not call["compare"]:
            return super().run(call)
        return stream(call, call.session.compare_models, self.name, call.body(), self._models(call), grows=self.grows,
                      **self.arguments(call))

    def plan(self, call: Call) -> object:
        if not call["compare"]:
            return super().plan(call)
        from llm_magics.magics.models import plan_table

        text, models, arguments = call.body(), self._models(call), self.arguments(call)
        plans = [dict(plan_table(call.session.plan(self.name, text=text, **{**arguments, "model": model})).rows)
                 for model in models]
        names = list(dict.fromkeys(name for plan in plans for name in plan))
        return table(["", *models], [[name, *(plan.get(name, "") for plan in plans)] for name in names])

    def code(self, call: Call) -> str:
        if not call["compare"]:
            return super().code(call)
        return python_call("from llm_magics import compare_models", "compare_models", self.name, call.body(),
                           self._models(call), **self.arguments(call))

    def _models(self, call: Call) -> list[str]:
        if call["each"] or call["model"]:
            raise call.wrong("--compare names the models and works on one text; leave --each and --model out")
        models = [name.strip() for name in str(call["compare"]).split(",") if name.strip()]
        if len(models) < 2:
            raise call.wrong(f"--compare {call['compare']}: name two models or more, such as a,b")
        return [call.reference(name) for name in models]


def checked(call: Call) -> dict[str, object]:
    """--alternatives and --reference as arguments, None where they were not given."""
    named = call["reference"]
    if named and call["each"]:
        raise call.wrong("--reference is for one text; leave --each out")
    return {"alternatives": call["alternatives"] or None, "reference": _reference(call, str(named)) if named else None}


def _reference(call: Call, named: str) -> str:
    path = Path(named).expanduser()
    if path.suffix and named.split(".")[0] not in call.scope and path.is_file():
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise call.wrong(f"{path.name} cannot be read as UTF-8 text: {error}") from None
    value = call.look_up(named)
    if not isinstance(value, str):
        raise call.wrong(f"--reference {named} is of type {type(value).__name__}, expected text")
    return value
