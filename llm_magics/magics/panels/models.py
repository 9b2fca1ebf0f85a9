"""The model panel over the session's manager; its buttons are the words of `%models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_magics.display.memory import DeviceMemory, ModelInMemory
from llm_magics.display.progress import counted
from llm_magics.display.units import count, size
from llm_magics.magics import find_command
from llm_magics.magics.core.completion import candidates
from llm_magics.models.reference import origin_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llm_magics.models.manager.entry import DeviceRow, ModelRow
    from llm_magics.widgets.model_panel import ModelPanel

__all__ = ["model_panel", "open_model_panel"]


class _Models:
    """What the panel shows and does, in a shell or without one."""

    def __init__(self, shell: InteractiveShell | None) -> None:
        self.command, self.shell = find_command("models"), shell
        self._colours: dict[str, int] = {}

    def look(self) -> tuple[Sequence[DeviceMemory], Sequence[ModelInMemory], str]:
        from llm_magics.session import current_session

        manager = current_session().manager
        rows = sorted(manager.rows(), key=lambda row: (row.device, row.name, row.format))
        models = [self._model(row) for row in rows]
        held = sum(row.bytes for row in rows)
        summary = (
            f"{counted(len(rows), 'model')}, {size(held)}"
            if rows
            else ("no model is loaded; one is loaded when a magic needs it, or here")
        )
        return (
            [_device(row) for row in manager.device_rows((manager.device, "cpu"))],
            models,
            summary,
        )

    def act(self, action: str, reference: str, options: Mapping[str, str]) -> None:
        self._answer(f"{action} {_quoted(reference)}", options)

    def plan(self, reference: str, options: Mapping[str, str]) -> str:
        known = self._answer(f"load {_quoted(reference)} --dry-run", options)
        facts = [f"{name}: {value}" for name, value in known.rows if name != "model" and value]
        return " · ".join([*facts, *([known.caption] if known.caption else [])])

    def offers(self) -> list[list[str]]:
        names = candidates(self.command, "load ", dict(self._variables))[1]
        return [[name, name, origin_of(name)] for name in names]

    @property
    def _variables(self) -> Mapping[str, object]:
        return self.shell.user_ns if self.shell is not None else {}

    def _answer(self, line: str, options: Mapping[str, str]) -> Any:
        given = "".join(f" --{name} {value}" for name, value in options.items() if value)
        return self.command.answer(self.shell, line + given, None, self._variables)

    def _model(self, row: ModelRow) -> ModelInMemory:
        colour = self._colours.setdefault(row.name, len(self._colours))
        return ModelInMemory(
            row.name,
            row.task,
            row.device,
            row.format,
            row.bytes,
            size(row.bytes),
            count(row.parameters),
            row.state,
            row.leases,
            row.pinned,
            row.uses,
            row.last_used_s,
            colour,
        )


def _device(row: DeviceRow) -> DeviceMemory:
    free = min(row.free_bytes, max(0, row.budget_bytes - row.held_bytes))
    blocked = max(0, row.budget_bytes - row.held_bytes - free)
    taken = (
        f", {size(blocked)} taken by something else" if blocked > row.budget_bytes // 100 else ""
    )
    caption = (
        f"{size(row.held_bytes)} of {size(row.budget_bytes)} for models{taken} · "
        f"{size(row.free_bytes)} of memory free"
    )
    return DeviceMemory(row.name, row.budget_bytes, row.held_bytes, blocked, caption)


def _quoted(reference: str) -> str:
    """A reference as a word of a line; one with quotes and spaces is refused by the line itself."""
    if not any(char.isspace() or char in "\"'()[]{}" for char in reference):
        return reference
    return f"'{reference}'" if '"' in reference else f'"{reference}"'


def open_model_panel(shell: InteractiveShell | None) -> ModelPanel:
    """A panel over the models of the current session."""
    from llm_magics.session import current_session
    from llm_magics.widgets.model_panel import ModelPanel

    options = {option.name: option for option in find_command("models").options}
    dtypes = tuple(one for one in options["dtype"].choices if one != "auto")  # as no choice
    devices = [
        row.name
        for row in current_session().manager.device_rows((current_session().manager.device, "cpu"))
    ]
    return ModelPanel(_Models(shell), {"dtype": dtypes, "device": devices})


def model_panel() -> ModelPanel:
    """The models in memory: a bar for each device, and buttons to load, pin and unload."""
    from IPython import get_ipython

    return open_model_panel(get_ipython())
