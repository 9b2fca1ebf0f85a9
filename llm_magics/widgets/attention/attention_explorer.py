"""Every attention head of a model to look around in: overview, map, lines, neuron, alignment,
difference, steps."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from llm_magics.display.html import Node, image, render
from llm_magics.display.result import Result
from llm_magics.errors import InputError, printable
from llm_magics.extras import require
from llm_magics.widgets import _assets
from llm_magics.widgets.attention.answers import Answers, Predict
from llm_magics.widgets.attention.page import attention_page
from llm_magics.widgets.attention.panel import Panel, Source, source_facts
from llm_magics.widgets.attention.picture import selected_picture
from llm_magics.widgets.attention.selection import first_selection, known_panel, merged_selection
from llm_magics.widgets.comm_route import ignored, keep_front_end_route

__all__ = ["AttentionExplorer", "Panel", "Source"]

_FALLBACK_PX = 192


class AttentionExplorer(anywidget.AnyWidget):
    """An explorer of `sources`: one forward pass each. With several, the views "diff" and "steps"
    compare them.

    `selection` says what is looked at; it can be set from Python, parts of it too: `view.selection
    = {"layer": 3}`. `map()` and `to_pandas()` give the selected head's weights, `neuron()` how one
    comes about, `save()` a file to pass on. `predict(heads)` says what the model makes of the text
    with these heads silenced; without it heads cannot be. `step_names` name the sources on the
    slider; by default their titles do.
    """

    _esm = _assets.module("attention/attention_explorer")
    _css = _assets.style("attention/attention_explorer")

    title = traitlets.Unicode("").tag(sync=True)
    sources = traitlets.List(traitlets.Dict()).tag(sync=True)
    """Title, panels and measures of each source; see `attention_panel.source_facts`."""
    tokens = traitlets.List(traitlets.List()).tag(sync=True)
    """The token lists that the panels point into, each once."""
    atlases = traitlets.List(traitlets.List()).tag(sync=True)
    """Thumbnails by source and panel; b"" for all but the panel shown first, which the browser asks
    for."""
    step_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selection = traitlets.Dict().tag(sync=True)
    """{"source", "against", "view", "kind", "layer", "head", "heads", "rows", "columns",
    "silenced", "step", "sort", "segment"}: `heads` are [layer, head] drawn beside the enlarged one,
    `rows` and `columns` the marked tokens, `against` None or the [source, layer, head] to subtract,
    `silenced` [kind, layer, head] of silenced heads, `step` the last row shown, `sort` the name of
    a measure, `segment` which part of a text pair looks at which."""
    can_predict = traitlets.Bool(False).tag(sync=True)
    live = traitlets.Bool(True).tag(sync=True)
    """False in a saved page, which holds maps but no model."""

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        title: str = "",
        predict: Predict | None = None,
        step_names: Sequence[str] | None = None,
    ) -> None:
        self._sources = list(sources)
        names = [printable(name) for name in step_names or ()]
        if not self._sources or not all(source.panels for source in self._sources):
            raise ValueError(
                "an attention explorer needs at least one source with at least one panel"
            )
        if names and len(names) != len(self._sources):
            raise ValueError(
                f"a name for each of {len(self._sources)} sources expected, {len(names)} given"
            )
        self._answers = Answers(self._sources, predict, self.send)
        selection = first_selection(self._sources)
        facts, tokens = source_facts(self._sources)
        atlases = [
            [
                bytes(panel.atlas)
                if (i, panel.kind) == (selection["source"], selection["kind"])
                else b""
                for panel in source.panels
            ]
            for i, source in enumerate(self._sources)
        ]
        super().__init__(
            title=printable(title),
            sources=facts,
            tokens=tokens,
            atlases=atlases,
            selection=selection,
            step_names=names,
            can_predict=predict is not None,
        )
        self.on_msg(self._received)
        keep_front_end_route(self)

    _ipython_display_ = Result._ipython_display_  # --quiet

    @traitlets.validate("selection")
    def _merged(self, proposal: dict) -> dict[str, object]:
        try:
            return merged_selection(
                proposal["value"], self.selection or first_selection(self._sources), self._sources
            )
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None

    @property
    def prediction(self) -> dict | None:
        """{"silenced", "before", "after"}: what the model said when heads were last silenced, or
        None."""
        return self._answers.prediction

    def measure(self, name: str) -> list[list[float]]:
        """A measure of the selected panel, one list of heads a layer. Raises InputError for a name
        there is not."""
        source, kind = self.selection["source"], self.selection["kind"]
        known = self._sources[source].measures
        if name not in known:
            raise InputError(
                f"no measure {printable(name)!r}; there are {', '.join(known) or 'none'}"
            )
        values, heads = self._answers.measure(source, kind, name), self._panel().heads
        return [values[start : start + heads] for start in range(0, len(values), heads)]

    def map(self, *, selected: bool = False) -> memoryview:
        """The exact weights of the selected head as a memoryview of float32, (rows, columns);
        `numpy.asarray` takes it.

        `selected`: only the marked rows and columns, where there are any. `.tolist()` gives lists.
        """
        chosen, panel = self.selection, self._panel()
        rows = (chosen["rows"] if selected else None) or range(len(panel.rows))
        columns = (chosen["columns"] if selected else None) or range(len(panel.columns))
        weights = array("f")
        for row in rows:
            exact = self._sources[chosen["source"]].row(
                chosen["kind"], chosen["layer"], chosen["head"], row
            )
            weights.extend(
                exact if len(columns) == len(exact) else [exact[column] for column in columns]
            )
        return memoryview(weights).cast("B").cast("f", (len(rows), len(columns)))

    def to_pandas(self, *, selected: bool = False) -> Any:
        """`map()` as a DataFrame with the query tokens as index and the key tokens as columns.

        Raises MissingExtra when pandas is not installed.
        """
        require("pandas", extra="pandas", what="to_pandas() (.map().tolist() does not)")
        import pandas

        chosen, panel = self.selection, self._panel()
        index, columns = (
            [tokens[place] for place in (chosen[name] if selected else None) or range(len(tokens))]
            for name, tokens in (("rows", panel.rows), ("columns", panel.columns))
        )
        return pandas.DataFrame(
            self.map(selected=selected).tolist(),
            index=pandas.Index(index, name="query"),
            columns=pandas.Index(columns, name="key"),
            dtype="float32",
        )

    def neuron(self) -> dict[str, Any]:
        """How the weight of the first marked row and column comes about: "query", "key" and
        "product" (K numbers each), "dot", "score" (what the softmax is given) and "weight".

        Raises InputError when no row or no column is marked.
        """
        chosen = self.selection
        if not (chosen["rows"] and chosen["columns"]):
            raise InputError(
                "no pair of tokens is marked; mark one in the map or lines, or set "
                "view.selection = {'rows': [1], 'columns': [2]}"
            )
        made = self._sources[chosen["source"]].neuron(
            chosen["kind"], chosen["layer"], chosen["head"], chosen["rows"][0], chosen["columns"][0]
        )
        names = ("query", "key", "product", "dot", "score", "weight")
        return {
            name: made[name] if isinstance(made, dict) else getattr(made, name) for name in names
        }

    def save(self, path: str | Path) -> Path:
        """Write what is selected to a file: `.html` is interactive and needs nothing else, `.svg`
        and `.png` are the picture of the chosen view. A folder that is not there is made.

        Raises InputError for another ending, and for `.png` when resvg-py is not installed.
        """
        file = Path(path)
        match file.suffix.lower():
            case ".html" | ".htm":
                data = attention_page(
                    self._sources, self.get_state(), self._answers.measured
                ).encode("utf-8")
            case ".svg":
                data = self.static_svg().encode("utf-8")
            case ".png":
                from llm_magics.display.svg_png import svg_png

                data = svg_png(self.static_svg())
            case ending:
                raise InputError(
                    f"cannot save as {printable(ending)[:20] or 'a file without an ending'!r}; "
                    "name it .html, .svg or .png"
                )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def static_svg(self, most_px: int = 512) -> str:
        """The chosen view as SVG text that needs neither kernel nor script, maps pooled to at most
        `most_px` a side."""
        return selected_picture(self._sources, self.selection, self.text(), most_px, self._answers)

    def static_node(self) -> Node:
        """`static_svg` as an `<img>` that also shows in a notebook that is not trusted."""
        return image(self.static_svg(_FALLBACK_PX).encode("utf-8"), "image/svg+xml", self.text())

    def text(self) -> str:
        """One line: title and what is shown."""
        chosen = self.selection
        source = (self.step_names or [source.title for source in self._sources])[chosen["source"]]
        parts = [
            self.title or source,
            source if len(self._sources) > 1 and self.title else "",
            f"{chosen['kind']} attention",
        ]
        if chosen["view"] != "overview":
            parts += [f"layer {chosen['layer']}", f"head {chosen['head']}"]
        return printable(" · ".join(part for part in parts if part))

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        data, about = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/plain": self.text(), "text/html": render(self.static_node())}, about

    def _panel(self) -> Panel:
        return known_panel(self._sources[self.selection["source"]], self.selection["kind"])

    def _received(self, _widget: object, message: object, _buffers: object) -> None:
        if not self._answers.receive(message):
            ignored(self, message)
