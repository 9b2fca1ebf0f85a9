"""A text token by token with what a language model expects there; a click goes on with another
token."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import pack
from typing import Any

import anywidget
import traitlets

from llm_magics.display.html import Node
from llm_magics.display.result import Result
from llm_magics.errors import LLMMagicsError, printable
from llm_magics.widgets import _assets
from llm_magics.widgets.comm_route import ignored, keep_front_end_route

__all__ = ["NextWord", "Place", "Reading"]

_SHOWN_TOKENS = 2_000
_KEPT_TEXTS = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """A token of a text, or the place behind the last one."""

    start: int
    end: int
    """Characters [start, end) of the text; for the place behind the last token both are the text's
    length."""
    probability: float | None
    bits: float | None
    rank: int | None
    """How many tokens are more probable."""
    candidates: Sequence[tuple[str, float, bool]]
    """What could stand there, best first: the text as it would be appended to what is before, its
    probability, and whether it is text at all (the mark that ends a text is not)."""


@dataclass(frozen=True)
class Reading:
    """What a model makes of a text, in plain values."""

    text: str
    places: Sequence[Place]
    """The tokens, and last, unless the model fills in masks, what comes next."""
    masks: Sequence[int]
    """Which places are masks."""
    is_masked: bool
    """Whether the model fills in masks and so knows no next word."""
    summary: str
    """The figures of the whole text, in one line."""
    about: str
    """Model, time and remarks, in one line."""
    result: Result
    """Where all of this is from."""


class NextWord(anywidget.AnyWidget):
    """A text that a language model has read, `reading`; `read(text)` reads another one.

    `text` and `result` are what is shown; setting `text` reads it. What is clicked becomes the new
    text; `undo()` and `redo()` go through the texts so far without asking the model again.
    """

    _esm = _assets.module("next_word")
    _css = _assets.style("next_word")

    pieces = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """What stands before the first token, the token, what stands before the second, …: joined, the
    text that is shown."""
    figures = traitlets.Bytes(b"").tag(sync=True)
    """Probability, bits and rank of each token, float32, NaN where there is none."""
    candidates = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    """The texts of the candidates of each place, best first."""
    chances = traitlets.Bytes(b"").tag(sync=True)
    """Their probabilities, one place after the other, float32."""
    fixed = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    """[place, candidate] of those that are no text."""
    masks = traitlets.List(traitlets.Int()).tag(sync=True)
    is_masked = traitlets.Bool(False).tag(sync=True)
    summary = traitlets.Unicode("").tag(sync=True)
    about = traitlets.Unicode("").tag(sync=True)
    earlier = traitlets.Int(0).tag(sync=True)
    """Tokens before the first one shown."""
    selected = traitlets.Int(0).tag(sync=True)
    """The place whose candidates are shown."""
    version = traitlets.Int(0).tag(sync=True)
    """Grows with every change; a click on an older one is not followed."""
    can_undo = traitlets.Bool(False).tag(sync=True)
    can_redo = traitlets.Bool(False).tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)

    def __init__(self, reading: Reading, read: Callable[[str], Reading]) -> None:
        self._read, self._lock = read, threading.RLock()
        self._worker: threading.Thread | None = None
        self._readings, self._at = [reading], 0
        super().__init__(**_state(reading), version=1)
        self.on_msg(self._received)
        keep_front_end_route(self)

    _ipython_display_ = Result._ipython_display_  # --quiet

    @property
    def reading(self) -> Reading:
        """What is shown, in plain values."""
        return self._readings[self._at]

    @property
    def result(self) -> Result:
        """What `predict` returns for `text`."""
        return self.reading.result

    @property
    def text(self) -> str:
        """The text that is shown."""
        return self.reading.text

    @text.setter
    def text(self, text: str) -> None:
        with self._lock:
            self._show_next(self._read(text))

    def choose(self, candidate: int = 0, place: int | None = None, *, drop: bool = False) -> str:
        """Put a candidate in its place, or behind the text where `place` is None, and return the
        new text.

        `place` counts tokens from 0; `drop`: leave out what follows it. Raises ValueError where
        there is no such candidate.
        """
        with self._lock:
            self.text = _chosen(self.reading, candidate, place, drop)
            return self.text

    def undo(self) -> None:
        """Back to the text before; nothing where there is none."""
        self._go(-1)

    def redo(self) -> None:
        """Forward again after `undo`."""
        self._go(1)

    def wait(self, timeout_s: float = 60) -> bool:
        """Wait for what the last click has begun; whether it is done."""
        if self._worker is not None:
            self._worker.join(timeout_s)
        return self._worker is None or not self._worker.is_alive()

    def node(self) -> Node:
        """What is shown, without a script."""
        return self.result.node()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        data, about = super()._repr_mimebundle_(**kwargs) or ({}, {})
        still, figures = self.result._repr_mimebundle_()
        return {**data, **still}, {**about, **figures}

    def _go(self, step: int) -> None:
        with self._lock:
            at = self._at + step
            if 0 <= at < len(self._readings):
                self._at = at
                self._update()

    def _show_next(self, reading: Reading) -> None:
        self._readings = [*self._readings[: self._at + 1], reading][-_KEPT_TEXTS:]
        self._at = len(self._readings) - 1
        self._update()

    def _update(self) -> None:
        with self.hold_sync():  # one message: what is shown is never both new and busy
            self.busy = False
            self.set_trait("error", "")
            for name, value in _state(self.reading).items():
                self.set_trait(name, value)
            self.can_undo, self.can_redo = self._at > 0, self._at + 1 < len(self._readings)
            self.version += 1

    def _received(self, _widget: object, message: object, _buffers: object) -> None:
        wish = _WISHES.get(message.get("do")) if isinstance(message, dict) else None
        if wish is None:
            ignored(self, message)
            return
        # On a thread: a front end's message must not wait for a model, nor for the cell that runs.
        run = contextvars.copy_context().run
        self._worker = threading.Thread(target=run, args=(self._follow, wish, message), daemon=True)
        self._worker.start()

    def _follow(self, wish: Callable[[NextWord, dict], None], message: dict) -> None:
        with self._lock:
            if message.get("version") != self.version:
                return
            self.busy = True
            try:
                wish(self, message)
            except (LLMMagicsError, ValueError) as error:
                self.error = printable(error)
            except Exception as error:  # noqa: BLE001 - shown in the widget; on a thread it would vanish
                _log.warning("next word: %s", printable(error))
                self.error = f"{type(error).__name__}: {printable(error)[:300]}"
            finally:
                self.busy = False

    def _wish_choose(self, message: dict) -> None:
        place, candidate = message.get("place"), message.get("candidate")
        if type(place) is not int or type(candidate) is not int:
            raise ValueError("a place and a candidate are whole numbers")
        self.choose(candidate, place + self.earlier, drop=message.get("drop") is True)

    def _wish_read(self, message: dict) -> None:
        text = message.get("text")
        shown = "".join(self.pieces)
        self.text = self.text[: len(self.text) - len(shown)] + str(text)


_WISHES: dict[object, Callable[[NextWord, dict], None]] = {
    "choose": NextWord._wish_choose,
    "read": NextWord._wish_read,
    "undo": lambda view, _: view.undo(),
    "redo": lambda view, _: view.redo(),
}


def _chosen(reading: Reading, candidate: int, place: int | None, drop: bool) -> str:
    """The text with the candidate in its place. What stood between the token before and the place
    goes with the token."""
    places = reading.places
    at = len(places) - 1 if place is None else place
    if place is None and reading.is_masked:
        raise ValueError(
            "this model fills in masks and does not go on with a text; say which place"
        )
    if not 0 <= at < len(places) or not 0 <= candidate < len(places[at].candidates):
        raise ValueError(f"there is no candidate {candidate} at place {at}")
    text, _, is_text = places[at].candidates[candidate]
    if not is_text:
        raise ValueError(f"{text} is no text; it ends one")
    before = reading.text[: places[at - 1].end if at else 0]
    return before + text + ("" if drop else reading.text[places[at].end :])


def _state(reading: Reading) -> dict[str, Any]:
    """The traits that say what is shown: of a long text its end."""
    n_tokens = len(reading.places) - (not reading.is_masked)
    first = max(0, n_tokens - _SHOWN_TOKENS)
    tokens, places = reading.places[first:n_tokens], reading.places[first:]
    reached = reading.places[first - 1].end if first else 0
    pieces = []
    for token in tokens:
        pieces += [reading.text[reached : token.start], reading.text[token.start : token.end]]
        reached = token.end
    figures = [
        math.nan if value is None else float(value)
        for token in tokens
        for value in (token.probability, token.bits, token.rank)
    ]
    chances = [chance for place in places for _, chance, _ in place.candidates]
    masks = [mask - first for mask in reading.masks if mask >= first]
    return {
        "pieces": [printable(piece) for piece in (*pieces, reading.text[reached:])],
        "figures": pack(f"<{len(figures)}f", *figures),
        "chances": pack(f"<{len(chances)}f", *chances),
        "candidates": [[printable(text) for text, _, _ in place.candidates] for place in places],
        "fixed": [
            [at, i]
            for at, place in enumerate(places)
            for i, one in enumerate(place.candidates)
            if not one[2]
        ],
        "masks": masks,
        "is_masked": reading.is_masked,
        "earlier": first,
        "summary": printable(reading.summary),
        "about": printable(reading.about),
        "selected": masks[0] if masks else max(0, len(places) - 1),
    }
