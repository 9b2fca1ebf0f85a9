"""`%runs`: the trainings on this machine, to look at, compare, go on with, rename, pass on and
delete."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from llm_magics.display.progress import counted, duration
from llm_magics.display.table import Table, table
from llm_magics.display.units import count, size
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import Command
from llm_magics.magics.core.live_output import in_notebook
from llm_magics.magics.core.options import Option, Word, number
from llm_magics.magics.core.python_source import PlainText, python_call

if TYPE_CHECKING:
    from llm_magics.training.runs.summary import RunSummary

__all__ = ["RunsMagic", "runs_table"]

_NAMES = {
    "show": (1, 1),
    "compare": (2, 99),
    "resume": (1, 1),
    "rename": (2, 2),
    "export": (1, 1),
    "delete": (1, 99),
    "restore": (1, 1),
    "trash": (0, 0),
    "empty-trash": (0, 0),
}
"""Action → fewest and most names behind it."""
_USAGE = {
    "compare": "compare A B …",
    "rename": "rename OLD NEW",
    "delete": "delete NAME …",
    "trash": "trash",
    "empty-trash": "empty-trash",
}
_METHODS = {
    None: ("survey", "runs"),
    "show": ("find", "run"),
    "compare": ("compare", "comparison"),
    "rename": ("rename", "run"),
    "export": ("export", "written"),
    "delete": ("delete", "deleted"),
    "restore": ("restore", "run"),
    "trash": ("trash", "trashed"),
    "empty-trash": ("empty_trash", "deleted"),
}
"""Action → method of `session.runs`, and what its value is called."""
_OPTIONS_OF = {
    "to": "export",
    "format": "export",
    "force": "export",
    "forever": "delete",
    "background": "resume",
    "device": "resume",
    "epochs": "resume",
}
_FORMATS = ("safetensors", "copy", "tensorboard", "card")


class RunsMagic(Command):
    """`%runs [show|compare|resume|rename|export|delete|restore|trash|empty-trash NAME …]`."""

    name = "runs"
    summary = (
        "List the trainings on this machine; show, compare, resume, rename, export or delete them."
    )
    details = (
        "Without a word the runs are listed, newest first. A deleted run lies in the trash until "
        "it is emptied. Exports: safetensors, a folder that transformers loads where it has a "
        "family that computes the same; copy, the model as it is; tensorboard, event files; "
        "card, a model card. The model of a run is run:NAME everywhere."
    )
    words = (
        Word(
            "action", f"{', '.join(_NAMES)}; without it the runs are listed", choices=tuple(_NAMES)
        ),
        Word("run", "names of runs", completes="run", many=True),
    )
    options = (
        Option("--to", "export: the folder to write", "FOLDER"),
        Option("--format", "export: what to write", "FORMAT", choices=_FORMATS),
        Option(
            "--force", "export: write into a folder that is not empty, over files of the same names"
        ),
        Option("--forever", "delete: not into the trash"),
        Option(
            "--epochs",
            "resume: a later end than the run has, counted from the beginning",
            "N",
            number(1e-3, 1e6),
        ),
        Option("--background", "resume: return at once; the curve moves on while other cells run"),
        Option(
            "--device", "resume: cpu, cuda, cuda:1, mps; without it the best there is", "DEVICE"
        ),
    )
    examples = (
        "%runs",
        "%runs compare first second",
        "%runs resume first --epochs 20 --background",
        "%runs export first --to ./first-for-transformers",
        "%runs export first --to ./events --format tensorboard",
        "%runs rename first baseline",
        "%runs delete second",
        "%runs restore second",
    )

    def run(self, call: Call) -> object:
        action, names = self._request(call)
        if action is None:
            return runs_table(call.session.runs.survey(), len(call.session.runs.trash()))
        return getattr(self, f"_{action.replace('-', '_')}")(call, *names)

    def plan(self, call: Call) -> object:
        action, names = self._request(call)
        if action == "resume":
            return self._resume(call, *names, "--dry-run")
        if action == "export":
            return PlainText(
                call.session.runs.export_plan(
                    names[0], *self._destination(call), force=bool(call["force"])
                )
            )
        if action in ("rename", "delete"):
            return PlainText(_plan(call, action, names))
        if action == "restore":
            return PlainText(f"would move {names[0]} from the trash back to the runs")
        if action == "empty-trash":
            trash = call.session.runs.trash()
            return PlainText(
                f"would delete {counted(len(trash), 'run')} for good, "
                f"{size(sum(one.n_bytes for one in trash))}"
            )
        return super().plan(call)

    def code(self, call: Call) -> str:
        action, names = self._request(call)
        if action == "resume":
            return str(self._resume(call, *names, "--code"))
        method, assign = _METHODS[action]
        imports, function = (
            "from llm_magics import current_session",
            f"current_session().runs.{method}",
        )
        if action == "delete":
            forever = call["forever"] or None
            calls = [
                python_call(imports, function, name, assign=assign, forever=forever)
                for name in names
            ]
            return "\n".join([calls[0], *(one.removeprefix(imports).strip() for one in calls[1:])])
        if action == "export":
            return python_call(
                imports,
                function,
                *names,
                *self._destination(call),
                assign=assign,
                force=call["force"] or None,
            )
        return python_call(imports, function, *names, assign=assign)

    @staticmethod
    def _request(call: Call) -> tuple[str | None, tuple[str, ...]]:
        """The action and the names behind it, as many as it takes; None and () for the list."""
        action, names = call.word(0), call.words[1:]
        for option, owner in _OPTIONS_OF.items():
            if call[option] and action != owner:
                raise call.wrong(f"--{option} goes with %runs {owner}")
        if action is None:
            return None, ()
        fewest, most = _NAMES[action]
        if not fewest <= len(names) <= most:
            wanted = f"{'' if fewest == most else 'at least '}{counted(fewest, 'name')}"
            usage = _USAGE.get(action, f"{action} NAME")
            raise call.wrong(f"{action} takes {wanted}, {len(names)} given: %runs {usage}")
        if action == "export" and not call["to"]:
            raise call.wrong(f"export needs a folder: %runs export {names[0]} --to FOLDER")
        return action, names

    @staticmethod
    def _destination(call: Call) -> tuple[str, str]:
        return str(call["to"]), str(call["format"] or _FORMATS[0])

    # What each action does

    def _show(self, call: Call, name: str) -> Table:
        from llm_magics.magics.training.train import TrainMagic

        found = call.session.runs.find(name)
        TrainMagic().answer(call.shell, _line(call, "--attach", name), None, call.scope)
        return _about(
            next(one for one in call.session.runs.survey() if one.name == name), repr(found)
        )

    def _compare(self, call: Call, *names: str) -> object:
        comparison = call.session.runs.compare(*names)
        if call["quiet"] or not in_notebook(call.shell):
            return comparison
        from IPython.display import display

        from llm_magics.magics.training.train_view import comparison_panel

        display(comparison_panel({name: call.session.runs.find(name).events() for name in names}))
        return replace(
            comparison, charts=None
        )  # the panel above is a picture, too, in a saved notebook

    def _resume(self, call: Call, name: str, *more: str) -> object:
        from llm_magics.magics.training.train import TrainMagic

        call.session.runs.find(name)  # a name that is none never reaches the line below
        return TrainMagic().answer(
            call.shell, " ".join([_line(call, "--resume", name), *more]), None, call.scope
        )

    def _rename(self, call: Call, old: str, new: str) -> PlainText:
        renamed = call.session.runs.rename(old, new)
        return PlainText(f"{old} is now {renamed.name}; its model is run:{renamed.name}")

    def _export(self, call: Call, name: str) -> object:
        return call.session.runs.export(name, *self._destination(call), force=bool(call["force"]))

    def _delete(self, call: Call, *names: str) -> PlainText:
        forever, lines = bool(call["forever"]), []
        _check_there(call, names)  # all or none
        for name in names:
            deleted = call.session.runs.delete(name, forever=forever)
            lines.append(
                f"{name}: {size(deleted.n_bytes)} "
                + (
                    "deleted for good"
                    if forever
                    else f"moved to the trash; %runs restore {name} brings it back"
                )
            )
        return PlainText("\n".join(lines))

    def _restore(self, call: Call, name: str) -> PlainText:
        return PlainText(f"{call.session.runs.restore(name).name} is back")

    def _trash(self, call: Call) -> Table:
        trash = call.session.runs.trash()
        rows = [[one.name, one.when, size(one.n_bytes), one.folder.name] for one in trash]
        return table(
            ["run", "deleted", "size", "in the trash as"],
            rows,
            align="llr",
            caption="%runs restore NAME brings one back; %runs empty-trash deletes them for good"
            if rows
            else "the trash is empty",
        )

    def _empty_trash(self, call: Call) -> PlainText:
        deleted = call.session.runs.empty_trash()
        return PlainText(
            f"{counted(len(deleted), 'run')} deleted for good, "
            f"{size(sum(one.n_bytes for one in deleted))}"
        )


def runs_table(runs: list[RunSummary], in_trash: int = 0) -> Table:
    """The runs, a line each; of a damaged one what is wrong with it."""
    rows = [
        [
            one.name,
            _state(one),
            one.task,
            one.model,
            f"{one.step:,}" if one.step else "",
            f"{one.epochs:.3g}" if one.epochs else "",
            None if one.loss is None else f"{one.loss:.3f}",
            _metric(one),
            duration(one.seconds) if one.seconds else "",
            size(one.n_bytes),
            _when(one),
        ]
        for one in runs
    ]
    heads = [
        "run",
        "state",
        "task",
        "model",
        "step",
        "epochs",
        "lowest loss",
        "metric",
        "time",
        "size",
        "last change",
    ]
    said = (
        "%runs show NAME, compare A B, resume NAME, rename OLD NEW, export NAME --to FOLDER, "
        "delete NAME; a run's model is run:NAME"
        if rows
        else "no run yet; %train makes one"
    )
    trash = f"; {in_trash} in the trash (%runs trash)" if in_trash else ""
    return table(heads, rows, caption=said + trash, align="llllrrrlrrl")


def _about(one: RunSummary, place: str) -> Table:
    """One run, a line a fact."""
    rows = [
        ["state", _state(one)],
        ["task", one.task],
        ["model", one.model],
        ["begun with", one.begun_with],
        ["parameters", count(one.parameters or None)],
        ["training rows", f"{one.train_rows:,}" if one.train_rows else ""],
        ["step", f"{one.step:,} of {one.total_steps:,}" if one.total_steps else f"{one.step:,}"],
        *(
            [
                f"until step {step:,}",
                ", ".join(f"{name} = {value}" for name, value in settings.items()),
            ]
            for step, settings in one.earlier.items()
        ),
        ["epochs", f"{one.epochs:.3g}"],
        ["training time", duration(one.seconds)],
        ["lowest validation loss", one.loss_text],
        *([name.replace("_", " "), f"{value:.4g}"] for name, value in one.metrics.items()),
        ["size", size(one.n_bytes)],
        ["last change", _when(one)],
    ]
    return table(["", "value"], [[name, value] for name, value in rows if value], caption=place)


def _state(one: RunSummary) -> str:
    return (
        f"{one.state}: {one.reason}"
        if one.reason and one.reason not in ("completed", one.state)
        else one.state
    )


def _metric(one: RunSummary) -> str:
    value = one.metrics.get(one.metric)
    return "" if value is None else f"{one.metric.replace('_', ' ')} {value:.4g}"


def _when(one: RunSummary) -> str:
    return datetime.fromtimestamp(one.changed_s).strftime("%Y-%m-%d %H:%M") if one.changed_s else ""


def _plan(call: Call, action: str, names: tuple[str, ...]) -> str:
    runs = _check_there(call, names[:1] if action == "rename" else names)
    if action == "rename":
        return f"would rename {names[0]} to {names[1]}"
    where = "delete for good" if call["forever"] else "move to the trash"
    return "\n".join(
        f"would {where}: {name}, {size(runs[name].n_bytes)}, {_state(runs[name])}" for name in names
    )


def _check_there(call: Call, names: tuple[str, ...]) -> dict[str, RunSummary]:
    """The runs by name; RunError lists them when one of `names` is not among them."""
    runs = {one.name: one for one in call.session.runs.survey()}
    for name in names:
        if name not in runs:
            call.session.runs.find(name)
    return runs


def _line(call: Call, *words: str) -> str:
    """The line of %train that does the same."""
    line = [*words, *(["--quiet"] if call["quiet"] else [])]
    if call["background"]:
        line.append("--background")
    line += [f"--{option}={call[option]}" for option in ("device", "epochs") if call[option]]
    return " ".join(line)
