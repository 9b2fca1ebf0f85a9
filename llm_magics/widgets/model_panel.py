"""The models in memory, to look at and to act on: a bar for each device, and load, pin and unload
that work during a cell."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import anywidget
import traitlets

from llm_magics.display.html import Node, render
from llm_magics.display.memory import DeviceMemory, ModelInMemory, memory_node, memory_table
from llm_magics.errors import printable
from llm_magics.widgets import _assets
from llm_magics.widgets.comm_route import ignored, keep_front_end_route

__all__ = ["Keeper", "ModelPanel"]

ACTIONS = ("load", "pin", "unpin", "unload")
_LONGEST = 4096


class Keeper(Protocol):
    """Who has the models. `act` and `plan` may take long and are called on threads of their own."""

    def look(self) -> tuple[Sequence[DeviceMemory], Sequence[ModelInMemory], str]:
        """Devices, models, and all of it in one line."""
        ...

    def act(self, action: str, reference: str, options: Mapping[str, str]) -> None:
        """Do one of `ACTIONS`; an error where that cannot be done."""
        ...

    def plan(self, reference: str, options: Mapping[str, str]) -> str:
        """What loading would take, in one line; an error where that cannot be known."""
        ...

    def offers(self) -> list[list[str]]:
        """[reference, what it is called, a note] of the models that could be loaded."""
        ...


class ModelPanel(anywidget.AnyWidget):
    """The memory of each device, and the models in it. Made by `%models panel` or
    `llm_magics.model_panel()`.

    The page asks for news once a second while it is looked at; `refresh` does the same from Python.
    """

    _esm = _assets.module("model_panel")
    _css = _assets.style("model_panel")

    devices = traitlets.List(traitlets.Dict()).tag(sync=True)
    """The fields of `DeviceMemory` of every device."""
    models = traitlets.List(traitlets.Dict()).tag(sync=True)
    """The fields of `ModelInMemory` of every model; in place of `idle_s` `used_at_s`, seconds since
    1970."""
    summary = traitlets.Unicode("").tag(sync=True)
    """How many models there are, and how much they take."""
    choices = traitlets.Dict().tag(sync=True)
    """What a load can be told, as {name: values}: dtype, device."""
    offers = traitlets.List().tag(sync=True)
    """Models that could be loaded: [reference, what it is called, a note]."""
    plan = traitlets.Unicode("").tag(sync=True)
    """What loading the model that is being chosen would take."""
    working = traitlets.Int(0).tag(sync=True)
    """How many actions are under way."""
    notice = traitlets.Unicode("").tag(sync=True)
    """Why the last action failed, in one line."""

    def __init__(self, keeper: Keeper, choices: Mapping[str, Sequence[str]] | None = None) -> None:
        self._keeper = keeper
        self._lock = threading.RLock()
        self._seen: tuple[Sequence[DeviceMemory], Sequence[ModelInMemory], str] = ((), (), "")
        super().__init__(
            choices={name: list(values) for name, values in (choices or {}).items()},
            offers=keeper.offers(),
        )
        self.refresh()
        self.on_msg(self._received)
        keep_front_end_route(self)

    def refresh(self) -> None:
        """Look again, and show what has changed."""
        with self._lock:
            devices, models, summary = self._seen = self._keeper.look()
            now_s = time.time()
            self.devices = [asdict(device) for device in devices]
            self.models = [self._plain(one, now_s) for one in models]
            self.summary = printable(summary)

    def act(self, action: str, reference: str, **options: str) -> None:
        """Do one of load, pin, unpin, unload, and look again; `options` of load are dtype and
        device.

        Raises what the model manager raises.
        """
        self.notice = ""
        with self._lock:
            self.working += 1
        try:
            self._keeper.act(action, reference, options)
        finally:
            with self._lock:
                self.working -= 1
            self.refresh()

    def static_node(self) -> Node:
        """Bars and table as they were last seen; needs neither kernel nor script, nor a trusted
        notebook."""
        return memory_node(*self._seen)

    def text(self) -> str:
        """The bars in words, and the table."""
        devices, models, summary = self._seen
        return "\n".join(
            [
                *(f"{device.name}: {device.caption}" for device in devices),
                memory_table(models, summary).text(),
            ]
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        data, about = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {
            **data,
            "text/plain": printable(self.text()),
            "text/html": render(self.static_node()),
        }, about

    def _plain(self, one: ModelInMemory, now_s: float) -> dict[str, object]:
        """A model as JSON values, of which none changes while nothing happens to it."""
        told = asdict(one)
        used_at_s = round(now_s - told.pop("idle_s"), 1)
        before = next(
            (
                old
                for old in self.models
                if (old["name"], old["device"], old["dtype"]) == (one.name, one.device, one.dtype)
            ),
            None,
        )
        if before is not None and abs(before["used_at_s"] - used_at_s) < 1:
            used_at_s = before["used_at_s"]
        return {**told, "name": printable(one.name), "used_at_s": used_at_s}

    def _received(self, _widget: object, message: object, _buffers: object) -> None:
        """Called on a subshell, where an exception would vanish without a trace."""
        asked, reference, options = _understood(message, self.choices)
        if asked == "look":
            self.refresh()
            self.send({"looked": True, "now_s": time.time()})
        elif asked == "offers":
            self.offers = self._keeper.offers()
        elif asked == "plan":
            self._aside(self._show_plan, reference, options)
        elif asked is not None:
            self._aside(self._try, asked, reference, options)
        else:
            ignored(self, message)

    @staticmethod
    def _aside(target: object, *arguments: object) -> None:
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(target, *arguments), name="llm-magics-models", daemon=True
        ).start()

    def _try(self, action: str, reference: str, options: Mapping[str, str]) -> None:
        try:
            self.act(action, reference, **options)
        except BaseException as error:  # noqa: BLE001 - there is nobody on this thread to tell
            self.notice = " ".join(printable(error).split()) or type(error).__name__

    def _show_plan(self, reference: str, options: Mapping[str, str]) -> None:
        try:
            self.plan = printable(self._keeper.plan(reference, options)) if reference else ""
        except Exception as error:  # noqa: BLE001 - shown in place of the plan
            self.plan = " ".join(printable(error).split())


def _understood(
    message: object, choices: Mapping[str, Sequence[str]]
) -> tuple[str | None, str, dict[str, str]]:
    """(what is asked, of which model, options of a load); None for what no button sends."""
    asked = message.get("do") if isinstance(message, dict) else None
    if asked in ("look", "offers"):
        return asked, "", {}
    reference, options = (
        (message.get("reference"), message.get("options", {}))
        if isinstance(message, dict)
        else ("", {})
    )
    fits = isinstance(reference, str) and len(reference) <= _LONGEST and isinstance(options, dict)
    if not fits or asked not in (*ACTIONS, "plan") or not (reference.strip() or asked == "plan"):
        return None, "", {}
    if not all(
        isinstance(value, str) and value in choices.get(name, ()) for name, value in options.items()
    ):
        return None, "", {}
    return asked, reference.strip(), options
