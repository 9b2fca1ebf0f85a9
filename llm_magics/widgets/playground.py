"""A task to try by hand: text, model and options in a form, the result beside it while it is made,
and a stop button."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Container, Mapping
from typing import Any, Protocol

import anywidget
import traitlets

from llm_magics.display import theme
from llm_magics.display.html import Node, as_data, el, fragment, render, user_text
from llm_magics.errors import printable
from llm_magics.widgets import _assets
from llm_magics.widgets.comm_route import ignored, keep_front_end_route

__all__ = ["Playground", "Screen", "Work"]

STATUSES = ("ready", "running", "stopping", "done", "stopped", "failed")
_LOOK_EVERY_S = 0.1
_MOST_CHARACTERS = 5_000_000


class Screen:
    """Where one piece of work is shown, and how it learns that it is to stop."""

    def __init__(self, panel: Playground) -> None:
        self._panel = panel
        self._stop = threading.Event()

    def stopping(self) -> bool:
        """Whether the work is to end with what there is."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask the work to end."""
        self._stop.set()

    def show(self, node: Node) -> None:
        """Show a state of the work, in place of the one before."""
        self._panel.shown = as_data(node)

    def keep(self, result: object) -> None:
        """Show a result and keep it as `Playground.result`; one that was stopped early is a result,
        too."""
        self._panel.result = result
        self.show(result_node(result))


class Work(Protocol):
    """What a panel does, of which it knows nothing itself. Everything is called on threads of its
    own."""

    def run(self, texts: Mapping[str, str], values: Mapping[str, str], screen: Screen) -> object:
        """Do the task; a result, an error, or KeyboardInterrupt with what is left when it was
        stopped."""
        ...

    def describe(self, texts: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
        """The same as a cell (`magic`), and why that cannot be written (`note`)."""
        ...

    def code(self, texts: Mapping[str, str], values: Mapping[str, str]) -> str:
        """The same as Python; an error where the form does not hold enough for it."""
        ...

    def offers(self) -> dict[str, list[list[str]]]:
        """[value, what it is called, a note] of what could stand in a field, by name of the
        field."""
        ...


class Playground(anywidget.AnyWidget):
    """One task in a panel. `texts` and `values` are what the form holds, `result` is what came of
    it last.

    `run` works and waits, `start` works in a thread, `stop` ends that with what there is; the
    buttons do the same, also while a cell runs. Made by `%translate --panel` or
    `llm_magics.playground("translate")`.
    """

    _esm = _assets.module("playground")
    _css = _assets.style("playground")

    form = traitlets.Dict().tag(sync=True)
    """`task`, `about`, `boxes` (name, label), `fields` (name, kind, help, choices, hint, default,
    and low, high, step of a number) and `examples` (texts, values). Kinds: language, model, choice,
    number, flag, or what completes it."""
    texts = traitlets.Dict().tag(sync=True)
    """The text of each box, by name."""
    values = traitlets.Dict().tag(sync=True)
    """The options that are not at their default, as text, by name; "yes" for a flag."""
    offers = traitlets.Dict().tag(sync=True)
    """What could stand in a field: lists of [value, what it is called, a note], by name of the
    field."""
    status = traitlets.Enum(STATUSES, "ready").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    """Why it failed or stopped, in one line."""
    shown = traitlets.List().tag(sync=True)
    """The last state of the work as [tag, attributes, children]; empty before there was any."""
    magic = traitlets.Unicode("").tag(sync=True)
    """The cell that does the same."""
    heard = traitlets.Int(0).tag(sync=True)
    """The number of the browser's last edit that is in `texts` and `values`: what it has changed
    since is newer than these."""
    as_typed = traitlets.Bool(False).tag(sync=True)
    """Whether the browser asks for a new result whenever something was changed."""

    def __init__(
        self,
        form: Mapping[str, object],
        work: Work,
        *,
        texts: Mapping[str, str] | None = None,
        values: Mapping[str, str] | None = None,
    ) -> None:
        self._work = work
        self._lock = threading.RLock()
        self._screen: Screen | None = None
        self._again = False
        self._idle = threading.Event()
        self._idle.set()
        self.result: object = None
        self.error: BaseException | None = None
        names = [box["name"] for box in form["boxes"]]
        super().__init__(
            form=dict(form),
            texts=dict.fromkeys(names, "") | dict(texts or {}),
            values=dict(values or {}),
            offers=work.offers(),
        )
        self._describe()
        self.observe(self._describe, ["texts", "values"])
        self.on_msg(self._received)
        keep_front_end_route(self)

    @traitlets.validate("texts")
    def _texts_of_boxes(self, proposal: dict) -> dict[str, str]:
        names = [box["name"] for box in self.form["boxes"]]
        unknown = [name for name in proposal["value"] if name not in names]
        if unknown:
            raise traitlets.TraitError(
                f"a text {str(unknown[0])[:40]!r} is not asked for; there is {', '.join(names)}"
            )
        return {name: printable(proposal["value"].get(name, "")) for name in names}

    @property
    def code(self) -> str:
        """The Python that does the same. Raises what running it would raise for a form that does
        not hold enough."""
        return self._work.code(self.texts, self.values)

    @property
    def running(self) -> bool:
        """Whether there is work under way."""
        return not self._idle.is_set()

    def start(self) -> None:
        """Do the task in a thread. What is under way is stopped first, and of several requests the
        last one counts."""
        with self._lock:
            self._again = self.running
            if self._again:
                self._screen.stop()
                return
            self._idle.clear()
            screen = self._begin()
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run,
            args=(self._work_off, screen),
            name="llm-magics-playground",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """End the work under way with what there is; it looks at this between two steps of the
        model."""
        with self._lock:
            self._again = False
            if self.running:
                self._screen.stop()
                self.status = "stopping"

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the work under way; False when it still goes on after `timeout_s` seconds."""
        left_s = float("inf") if timeout_s is None else timeout_s
        while not self._idle.wait(min(_LOOK_EVERY_S, max(0.0, left_s))):
            left_s -= _LOOK_EVERY_S
            if left_s <= 0:
                return False
        return True

    def run(self) -> object:
        """Do the task and return its result; raises what went wrong. An interrupt stops the work,
        too."""
        self.start()
        try:
            self.wait()
        except KeyboardInterrupt:
            self.stop()
            raise
        if self.status == "failed":
            raise self.error
        return self.result

    def static_node(self) -> Node:
        """Texts, options and the last result; needs neither kernel nor script, nor a trusted
        notebook."""
        chosen = " · ".join(f"{name} {value}" for name, value in self.values.items())
        labels = {box["name"]: box["label"] for box in self.form["boxes"]}
        given = (
            fragment(
                el("p", {"style": theme.NOTE}, labels[name]),
                el("div", {"style": {"white-space": "pre-wrap"}}, user_text(text)),
            )
            for name, text in self.texts.items()
            if text.strip()
        )
        result = result_node(self.result) if self.result is not None else None
        note = (
            el("p", {"style": {**theme.NOTE, "color": theme.WARNING}}, user_text(self.note))
            if self.note
            else None
        )
        about = el("span", {"style": {"color": theme.MUTED}}, f" {chosen}") if chosen else None
        return fragment(
            el(
                "div",
                {"style": theme.BOX},
                el("strong", {}, f"%{self.form['task']}"),
                about,
                *given,
                note,
            ),
            result,
        )

    def text(self) -> str:
        """The cell that does the same, and what came of it."""
        done = "" if self.result is None else str(self.result)
        return "\n\n".join(part for part in (self.magic.strip(), self.note, done) if part)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        data, about = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {
            **data,
            "text/plain": printable(self.text()),
            "text/html": render(self.static_node()),
        }, about

    def _begin(self) -> Screen:
        self._again, self.error, self._screen = False, None, Screen(self)
        self.status, self.note = "running", ""
        return self._screen

    def _work_off(self, screen: Screen) -> None:
        """Runs in the thread: one request, and what was asked for meanwhile."""
        while True:
            status, note = self._run_once(screen)
            with self._lock:
                if not self._again:
                    self.status, self.note = status, note
                    self._idle.set()
                    return
                screen = self._begin()

    def _run_once(self, screen: Screen) -> tuple[str, str]:
        try:
            screen.keep(self._work.run(dict(self.texts), dict(self.values), screen))
        except KeyboardInterrupt as error:
            return "stopped", printable(error)
        except BaseException as error:  # noqa: BLE001 - there is nobody on this thread to tell; `run` raises it again
            self.error = error.with_traceback(None)  # frames would keep tensors alive
            return "failed", " ".join(printable(error).split()) or type(error).__name__
        return "done", ""

    def _describe(self, _change: object = None) -> None:
        about = self._work.describe(self.texts, self.values)
        self.magic = printable(about["magic"])
        if not self.running:
            self.note = printable(about["note"])

    def _code_or_why(self) -> str:
        try:
            return self.code
        except Exception as error:  # noqa: BLE001 - shown in its place, as a comment of Python
            return f"# {' '.join(str(error).split())}"

    def _received(self, _widget: object, message: object, _buffers: object) -> None:
        """Called on a subshell, where an exception would vanish without a trace."""
        asked = message.get("do") if isinstance(message, dict) else None
        if asked == "stop":
            self.stop()
        elif asked == "offers":
            self.offers = self._work.offers()
        elif asked == "code":
            self.send({"code": printable(self._code_or_why())})
        elif asked in ("edit", "run") and self._taken_over(message):
            if asked == "run":
                self.start()
        else:
            ignored(self, message)

    def _taken_over(self, message: Mapping[str, object]) -> bool:
        """Make what was changed in the browser's form ours; False for what no form of ours
        sends."""
        texts, values, edit = message.get("texts"), message.get("values"), message.get("edit")
        usual = {field["name"]: field["default"] for field in self.form["fields"]}
        fits = (
            type(edit) is int
            and _strings(texts, {box["name"] for box in self.form["boxes"]})
            and _strings(values, usual)
        )
        if not fits or sum(map(len, texts.values())) > _MOST_CHARACTERS:
            return False
        said = {
            name: value
            for name, value in {**self.values, **values}.items()
            if value and value != usual[name]
        }
        with self.hold_sync():  # one message, or the form would take old values for new ones
            self.texts, self.values, self.heard = {**self.texts, **texts}, said, edit
        return True


def result_node(result: object) -> Node:
    """A result as it draws itself, or as text."""
    draw = getattr(result, "node", None)
    return (
        draw()
        if callable(draw)
        else el("div", {"style": {**theme.BOX, "white-space": "pre-wrap"}}, user_text(result))
    )


def _strings(value: object, names: Container[str]) -> bool:
    return isinstance(value, dict) and all(
        key in names and isinstance(text, str) for key, text in value.items()
    )
