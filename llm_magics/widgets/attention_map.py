"""Every attention head as a thumbnail and one enlarged, with tokens on both axes and exact values on hover."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from struct import pack

import anywidget
import traitlets

from llm_magics.display.attention import attention_svg, token_label
from llm_magics.display.html import Node, image, render
from llm_magics.display.raster import expand
from llm_magics.display.result import Result
from llm_magics.errors import printable
from llm_magics.widgets import _assets
from llm_magics.widgets.live import ignored, keep_front_end_route

__all__ = ["AttentionMap", "Panel"]

Fetch = Callable[[str, int, int], bytes]
FetchRow = Callable[[str, int, int, int], "list[float]"]
_KEPT_BYTES = 32 * 1024 * 1024
_LONGEST_TOKEN = 40
_log = logging.getLogger(__name__)


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
    """layers · heads · thumb_height · thumb_width bytes, level = round(255 √weight), layer by layer."""
    thumb_height: int
    thumb_width: int

    def __post_init__(self) -> None:
        expected = self.layers * self.heads * self.thumb_height * self.thumb_width
        if len(self.atlas) != expected or not (self.layers and self.heads and self.rows and self.columns):
            raise ValueError(f"panel {self.kind!r}: an atlas of {expected} bytes expected for {self.layers} layers × "
                             f"{self.heads} heads × {self.thumb_height} × {self.thumb_width}, {len(self.atlas)} given")

    def facts(self) -> dict[str, object]:
        """What the browser needs besides the atlas, as JSON values."""
        return {"kind": self.kind, "layers": self.layers, "heads": self.heads,
                "rows": [token_label(token, _LONGEST_TOKEN) for token in self.rows],
                "columns": [token_label(token, _LONGEST_TOKEN) for token in self.columns],
                "thumb_height": self.thumb_height, "thumb_width": self.thumb_width}


class AttentionMap(anywidget.AnyWidget):
    """An interactive map of `panels`. `selection` says which head is enlarged and can be set from Python.

    `fetch(kind, layer, head)` gives rows · columns square-root companded bytes; `fetch_row(kind, layer, head,
    row)` the exact weights of one query. Both may be called on another thread than the one that made the map.
    """

    _esm = _assets.module("attention_map")
    _css = _assets.style("attention_map")

    title = traitlets.Unicode("").tag(sync=True)
    panels = traitlets.List(traitlets.Dict()).tag(sync=True)
    """`Panel.facts()` of each panel."""
    atlases = traitlets.List(traitlets.Bytes()).tag(sync=True)
    """The thumbnails of each panel, as in `Panel.atlas`."""
    selection = traitlets.Dict().tag(sync=True)
    """{"kind": …, "layer": …, "head": …} of the enlarged head."""
    head_key = traitlets.List().tag(sync=True)
    """[kind, layer, head] that `head_map` belongs to."""
    head_map = traitlets.Bytes(b"").tag(sync=True)
    """The enlarged head, kept so that a page that is loaded again can show it without asking."""
    has_rows = traitlets.Bool(False).tag(sync=True)
    """Whether exact values can be asked for; without, hovering shows the companded ones."""

    def __init__(
        self, *, title: str = "", panels: list[Panel], fetch: Fetch, fetch_row: FetchRow | None = None
    ) -> None:
        if not panels:
            raise ValueError("an attention map needs at least one panel, none given")
        self._by_kind = {panel.kind: panel for panel in panels}
        self._fetch, self._fetch_row = fetch, fetch_row
        self._lock = threading.Lock()
        self._heads: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        # The kind looked at first: how source and target hang together, where the model has both.
        first = self._by_kind.get("cross", panels[0])
        chosen = {"kind": first.kind, "layer": first.layers - 1, "head": 0}
        super().__init__(
            title=printable(title), panels=[panel.facts() for panel in panels], has_rows=fetch_row is not None,
            atlases=[bytes(panel.atlas) for panel in panels], selection=chosen,
            head_key=list(chosen.values()), head_map=self._head(*chosen.values()),
        )
        self.observe(self._selected, names="selection")
        self.on_msg(self._received)
        keep_front_end_route(self)

    _ipython_display_ = Result._ipython_display_  # --quiet

    @traitlets.validate("selection")
    def _known_head(self, proposal: dict) -> dict:
        value = proposal["value"]
        key = (value.get("kind"), value.get("layer"), value.get("head"))
        if not self._is_head(key):
            kinds = {kind: f"{panel.layers} layers × {panel.heads} heads" for kind, panel in self._by_kind.items()}
            given = printable(value)[:120]
            raise traitlets.TraitError(f"no head {given}: a kind, layer and head out of {kinds} expected")
        return dict(zip(("kind", "layer", "head"), key, strict=True))

    def map(self) -> list[list[float]]:
        """Weights of the enlarged head, one list a query; exact where exact rows can be asked for."""
        kind, layer, head = self.selection.values()
        panel = self._by_kind[kind]
        if self._fetch_row is not None:
            return [list(self._fetch_row(kind, layer, head, row)) for row in range(len(panel.rows))]
        levels, width = self._head(kind, layer, head), len(panel.columns)
        return [[expand(level) for level in levels[i:i + width]] for i in range(0, len(levels), width)]

    def static_svg(self) -> str:
        """The enlarged head as SVG text that needs neither kernel nor script."""
        kind, layer, head = self.selection.values()
        panel = self._by_kind[kind]
        return attention_svg(self._head(kind, layer, head), panel.rows, panel.columns, title=self.text())

    def static_node(self) -> Node:
        """`static_svg` as an `<img>` that also shows in a notebook that is not trusted."""
        return image(self.static_svg().encode("utf-8"), "image/svg+xml", self.text())

    def text(self) -> str:
        """One line: title and the enlarged head."""
        kind, layer, head = self.selection.values()
        return " · ".join(part for part in (self.title, f"{kind} attention", f"layer {layer}", f"head {head}") if part)

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        data, about = super()._repr_mimebundle_(**kwargs)
        return {**data, "text/plain": self.text(), "text/html": render(self.static_node())}, about

    def _is_head(self, key: tuple[object, object, object]) -> bool:
        kind, layer, head = key
        panel = self._by_kind.get(kind) if isinstance(kind, str) else None
        whole = type(layer) is int and type(head) is int  # a bool is an int too, but no layer
        return panel is not None and whole and 0 <= layer < panel.layers and 0 <= head < panel.heads

    def _head(self, kind: str, layer: int, head: int) -> bytes:
        """The companded bytes of one head, from the last ones asked for or from `fetch`."""
        key, panel = (kind, layer, head), self._by_kind[kind]
        with self._lock:
            if key not in self._heads:
                levels = bytes(self._fetch(kind, layer, head))
                if len(levels) != len(panel.rows) * len(panel.columns):
                    raise ValueError(f"fetch{key} gave {len(levels)} bytes, "
                                     f"{len(panel.rows)} × {len(panel.columns)} expected")
                self._heads[key] = levels
                while len(self._heads) > 1 and sum(map(len, self._heads.values())) > _KEPT_BYTES:
                    self._heads.popitem(last=False)
            return self._heads[key]

    def _selected(self, change: dict) -> None:
        key = tuple(change["new"].values())
        try:
            levels = self._head(*key)
        except Exception as error:  # noqa: BLE001 — shown in the widget; on a subshell it would vanish
            self._tell(error)
            return
        with self.hold_sync():
            self.head_key, self.head_map = list(key), levels

    def _received(self, _widget: object, message: object, _buffers: object) -> None:
        """`{"want": [kind, layer, head]}` or `{"want_row": [kind, layer, head, row]}`, answered in kind."""
        message = message if isinstance(message, dict) else {}
        head, row = message.get("want"), message.get("want_row")
        try:
            if isinstance(head, list) and len(head) == 3 and self._is_head(tuple(head)):
                self.send({"head": head}, buffers=[self._head(*head)])
            elif isinstance(row, list) and len(row) == 4 and self._is_row(row):
                weights = self._fetch_row(*row)
                self.send({"row": row}, buffers=[pack(f"<{len(weights)}f", *weights)])
            else:
                ignored(self, message)
        except Exception as error:  # noqa: BLE001 — as in _selected
            self._tell(error)

    def _is_row(self, key: list) -> bool:
        known = self._fetch_row is not None and self._is_head(tuple(key[:3])) and type(key[3]) is int
        return known and 0 <= key[3] < len(self._by_kind[key[0]].rows)

    def _tell(self, error: Exception) -> None:
        _log.warning("attention map: %s", printable(error))
        self.send({"error": f"{type(error).__name__}: {printable(error)[:300]}"})
