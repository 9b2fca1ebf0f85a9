"""What an attention explorer is given: panels of heads, and sources that answer questions about
them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from llm_magics.display.attention.map import token_label
from llm_magics.errors import printable

__all__ = ["ATLAS_BYTES", "Panel", "Source", "source_facts", "thumb_side"]

ATLAS_BYTES = 116_000
"""Room for the thumbnails that are sent at once, so that the first picture costs at most 320 kB in
all."""
_LARGEST_THUMB = 64
_LONGEST_TOKEN = 40
_NO_MEASURE = {"title": "", "formula": "", "source": "", "unit": "", "low": None, "high": None}


@dataclass(frozen=True)
class Panel:
    """The heads of one kind of attention, all with the same tokens on their axes."""

    kind: str
    """"encoder", "decoder", "cross" or "self"."""
    layers: int
    heads: int
    rows: list[str]
    """Tokens that look (queries)."""
    columns: list[str]
    """Tokens looked at (keys)."""
    atlas: bytes
    """layers · heads · thumb_height · thumb_width bytes, level = round(255 √weight), layer by
    layer; b"" when `Source.thumbnails` gives them later."""
    thumb_height: int
    thumb_width: int
    row_segments: list[int] | None = None
    """For a text pair, 0 for a row token of text A and 1 for one of text B."""
    column_segments: list[int] | None = None
    first_step: int | None = None
    """The first row that the model wrote by itself, where it did."""

    def __post_init__(self) -> None:
        expected = self.layers * self.heads * self.thumb_height * self.thumb_width
        if len(self.atlas) not in (0, expected) or not (expected and self.rows and self.columns):
            raise ValueError(
                f"panel {self.kind!r}: an atlas of {expected} bytes (or none yet) expected for "
                f"{self.layers} layers × {self.heads} heads × {self.thumb_height} × "
                f"{self.thumb_width}, {len(self.atlas)} given"
            )
        for axis, tokens, segments in (
            ("row", self.rows, self.row_segments),
            ("column", self.columns, self.column_segments),
        ):
            if segments is not None and len(segments) != len(tokens):
                raise ValueError(
                    f"panel {self.kind!r}: a segment for each of {len(tokens)} {axis} tokens "
                    f"expected, {len(segments)} given"
                )

    def has(self, layer: object, head: object) -> bool:
        """Whether there is such a head; a bool is an int to Python, but no layer."""
        return (
            type(layer) is int
            and type(head) is int
            and 0 <= layer < self.layers
            and 0 <= head < self.heads
        )


class Source(Protocol):
    """One forward pass. Several are the steps of a training, or models or texts to compare.

    Maps come as levels, one byte a weight: level = ⌊255 √weight + ½⌋. Everything may be called on
    another thread than the one that made the explorer.
    """

    title: str
    panels: list[Panel]
    measures: dict[str, dict[str, object]]
    """name → {"title", "formula", "source", "unit", "low", "high"}; what is missing stays empty."""

    def picture(self, kind: str, layer: int, head: int) -> tuple[bytes, int, int]:
        """Levels, height and width of the whole map, max-pooled by the smallest power of two that
        fits 512 a side."""
        ...

    def tile(self, kind: str, layer: int, head: int, level: int, row: int, column: int) -> bytes:
        """A tile of 256 × 256 (smaller at the edges) of the map max-pooled by 2**level; `row`,
        `column` count tiles."""
        ...

    def row(self, kind: str, layer: int, head: int, row: int) -> list[float]:
        """The exact weights of one query token."""
        ...

    def neuron(self, kind: str, layer: int, head: int, row: int, column: int) -> object:
        """`query`, `key`, `product` (lists of K numbers), `dot`, `score` and `weight`, as a dict or
        as attributes."""
        ...

    def measure(self, name: str, kind: str) -> list[float]:
        """layers · heads values. May take seconds: it is called on a worker thread."""
        ...

    def thumbnails(self, kind: str) -> Iterator[tuple[int, int, bytes]]:
        """Layer, head and thumbnail one after another, for a panel without an atlas; on a worker
        thread too."""
        ...


def thumb_side(heads: int) -> int:
    """The side in pixels of square thumbnails of so many heads that fit `ATLAS_BYTES`, at most
    64."""
    return max(8, min(_LARGEST_THUMB, math.isqrt(ATLAS_BYTES // max(1, heads))))


def source_facts(sources: list[Source]) -> tuple[list[dict], list[list[str]]]:
    """What the browser needs besides pictures, as JSON values; and the token lists, each once, that
    panels point into."""
    tokens: dict[tuple[str, ...], int] = {}

    def place(axis: list[str]) -> int:
        labels = tuple(token_label(token, _LONGEST_TOKEN) for token in axis)
        return tokens.setdefault(labels, len(tokens))

    facts = [
        {
            "title": printable(source.title),
            "panels": [
                {
                    "kind": panel.kind,
                    "layers": panel.layers,
                    "heads": panel.heads,
                    "rows": place(panel.rows),
                    "columns": place(panel.columns),
                    "thumb_height": panel.thumb_height,
                    "thumb_width": panel.thumb_width,
                    "row_segments": panel.row_segments,
                    "column_segments": panel.column_segments,
                    "first_step": panel.first_step,
                }
                for panel in source.panels
            ],
            "measures": {
                name: _NO_MEASURE | {key: about[key] for key in _NO_MEASURE if key in about}
                for name, about in source.measures.items()
            },
        }
        for source in sources
    ]
    return facts, [list(labels) for labels in tokens]
