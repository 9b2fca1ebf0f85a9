"""The panel of a task magic: what its form holds becomes the line and the cell, and the magic
answers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from llm_magics.errors import InputError
from llm_magics.magics import MAGICS, find_command
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import Command
from llm_magics.magics.core.live_output import Live
from llm_magics.magics.core.options import suggestion
from llm_magics.magics.core.python_source import python_call
from llm_magics.magics.panels import form
from llm_magics.magics.task import TaskCommand

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llm_magics.widgets.playground import Playground, Screen

__all__ = ["PanelOpener", "open_panel", "playground"]


@dataclass(frozen=True)
class _PanelCall(Call):
    """A call that is shown on a screen and stopped by its button."""

    screen: Screen | None = None

    def live(self) -> Live:
        return _OnScreen(self.screen)

    def stopping(self) -> AbstractContextManager[Callable[[], bool]]:
        return nullcontext(self.screen.stopping)

    def assign(self, result: object) -> None:
        self.screen.keep(result)


class _OnScreen(Live):
    """What a notebook would show below the cell, as often as there, on the screen of a panel."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(None)
        self.notebook = True
        self._screen = screen

    def finish(self, result: object) -> object:
        return result

    def _update(self, frame: object) -> None:
        self._screen.show(frame.node())


class _Magic:
    """The work of a panel: the magic `command`, in a shell or without one."""

    def __init__(self, command: TaskCommand, shell: InteractiveShell | None) -> None:
        self.command, self.shell = command, shell

    def run(self, texts: Mapping[str, str], values: Mapping[str, str], screen: Screen) -> object:
        return self._answer(texts, values, make_call=partial(_PanelCall, screen=screen))

    def describe(self, texts: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
        try:
            line, cell = self._typed(texts, values)
        except InputError as error:
            return {"magic": "", "note": str(error)}
        return {"magic": f"%%{self.command.name} {line}".rstrip() + f"\n{cell}", "note": ""}

    def code(self, texts: Mapping[str, str], values: Mapping[str, str]) -> str:
        return str(self._answer(texts, values, more=" --code"))

    def offers(self) -> dict[str, list[list[str]]]:
        return form.offers_for(self.command, self._variables)

    @property
    def _variables(self) -> Mapping[str, object]:
        return self.shell.user_ns if self.shell is not None else {}

    def _typed(self, texts: Mapping[str, str], values: Mapping[str, str]) -> tuple[str, str]:
        """The line and the cell that a user would type."""
        line = form.line_of(self.command, form.tidy_values(self.command, values))
        return line, form.cell_of(self.command, texts)

    def _answer(
        self, texts: Mapping[str, str], values: Mapping[str, str], *, more: str = "", **how: object
    ) -> object:
        line, cell = self._typed(texts, values)
        return self.command.answer(self.shell, line + more, f"{cell}\n", self._variables, **how)


class PanelOpener(Command):
    """What --panel does in place of the magic: opens a form that begins with what the line says."""

    def __init__(self, command: TaskCommand) -> None:
        self.command = command

    def run(self, call: Call) -> Playground:
        return open_panel(self.command, call.shell, *self._given(call))

    def code(self, call: Call) -> str:
        texts, values = self._given(call)
        names = {
            name.replace("-", "_") + "_" * (name == "from"): text
            for name, text in {**texts, **values}.items()
        }
        return python_call(
            "from llm_magics import playground",
            "playground",
            self.command.name,
            assign="panel",
            **names,
        )

    def _given(self, call: Call) -> tuple[dict[str, str], dict[str, str]]:
        """(texts by box, values by option) of the line, the cell and the variables that it
        names."""
        texts = {
            box.name: self.command.named_text(call, box.option)
            for box in self.command.boxes
            if box.option
        }
        texts = {name: text for name, text in texts.items() if text}
        typed = "\n".join(
            part for part in (call.text, (call.cell or "").removesuffix("\n")) if part.strip()
        )
        if typed and texts:
            texts = {self.command.boxes[-1].name: typed, **texts}
        elif typed:
            texts = form.split_text(self.command, typed)
        return texts, form.known_values(self.command, call.arguments)


def open_panel(
    command: TaskCommand,
    shell: InteractiveShell | None,
    texts: Mapping[str, str],
    values: Mapping[str, str],
) -> Playground:
    """A panel of the magic. One that begins with nothing begins with the first example of the
    magic's help."""
    from llm_magics.widgets.playground import Playground

    described = form.form_of(command)
    if not texts and described["examples"]:
        first = described["examples"][0]
        texts, values = first["texts"], {**first["values"], **values}
    return Playground(described, _Magic(command, shell), texts=texts, values=values)


def playground(task: str, text: str = "", **options: str) -> Playground:
    """A panel in which to try a task: "translate", "summarize", "ask" and the other magics that
    work on text.

    `text` is what to work on, and `options` are the options of the magic, with underscores:
    `playground("translate", "Good morning", to="de", from_="en")`; of "ask" also `context`. Raises
    InputError for a task or an option that there is not.
    """
    command = find_command(task) if task in MAGICS else None
    if not isinstance(command, TaskCommand):
        tasks = [name for name in MAGICS if isinstance(find_command(name), TaskCommand)]
        raise InputError(
            f"there is no panel for {str(task)[:40]!r}{suggestion(str(task), tasks)}; "
            f"the tasks are {', '.join(tasks)}"
        )
    named = {name.rstrip("_").replace("_", "-"): value for name, value in options.items()}
    boxes = {box.name for box in command.boxes}
    texts = {command.boxes[-1].name: text} | {
        name: value for name, value in named.items() if name in boxes
    }
    values = form.tidy_values(
        command, {name: value for name, value in named.items() if name not in boxes}
    )
    from IPython import get_ipython

    return open_panel(
        command, get_ipython(), {name: value for name, value in texts.items() if value}, values
    )
