"""A table of anything, as aligned text and as HTML."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from llm_magics.display import theme
from llm_magics.display.html import Node, el, render, user_text
from llm_magics.display.result import Result
from llm_magics.errors import printable

__all__ = ["Table", "cell_width", "table"]

_MOST_TEXT_WIDTH = 60


@dataclass(frozen=True)
class Table:
    """Heads and rows of text. `align` has one letter a column: l left, r right, c centre."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    align: str = ""

    def text(self) -> str:
        """Columns lined up with spaces; a wide character counts as two, and long cells end in an
        ellipsis."""
        lines = [self.headers, *self.rows]
        cut = [[_cut(" ".join(cell.split())) for cell in line] for line in lines]
        widths = [
            max(cell_width(line[column]) for line in cut) for column in range(len(self.headers))
        ]
        written = [self._line(line, widths) for line in cut]
        written.insert(1, "  ".join("─" * width for width in widths))
        return "\n".join([*written, *([self.caption] if self.caption else [])])

    def node(self) -> Node:
        """The table as HTML, styled in place so that it also reads in a notebook that is not
        trusted."""
        heads = (
            el("th", {"scope": "col", "style": {**theme.HEAD, **self._side(i)}}, head)
            for i, head in enumerate(self.headers)
        )
        body = (
            el(
                "tr",
                {"style": {"background": "transparent"}},
                *(
                    el("td", {"style": {**theme.CELL, **self._side(i)}}, user_text(cell))
                    for i, cell in enumerate(row)
                ),
            )
            for row in self.rows
        )
        layout = {"border-collapse": "collapse", "border": "0", "margin": "0", "font-size": "12px"}
        return el(
            "div",
            {"style": {**theme.BOX, "overflow-x": "auto"}},
            el(
                "table",
                {"style": layout},
                el("thead", {}, el("tr", {}, *heads)),
                el("tbody", {}, *body),
            ),
            el("p", {"style": theme.NOTE}, user_text(self.caption)) if self.caption else None,
        )

    def __str__(self) -> str:
        return self.text()

    _ipython_display_ = Result._ipython_display_  # --quiet

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.text(), "text/html": render(self.node())}

    def _side(self, column: int) -> dict[str, str]:
        name = {"r": "right", "c": "center"}.get(self.align[column : column + 1], "left")
        digits = (
            {"font-variant-numeric": "tabular-nums", "white-space": "nowrap"}
            if name == "right"
            else {}
        )
        return {"text-align": name, **digits}

    def _line(self, cells: list[str], widths: list[int]) -> str:
        padded = []
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            free = width - cell_width(cell)
            before = {"r": free, "c": free // 2}.get(self.align[column : column + 1], 0)
            padded.append(" " * before + cell + " " * (free - before))
        return "  ".join(padded).rstrip()


def table(
    headers: list[str], rows: Sequence[Sequence[object]], *, caption: str = "", align: str = ""
) -> Table:
    """A `Table` of `rows`; None becomes an empty cell. Raises `ValueError` when a row has another
    length."""
    for number, row in enumerate(rows):
        if len(row) != len(headers):
            raise ValueError(
                f"row {number} has {len(row)} cells, the table has {len(headers)} heads"
            )
    if not set(align) <= set("lrc") or len(align) > len(headers):
        raise ValueError(f"align={align!r} must be at most {len(headers)} of the letters l, r, c")
    cells = tuple(tuple("" if cell is None else printable(cell) for cell in row) for row in rows)
    return Table(tuple(printable(head) for head in headers), cells, printable(caption), align)


def cell_width(text: str) -> int:
    """Columns of a terminal that `text` takes: East Asian wide characters two, combining marks
    none."""
    return sum(
        0
        if unicodedata.combining(char) or unicodedata.category(char) in {"Cf", "Me", "Mn"}
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def _cut(text: str) -> str:
    if cell_width(text) <= _MOST_TEXT_WIDTH:
        return text
    kept, width = [], 1
    for char in text:
        width += cell_width(char)
        if width > _MOST_TEXT_WIDTH:
            break
        kept.append(char)
    return "".join(kept) + "…"
