"""Answers an explorer's browser half: pictures, tiles and rows at once, what takes seconds on a
worker thread."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
import zlib
from collections.abc import Callable
from struct import pack

from llm_magics.errors import LLMMagicsError, printable
from llm_magics.widgets.attention.panel import Panel, Source
from llm_magics.widgets.attention.selection import known_panel, panel_of

__all__ = ["Answers", "Head", "Predict"]

Head = tuple[str, int, int]
"""Kind, layer and head."""
Predict = Callable[[list[Head]], dict]
"""What the model of the last source says with these heads silenced: {"kind": …, "entries": [(text,
probability), …]}."""
Answer = tuple[dict, list[bytes]]
_SLOW = frozenset({"measure", "predict", "thumbnails"})
_BATCH_BYTES = 24_000
_PACKED_FROM_BYTES = 16_000
_log = logging.getLogger(__name__)


class Answers:
    """Questions come as {"id": …, "want": …, …}; each is answered once, under its id, or with one
    error message.

    `send(content, buffers)` carries an answer. Slow questions run one after another on threads; a
    prediction that is no longer the newest asked for is not run.
    """

    def __init__(
        self,
        sources: list[Source],
        predict: Predict | None,
        send: Callable[[dict, list[bytes]], None],
    ) -> None:
        self._sources, self._predict, self._send = sources, predict, send
        self._one_at_a_time = threading.Lock()
        self._newest: object = None
        self._atlases: dict[tuple[int, str], _Atlas] = {}
        self.measured: dict[tuple[int, str, str], list[float]] = {}
        """(source, kind, name) → values, of the measures that were asked for."""
        self.prediction: dict | None = None
        """{"silenced", "before", "after"} of the last silenced heads."""

    def receive(self, message: object) -> bool:
        """Answer a message; whether it was a question at all."""
        if not isinstance(message, dict) or not isinstance(message.get("id"), (str, int)):
            return False
        want = message.get("want")
        if want not in _QUESTIONS:
            return False
        if want == "predict":
            self._newest = message["id"]
        if want in _SLOW:
            run = contextvars.copy_context().run  # or its output would go to a later cell
            threading.Thread(target=run, args=(self._answer_slowly, message), daemon=True).start()
        else:
            self._answer(message)
        return True

    def measure(self, source: int, kind: str, name: str) -> list[float]:
        """layers · heads values of a measure, computed once."""
        key = (source, kind, name)
        if key not in self.measured:
            self.measured[key] = [
                float(value) for value in self._sources[source].measure(name, kind)
            ]
        return self.measured[key]

    def atlas(self, source: int, kind: str) -> _Atlas:
        """The thumbnails of a panel, as many as there are."""
        key = (source, kind)
        if key not in self._atlases:
            self._atlases[key] = _Atlas(known_panel(self._sources[source], kind))
        return self._atlases[key]

    def _answer_slowly(self, message: dict) -> None:
        with self._one_at_a_time:
            if message["want"] != "predict" or message["id"] == self._newest:
                self._answer(message)

    def _answer(self, message: dict) -> None:
        about = {"id": message["id"], "want": message["want"]}
        try:
            content, buffers = _QUESTIONS[message["want"]](self, message)
        except LLMMagicsError as error:
            content, buffers = {"error": str(error)}, []
        except Exception as error:  # noqa: BLE001 — shown in the widget; on a thread it would vanish
            _log.warning("attention explorer: %s", printable(error))
            content, buffers = {"error": f"{type(error).__name__}: {printable(error)[:300]}"}, []
        try:
            self._send({**about, **content}, buffers)
        except Exception as error:  # noqa: BLE001 — the widget may have been closed meanwhile
            _log.debug("attention explorer: answer not sent: %s", printable(error))

    def _place(self, message: dict) -> tuple[Source, Panel]:
        source, kind = message.get("source"), message.get("kind")
        known = type(source) is int and 0 <= source < len(self._sources)
        panel = panel_of(self._sources[source], kind) if known else None
        if panel is None:
            raise ValueError(
                f"no {printable(kind)[:40]} attention in source {printable(source)[:40]}"
            )
        return self._sources[source], panel

    def _head(self, message: dict) -> tuple[Source, Panel, Head]:
        source, panel = self._place(message)
        layer, head = message.get("layer"), message.get("head")
        if not panel.has(layer, head):
            raise ValueError(
                f"no layer {printable(layer)[:40]} head {printable(head)[:40]} in {panel.kind} "
                "attention"
            )
        return source, panel, (panel.kind, layer, head)

    def _picture(self, message: dict) -> Answer:
        source, _, head = self._head(message)
        levels, height, width = source.picture(*head)
        about, buffers = _packed(levels)
        return {"height": height, "width": width, **about}, buffers

    def _tile(self, message: dict) -> Answer:
        source, panel, head = self._head(message)
        level = _whole(message, "level", 24)
        row = _whole(message, "row", math.ceil(len(panel.rows) / 256 / 2**level))
        column = _whole(message, "column", math.ceil(len(panel.columns) / 256 / 2**level))
        return _packed(source.tile(*head, level, row, column))

    def _row(self, message: dict) -> Answer:
        source, panel, head = self._head(message)
        return {}, [_floats(source.row(*head, _whole(message, "row", len(panel.rows))))]

    def _neuron(self, message: dict) -> Answer:
        source, panel, head = self._head(message)
        row, column = (
            _whole(message, "row", len(panel.rows)),
            _whole(message, "column", len(panel.columns)),
        )
        made = source.neuron(*head, row, column)
        read = made.get if isinstance(made, dict) else lambda name: getattr(made, name)
        vectors = {
            name: [_finite(value) for value in read(name)] for name in ("query", "key", "product")
        }
        return {
            "neuron": {
                **vectors,
                **{name: _finite(read(name)) for name in ("dot", "score", "weight")},
            }
        }, []

    def _measure(self, message: dict) -> Answer:
        source, panel = self._place(message)
        name = message.get("name")
        if name not in source.measures:
            raise ValueError(
                f"no measure {printable(name)[:40]!r}; there are {', '.join(source.measures)}"
            )
        return {}, [_floats(self.measure(message["source"], panel.kind, name))]

    def _predicted(self, message: dict) -> Answer:
        if self._predict is None:
            raise ValueError("this explorer has no model to ask")
        last = len(self._sources) - 1
        silenced = [
            self._head({"source": last, **dict(zip(("kind", "layer", "head"), key, strict=True))})[
                2
            ]
            for key in message.get("silenced", [])
        ]
        if self.prediction is None:
            self.prediction = {"silenced": [], "before": self._predict([]), "after": None}
        self.prediction = {
            **self.prediction,
            "silenced": silenced,
            "after": self._predict(silenced),
        }
        return {name: _prediction(self.prediction[name]) for name in ("before", "after")}, []

    def _atlas(self, message: dict) -> Answer:
        _, panel = self._place(message)
        atlas = self.atlas(message["source"], panel.kind)
        if not atlas.whole and not atlas.asked:
            atlas.asked = True
            self.receive(
                {
                    "id": f"atlas {message['source']} {panel.kind}",
                    "want": "thumbnails",
                    "source": message["source"],
                    "kind": panel.kind,
                }
            )
        blank = not any(atlas.levels)  # nothing has come yet, and need not be sent
        return {"whole": atlas.whole, "length": len(atlas.levels)}, [
            b"" if blank else bytes(atlas.levels)
        ]

    def _thumbnails(self, message: dict) -> Answer:
        """Fill an atlas and tell every view, a few thumbnails at a time; the answer itself says no
        more."""
        source, panel = self._place(message)
        atlas, start, waiting = self.atlas(message["source"], panel.kind), 0, bytearray()

        def tell(whole: bool) -> None:
            about = {
                "want": "thumbnails",
                "source": message["source"],
                "kind": panel.kind,
                "start": start,
                "whole": whole,
            }
            self._send(about, [bytes(waiting)])

        for layer, head, levels in source.thumbnails(panel.kind):
            at = atlas.put(layer * panel.heads + head, levels)
            if waiting and (at != start + len(waiting) or len(waiting) > _BATCH_BYTES):
                tell(False)
                waiting.clear()
            if not waiting:
                start = at
            waiting += levels
        atlas.whole = True
        tell(True)
        return {}, []


class _Atlas:
    """The thumbnails of a panel while they come."""

    def __init__(self, panel: Panel) -> None:
        self._size = panel.thumb_height * panel.thumb_width
        self.whole = bool(panel.atlas)
        self.asked = False
        self.levels = bytearray(panel.atlas or bytes(panel.layers * panel.heads * self._size))

    def put(self, place: int, levels: bytes) -> int:
        """Keep a thumbnail; returns where its bytes begin."""
        if len(levels) != self._size:
            raise ValueError(f"a thumbnail of {self._size} bytes expected, {len(levels)} given")
        self.levels[place * self._size : (place + 1) * self._size] = levels
        return place * self._size


_QUESTIONS: dict[str, Callable[[Answers, dict], Answer]] = {
    "picture": Answers._picture,
    "tile": Answers._tile,
    "row": Answers._row,
    "neuron": Answers._neuron,
    "measure": Answers._measure,
    "predict": Answers._predicted,
    "atlas": Answers._atlas,
    "thumbnails": Answers._thumbnails,
}


def _whole(message: dict, name: str, count: int) -> int:
    value = message.get(name)
    if type(value) is not int or not 0 <= value < count:
        raise ValueError(f"{name} {printable(value)[:40]}: 0 to {count - 1} expected")
    return value


def _packed(levels: bytes) -> Answer:
    """A map deflated, where that is worth the milliseconds: of a real model's it leaves a fifth, on
    every network."""
    if len(levels) < _PACKED_FROM_BYTES:
        return {}, [bytes(levels)]
    packed = zlib.compress(levels, 1)
    return (
        ({"deflated": True}, [packed]) if len(packed) < 0.9 * len(levels) else ({}, [bytes(levels)])
    )


def _floats(values: list[float]) -> bytes:
    return pack(f"<{len(values)}f", *values)


def _finite(value: float) -> float:
    """JSON has no NaN and no infinity; a score of a hidden token is -inf."""
    return (
        float(value)
        if math.isfinite(value)
        else 0.0
        if math.isnan(value)
        else math.copysign(3.4e38, value)
    )


def _prediction(made: dict) -> dict:
    return {
        "kind": printable(made.get("kind", "")),
        "entries": [
            [printable(text)[:80], _finite(value)] for text, value in made.get("entries", [])
        ],
    }
