"""What the magics of a task share: one text or many rows, one model or several to compare, the
plan, and the equivalent Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_magics.display.html import Node, el, fragment
from llm_magics.display.plan import plan_table
from llm_magics.display.progress import counted
from llm_magics.display.table import Table, table
from llm_magics.extras import install_hint
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import Box, Command
from llm_magics.magics.core.interrupt import Interrupted
from llm_magics.magics.core.objects import file_or_variable, find_file, text_of
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.core.python_source import Source, python_call
from llm_magics.magics.rows import BATCH, EACH, each_code, run_each
from llm_magics.magics.settings import settings_of

if TYPE_CHECKING:
    from llm_magics.display.result import Result
    from llm_magics.magics.core.live_output import Live

__all__ = [
    "ALTERNATIVES",
    "COMPARE",
    "ENGINE",
    "IN",
    "LANGUAGE",
    "PANEL",
    "REFERENCE",
    "TaskCommand",
]

ENGINE = Option(
    "--engine",
    "what computes the model: torch, or ctranslate2 for less memory and faster beams with Marian, "
    f"M2M100, NLLB, BART, mBART, Pegasus and T5, without word links; needs {install_hint('fast')}",
    "ENGINE",
    default="torch",
    choices=("torch", "ctranslate2"),
)
PANEL = Option(
    "--panel",
    "open a panel to try it in: text, model and options as on the line, result beside them",
)
IN = Option(
    "--in", "take the text from this notebook variable or file", "EXPR|FILE", completes="variable"
)
LANGUAGE = Option(
    "--language",
    "language of the text, code or name; auto finds out",
    "LANGUAGE",
    default="auto",
    completes="source language",
    argument="language",
)
ALTERNATIVES = Option(
    "--alternatives",
    "other results of the model, shown on demand (beam search)",
    "N",
    whole(0, 20),
    default=0,
    argument="alternatives",
)


def _reference(call: Call, as_source: bool) -> object:
    """What --reference names: one text, or with --each one a row."""
    named = str(call["reference"])
    if not call["each"]:
        return text_of(call, "reference")
    rows = file_or_variable(call, "each")
    columns = call.session.row_columns(rows)
    if named in columns:  # of a table the column itself, as that of the texts is taken out of it
        if not _is_table(rows):
            return named
        return Source(f"{call['each']}[{named!r}]") if as_source else rows[named]
    return _references(call, named, rows, columns, as_source)


def _references(call: Call, named: str, rows: Any, columns: list[str], as_source: bool) -> object:
    """References that stand beside the rows: a list, a column or a file of as many."""
    if named.isidentifier() and named not in call.scope and not find_file(named, call.scope):
        beside = f"has {', '.join(columns)}" if columns else "has no columns"
        raise call.wrong(
            f"--reference {named} is neither a column ({call['each']} {beside}) nor a variable "
            "nor a file"
        )
    held = file_or_variable(call, "reference")
    if isinstance(held, Path):
        there, source = call.session.count_rows(held), str(held)
    elif isinstance(held, (str, bytes, dict)) or not hasattr(held, "__iter__"):
        raise call.wrong(
            f"--reference {named} is of type {type(held).__name__}; with --each expected a list "
            "or column, one reference a row"
        )
    else:
        there, source = _length(held), Source(named)
    wanted = _length(rows)  # of a file they are counted where it is read
    if there is not None and wanted is not None and there != wanted:
        raise call.wrong(
            f"--reference {named} has {counted(there, 'reference')}, --each {call['each']} "
            f"{counted(wanted, 'row')}; give one for each row, None where there is none"
        )
    return source if as_source else held


def _is_table(rows: object) -> bool:
    """Whether it is a whole table, of pandas or of datasets."""
    return hasattr(rows, "columns") or hasattr(rows, "column_names")


def _length(rows: Any) -> int | None:
    return len(rows) if hasattr(rows, "__len__") else None


REFERENCE = Option(
    "--reference",
    "right result, to score this one by: a variable or text file; with --each a column of the "
    "same rows, a list or a file, one a row",
    "VAR|FILE|COLUMN",
    completes="variable",
    argument="reference",
    resolve=_reference,
)
COMPARE = Option(
    "--compare", "models to compare on the same text or rows, with commas between", "REF,REF"
)


@dataclass(frozen=True)
class _Work:
    """A function of the session, to be called `function(*before, TEXT, *after, **arguments)`."""

    function: str
    arguments: dict[str, Any]
    before: tuple[object, ...] = ()
    after: tuple[object, ...] = ()


class TaskCommand(Command):
    """A magic whose name is a function of the session, with a twin NAME_each for many rows.

    Its options say which argument they are. One that has COMPARE among them compares models.
    """

    boxes: tuple[Box, ...] = (Box("text", "Text", option="--in"),)
    """The parts of its text, each a box of the panel."""
    grows = True
    """Whether the function tells how far it is, through `on_progress`."""
    python_name = ""
    """The public function for one text; "" has the name of the magic."""
    python_result = "result"
    """What the equivalent Python calls the result of one text."""

    def texts(self, call: Call) -> tuple[Any, ...]:
        """The arguments that hold the text to work on, the last of them the one a model reads."""
        return (call.body(),)

    def more_arguments(self, call: Call) -> dict[str, Any]:
        """Arguments that no single option says; None: not given."""
        return {}

    def present(self, call: Call, result: Any, arguments: dict[str, Any]) -> Any:
        """What the cell shows of the result of one text."""
        return result

    def all_options(self) -> tuple[Option, ...]:
        return (*self.options, *(BATCH if EACH in self.options else ()), PANEL, *self.common)

    def check(self, call: Call) -> None:
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
        """The text of what `option` of a box names; "" when the option was not given."""
        name = option.lstrip("-")
        return text_of(call, name) if call[name] else ""

    def run(self, call: Call) -> object:
        work = self._work(call)
        function = getattr(call.session, work.function)
        if call["each"]:
            return run_each(
                call,
                lambda rows, **options: function(*work.before, rows, *work.after, **options),
                work.arguments,
            )
        made = partial(function, *work.before, *self.texts(call), *work.after)
        result = _stream(call, made, grows=self.grows, **work.arguments)
        return self.present(call, result, work.arguments)

    def plan(self, call: Call) -> object:
        work = self._work(call)
        text = work.arguments.pop("context", "") if call["each"] else self.texts(call)[-1]
        models = work.after[0] if work.after else [work.arguments.pop("model", None)]
        plans = [
            plan_table(call.session.plan(self.name, text=text, model=model, **work.arguments))
            for model in models
        ]
        return _beside(models, plans) if work.after else plans[0]

    def code(self, call: Call) -> str:
        work = self._work(call, as_source=True)
        if call["each"]:
            return each_code(call, work.function, work.arguments, work.before, work.after)
        name = self.python_name if self.python_name and not work.after else work.function
        return python_call(
            f"from llm_magics import {name}",
            name,
            *work.before,
            *self.texts(call),
            *work.after,
            assign=self.python_result,
            **work.arguments,
        )

    def _work(self, call: Call, *, as_source: bool = False) -> _Work:
        """What is to be done, by one reading of the line."""
        models = _models(call) if call.values.get("compare") else None
        arguments = call.given(self.options, as_source=as_source)
        if call.load_options():
            arguments["load_options"] = call.load_options()
        default = getattr(settings_of(call.shell), f"{self.name}_model", "")
        if default and "model" not in arguments:
            arguments["default"] = default
        more = self.more_arguments(call)
        arguments |= {name: value for name, value in more.items() if value is not None}
        if models is None:
            return _Work(f"{self.name}_each" if call["each"] else self.name, arguments)
        return _Work(
            "compare_each" if call["each"] else "compare_models", arguments, (self.name,), (models,)
        )


def _models(call: Call) -> list[str]:
    """The models that --compare names."""
    if call["model"]:
        raise call.wrong("--compare names the models; leave --model out")
    models = [name.strip() for name in str(call["compare"]).split(",") if name.strip()]
    if len(models) < 2:
        raise call.wrong(f"--compare {call['compare']}: name two models or more, such as a,b")
    return [call.reference(name) for name in models]


def _beside(models: list[str], plans: list[Table]) -> Table:
    """The plans of several models, a column each."""
    facts = [dict(plan.rows) for plan in plans]
    names = list(dict.fromkeys(name for one in facts for name in one))
    notes = [
        f"{model}: {plan.caption}"
        for model, plan in zip(models, plans, strict=True)
        if plan.caption
    ]
    return table(
        ["", *models],
        [[name, *(one.get(name, "") for one in facts)] for name in names],
        caption=" · ".join(notes),
    )


def _stream(call: Call, work: Callable[..., Result], *, grows: bool, **options: Any) -> Result:
    """`work(on_progress=…, stop=…, **options)`, shown while it is made; without `on_progress`
    unless it `grows`.

    When it is interrupted, what there is stays, marked as interrupted, and `Interrupted` is raised,
    so that the cell ends as one that did not finish and the cells queued behind it do not run.
    """
    live = call.live()
    last: list[Any] = []

    def on_progress(progress: Any) -> None:
        last[:] = [progress]
        if live.grows(progress.text):
            live.show(progress.node, progress.text)
        else:
            live.status(progress.node, f"part {progress.done + 1} of {progress.total}")

    try:
        with call.stopping() as stop:
            watched = {"on_progress": on_progress} if grows else {}
            result = work(stop=stop, **watched, **options)
    except KeyboardInterrupt:
        _keep(live, last)
        raise Interrupted(
            "stopped; what is shown is incomplete, and the model stays loaded"
            if last
            else "stopped before there was any result"
        ) from None
    if result.interrupted:
        live.show_result(result)
        call.assign(result)
        raise Interrupted("stopped; the result is incomplete, and the model stays loaded")
    return live.finish(result)


def _keep(live: Live, last: list[Any]) -> None:
    """Leave the last state in place, marked as interrupted."""

    def node() -> Node:
        return fragment(last[0].node(), el("p", {}, el("strong", {}, "interrupted")))

    live.interrupted(node if last else None, last[0].text if last else "")
