"""The selected view of an explorer as a picture without scripts."""

from __future__ import annotations

import math

from llm_magics.display.attention.difference import difference_svg
from llm_magics.display.attention.links import alignment_svg, lines_svg
from llm_magics.display.attention.map import attention_svg
from llm_magics.display.attention.overview import overview_svg
from llm_magics.widgets.attention.answers import Answers
from llm_magics.widgets.attention.panel import Panel, Source
from llm_magics.widgets.attention.selection import known_panel, panel_of

__all__ = ["pooled_map", "selected_picture"]

_MOST_LINKED_TOKENS = 160


def selected_picture(
    sources: list[Source], selection: dict, title: str, most_px: int, answers: Answers
) -> str:
    """SVG text of the selected view; views without a picture of their own show the map."""
    source = sources[selection["source"]]
    panel = known_panel(source, selection["kind"])
    match selection["view"]:
        case "overview":
            return _overview(answers, selection, panel, title, most_px, source)
        case "lines" | "cross":
            return _links(source, panel, selection, title)
        case "diff":
            return _difference(sources, panel, selection, title, most_px)
        case _:
            levels, level = pooled_map(
                source, panel, selection["layer"], selection["head"], most_px
            )
            step = 2**level
            rows, columns = (
                range(shown.start // step, -(-shown.stop // step))
                for shown in _of_segment(panel, selection)
            )
            width = math.ceil(len(panel.columns) / step)
            levels = b"".join(
                levels[row * width + columns.start : row * width + columns.stop] for row in rows
            )
            return attention_svg(
                levels,
                [panel.rows[row * step] for row in rows],
                [panel.columns[column * step] for column in columns],
                title=title,
            )


def pooled_map(
    source: Source, panel: Panel, layer: int, head: int, most_px: int
) -> tuple[bytes, int]:
    """Levels of the whole map pooled by 2**level so that it fits `most_px` a side, and that
    level."""
    side = max(len(panel.rows), len(panel.columns))
    level = max(0, math.ceil(math.log2(side / most_px)))
    height, width = (math.ceil(len(tokens) / 2**level) for tokens in (panel.rows, panel.columns))
    if max(height, width) <= 256:
        return bytes(source.tile(panel.kind, layer, head, level, 0, 0)), level
    bands = []
    for row in range(math.ceil(height / 256)):
        tiles = [
            bytes(source.tile(panel.kind, layer, head, level, row, column))
            for column in range(math.ceil(width / 256))
        ]
        widths = [min(256, width - 256 * column) for column in range(len(tiles))]
        bands += [
            b"".join(tile[line * w : (line + 1) * w] for tile, w in zip(tiles, widths, strict=True))
            for line in range(len(tiles[0]) // widths[0])
        ]
    return b"".join(bands), level


def _overview(
    answers: Answers, selection: dict, panel: Panel, title: str, most_px: int, source: Source
) -> str:
    atlas = answers.atlas(selection["source"], panel.kind)
    values, about = None, ""
    if selection["sort"]:
        values = answers.measure(selection["source"], panel.kind, selection["sort"])
        about = str(source.measures[selection["sort"]].get("title", selection["sort"]))
    side = max(8, most_px * 2 // max(panel.heads, panel.layers)) if most_px < 512 else 64
    return overview_svg(
        bytes(atlas.levels),
        panel.layers,
        panel.heads,
        panel.thumb_height,
        panel.thumb_width,
        title=title,
        values=values,
        measure=about,
        most_px=side,
    )


def _links(source: Source, panel: Panel, selection: dict, title: str) -> str:
    wanted = [
        selection[name] or shown
        for name, shown in zip(("rows", "columns"), _of_segment(panel, selection), strict=True)
    ]
    rows, columns = (list(places)[:_MOST_LINKED_TOKENS] for places in wanted)
    left_out = max(map(len, wanted)) > _MOST_LINKED_TOKENS
    heads = [[selection["layer"], selection["head"]], *selection["heads"]]
    heads = [head for i, head in enumerate(heads) if head not in heads[:i]]
    maps = {}
    for layer, head in heads:
        weights = [source.row(panel.kind, layer, head, row) for row in rows]
        maps[f"L{layer}·H{head}"] = [
            [weights[i][column] for column in columns] for i in range(len(rows))
        ]
    draw = lines_svg if selection["view"] == "lines" else alignment_svg
    shown = f"{title} · the first {_MOST_LINKED_TOKENS} tokens" if left_out else title
    return draw(
        maps,
        [panel.rows[row] for row in rows],
        [panel.columns[column] for column in columns],
        title=shown,
    )


def _of_segment(panel: Panel, selection: dict) -> tuple[range, range]:
    """The rows and columns that the filter of a text pair leaves; all without one."""
    whole = range(len(panel.rows)), range(len(panel.columns))
    if not selection["segment"]:
        return whole
    left = []
    for text, segments in zip(
        selection["segment"], (panel.row_segments, panel.column_segments), strict=True
    ):
        places = [
            place for place, segment in enumerate(segments or ()) if segment == "AB".index(text)
        ]
        if not places:
            return whole
        left.append(range(places[0], places[-1] + 1))
    return left[0], left[1]


def _difference(
    sources: list[Source], panel: Panel, selection: dict, title: str, most_px: int
) -> str:
    against = selection["against"] or _default_against(selection, len(sources), panel)
    other = sources[against[0]]
    theirs = panel_of(other, selection["kind"])
    first, level = pooled_map(
        sources[selection["source"]], panel, selection["layer"], selection["head"], most_px
    )
    step, named = 2**level, f"{title} − layer {against[1]} · head {against[2]}"
    rows, columns = panel.rows[::step], panel.columns[::step]
    if len(sources) > 1:
        named += f" of {other.title}"
    if theirs is None or (len(theirs.rows), len(theirs.columns)) != (
        len(panel.rows),
        len(panel.columns),
    ):
        return attention_svg(first, rows, columns, title=title)
    second, _ = pooled_map(other, theirs, against[1], against[2], most_px)
    return difference_svg(first, second, rows, columns, title=named)


def _default_against(selection: dict, sources: int, panel: Panel) -> list[int]:
    """As in the browser: the same head of another source, otherwise the next head."""
    source, layer, head = selection["source"], selection["layer"], selection["head"]
    if sources > 1:
        return [1 if source == 0 else 0, layer, head]
    return (
        [source, layer, (head + 1) % panel.heads]
        if panel.heads > 1
        else [source, (layer + 1) % panel.layers, head]
    )
