"""Magics whose models can be compared, on one text or on many rows, and scored by a reference."""

from __future__ import annotations

from pathlib import Path

from llm_magics.display.progress import counted
from llm_magics.display.table import table
from llm_magics.magics.core.command import Call, Source, python_call
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.rows import each_code, file_or_variable, run_each
from llm_magics.magics.stream import stream
from llm_magics.magics.task import TaskCommand

__all__ = ["ALTERNATIVES", "COMPARE", "REFERENCE", "ComparedCommand", "checked"]

ALTERNATIVES = Option(
    "--alternatives",
    "other results of the model, shown on demand (beam search)",
    "N",
    whole(0, 20),
    default=0,
)
REFERENCE = Option(
    "--reference",
    "right result, to score this one by: a variable or text file; with --each a column of the "
    "same rows, a list or a file, one a row",
    "VAR|FILE|COLUMN",
    completes="variable",
)
COMPARE = Option(
    "--compare", "models to compare on the same text or rows, with commas between", "REF,REF"
)


class ComparedCommand(TaskCommand):
    """A task magic with --compare."""

    def run(self, call: Call) -> object:
        if not call["compare"]:
            return super().run(call)
        models, arguments = self._models(call), self.arguments(call)
        if call["each"]:
            return run_each(
                call,
                lambda rows, **options: call.session.compare_each(
                    self.name, rows, models, **options
                ),
                arguments,
            )
        return stream(
            call,
            call.session.compare_models,
            self.name,
            call.body(),
            models,
            grows=self.grows,
            **arguments,
        )

    def plan(self, call: Call) -> object:
        if not call["compare"]:
            return super().plan(call)
        from llm_magics.magics.models import plan_table

        models, arguments = self._models(call), self.arguments(call)
        text = "" if call["each"] else call.body()
        tables = [
            plan_table(call.session.plan(self.name, text=text, **{**arguments, "model": model}))
            for model in models
        ]
        plans = [dict(plan.rows) for plan in tables]
        names = list(dict.fromkeys(name for plan in plans for name in plan))
        notes = [
            f"{model}: {plan.caption}"
            for model, plan in zip(models, tables, strict=True)
            if plan.caption
        ]
        return table(
            ["", *models],
            [[name, *(plan.get(name, "") for plan in plans)] for name in names],
            caption=" · ".join(notes),
        )

    def code(self, call: Call) -> str:
        arguments = self.arguments(call)
        if call["each"]:
            if call["reference"]:
                arguments["reference"] = _reference_source(call)
            if call["compare"]:
                return each_code(call, "compare_each", arguments, [self.name], [self._models(call)])
            return each_code(call, f"{self.name}_each", arguments)
        if not call["compare"]:
            return super().code(call)
        return python_call(
            "from llm_magics import compare_models",
            "compare_models",
            self.name,
            call.body(),
            self._models(call),
            **arguments,
        )

    def _models(self, call: Call) -> list[str]:
        if call["model"]:
            raise call.wrong("--compare names the models; leave --model out")
        models = [name.strip() for name in str(call["compare"]).split(",") if name.strip()]
        if len(models) < 2:
            raise call.wrong(f"--compare {call['compare']}: name two models or more, such as a,b")
        return [call.reference(name) for name in models]


def checked(call: Call) -> dict[str, object]:
    """--alternatives and --reference as arguments, None where they were not given."""
    named = call["reference"]
    reference = None
    if named:
        reference = _references(call, str(named)) if call["each"] else _reference(call, str(named))
    return {"alternatives": call["alternatives"] or None, "reference": reference}


def _columns(call: Call) -> tuple[object, list[str]]:
    """(what --each names, its columns)."""
    rows = file_or_variable(call, "each")
    return rows, call.session.row_columns(rows)


def _references(call: Call, named: str) -> object:
    """One reference a row: the name of a column of the rows, or a column, list or file of them."""
    rows, columns = _columns(call)
    if (
        named in columns
    ):  # of a table the column itself, as that of the texts is taken out of it, too
        return rows[named] if hasattr(rows, "columns") or hasattr(rows, "column_names") else named
    if named.isidentifier() and named not in call.scope:
        beside = (
            f"{call['each']} has {', '.join(columns)}"
            if columns
            else f"{call['each']} has no columns"
        )
        raise call.wrong(f"--reference {named} is neither a column ({beside}) nor a variable")
    held = file_or_variable(call, "reference")
    if isinstance(held, (str, bytes, dict)) or not (
        isinstance(held, Path) or hasattr(held, "__iter__")
    ):
        raise call.wrong(
            f"--reference {named} is of type {type(held).__name__}; with --each expected a list "
            "or column, one "
            "reference a row"
        )
    there = call.session.count_rows(held) if isinstance(held, Path) else _length(held)
    wanted = _length(rows)  # of a file they are counted where it is read
    if None not in (there, wanted) and there != wanted:
        raise call.wrong(
            f"--reference {named} has {counted(there, 'reference')}, --each {call['each']} "
            f"{counted(wanted, 'row')}; "
            "give one for each row, None where there is none"
        )
    return held


def _length(rows: object) -> int | None:
    return len(rows) if hasattr(rows, "__len__") else None


def _reference_source(call: Call) -> object:
    """The references as the equivalent Python names them."""
    named = str(call["reference"])
    rows, columns = _columns(call)
    if named in columns:
        return (
            Source(f"{call['each']}[{named!r}]")
            if hasattr(rows, "columns") or hasattr(rows, "column_names")
            else named
        )
    held = file_or_variable(call, "reference")
    return str(held) if isinstance(held, Path) else Source(named)


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
