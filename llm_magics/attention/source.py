"""What an explorer asks of one forward pass: pictures, rows and measures of a store, as plain
numbers and bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from llm_magics.attention.measures import MEASURES, MODEL_MEASURES, About, measure, measures_of
from llm_magics.attention.store import AttentionStore, Panel
from llm_magics.errors import AttentionError

__all__ = ["Rerun", "StoreSource"]

_AT_ONCE_WEIGHTS = 25_000_000
"""Thumbnails of so many weights take about a second; those of more come one by one, while the rest
can be used."""

Rerun = Callable[[Callable[[Any], Any]], Any]
"""Calls a function with the loaded model, which is held meanwhile."""


class StoreSource:
    """One forward pass as an explorer's source.

    `rerun` lets measures run the model again over `text` and the `second` text, a target or the
    other one of a pair; without it there are only those of the maps.
    """

    def __init__(
        self,
        store: AttentionStore,
        *,
        text: str = "",
        second: str | None = None,
        rerun: Rerun | None = None,
    ) -> None:
        self.store, self.title = store, store.title
        self.text, self.second, self.rerun = text, second, rerun
        kinds = [panel.kind for panel in store.panels]
        names = dict.fromkeys(name for kind in kinds for name in measures_of(kind))
        self.measures: dict[str, dict[str, object]] = {
            name: _about(MEASURES[name]) for name in names
        }
        if rerun is not None:
            self.measures |= {name: _about(about) for name, about in MODEL_MEASURES.items()}

    def panel_facts(self, thumb_side: Callable[[int], int]) -> list[dict[str, Any]]:
        """Every panel as the arguments of the explorer's `Panel`; `thumb_side(heads)` is how large
        thumbnails may be.

        Only the panel that is looked at first, cross-attention where there is some, brings its
        thumbnails along.
        """
        kinds = [panel.kind for panel in self.store.panels]
        self._sides = {
            panel.kind: thumb_side(len(panel.layers) * panel.heads) for panel in self.store.panels
        }
        first = "cross" if "cross" in kinds else kinds[0]
        return [self._facts(panel, first=panel.kind == first) for panel in self.store.panels]

    def _facts(self, panel: Panel, first: bool) -> dict[str, Any]:
        height, width = self.store.thumbnail_size(panel.kind, self._sides[panel.kind])
        weights = len(panel.layers) * panel.heads * len(panel.rows) * len(panel.columns)
        atlas = (
            self.store.atlas(panel.kind, self._sides[panel.kind])[0]
            if first and weights <= _AT_ONCE_WEIGHTS
            else b""
        )
        written = self.store.prompt_length if panel.kind in ("self", "decoder", "cross") else None
        return {
            "kind": panel.kind,
            "layers": len(panel.layers),
            "heads": panel.heads,
            "rows": panel.rows,
            "columns": panel.columns,
            "atlas": atlas,
            "thumb_height": height,
            "thumb_width": width,
            "row_segments": panel.row_segments,
            "column_segments": panel.column_segments,
            "first_step": written,
        }

    def picture(self, kind: str, layer: int, head: int) -> tuple[bytes, int, int]:
        """See `AttentionStore.picture`."""
        return self.store.picture(kind, layer, head)

    def tile(self, kind: str, layer: int, head: int, level: int, row: int, column: int) -> bytes:
        """See `AttentionStore.tile`."""
        return self.store.tile(kind, layer, head, level, row, column)

    def row(self, kind: str, layer: int, head: int, row: int) -> list[float]:
        """See `AttentionStore.row`."""
        return self.store.row(kind, layer, head, row)

    def neuron(self, kind: str, layer: int, head: int, row: int, column: int) -> dict[str, Any]:
        """See `AttentionStore.neuron`."""
        return self.store.neuron(kind, layer, head, row, column).as_dict()

    def thumbnails(self, kind: str) -> Iterator[tuple[int, int, bytes]]:
        """Layer, head and thumbnail of every head, one after another."""
        return self.store.thumbnails(kind, self._sides[kind])

    def measure(self, name: str, kind: str) -> list[float]:
        """layers · heads values. Raises AttentionError for a measure that means nothing for this
        kind of attention."""
        if name in MODEL_MEASURES:
            if self.rerun is None:
                raise AttentionError(
                    f"{MODEL_MEASURES[name].title} needs the model, which is not at hand"
                )
            found = self.rerun(
                lambda model: MODEL_MEASURES[name].compute(model, self.text, self.second)
            )
            if kind not in found:
                raise AttentionError(
                    f"{MODEL_MEASURES[name].title} is not defined for {kind} attention"
                )
            return found[kind].flatten().tolist()
        return measure(self.store, kind, name).flatten().tolist()


def _about(about: About) -> dict[str, object]:
    return {
        "title": about.title,
        "formula": about.formula,
        "source": about.source,
        "unit": about.unit,
        "low": about.low,
        "high": about.high,
    }
