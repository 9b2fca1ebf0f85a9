"""An explorer as one HTML file: the same browser modules over the maps that fit the file.

Every head is there, pooled by a power of two; the selected heads, and as many more as fit, in full
resolution.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from dataclasses import dataclass

from llm_magics.display.html import page
from llm_magics.widgets import _assets
from llm_magics.widgets.attention.panel import Panel, Source

__all__ = ["PAGE_BYTES", "attention_page"]

PAGE_BYTES = 3_000_000
"""Most that a saved page weighs."""
_POOLED_SHARE = 0.5
"""Of the room for maps, what the pooled maps of all heads may take; the rest is for heads in full
resolution."""
_SAFETY = 0.97  # compressed together, the maps are not quite what they were one by one
_STATE = ("title", "sources", "tokens", "step_names", "selection")

Key = tuple[int, str, int, int]
"""Source, kind, layer, head."""


@dataclass(frozen=True)
class _Held:
    """One head's map, pooled by 2**level."""

    levels: bytes
    height: int
    width: int
    level: int


def attention_page(
    sources: list[Source],
    state: dict,
    measured: dict[tuple[int, str, str], list[float]],
    most_bytes: int = PAGE_BYTES,
) -> str:
    """HTML text of at most `most_bytes` that shows `sources` as `state` (the widget's traits) has
    them selected.

    `measured` are the values of measures by source, kind and name; others need the model.
    """
    module, style = _assets.module("attention/page"), _assets.style("attention/attention_explorer")
    kept = {name: state[name] for name in _STATE}
    kept["sources"] = [
        {
            **facts,
            "measures": {
                name: about
                for name, about in facts["measures"].items()
                if any(key[0] == i and key[2] == name for key in measured)
            },
        }
        for i, facts in enumerate(kept["sources"])
    ]
    fixed = len(module.encode()) + len(style.encode()) + len(json.dumps(kept)) + 4_000
    blob, heads = bytearray(), {}
    atlases = _atlases(sources, blob)
    room = (most_bytes - fixed) * 3 / 4 * _SAFETY - len(blob)  # base64 takes 4 bytes for 3
    held = _chosen(sources, state["selection"], room)
    for (source, kind, layer, head), one in held.items():
        heads[f"{source}/{kind}/{layer}/{head}"] = {
            "level": one.level,
            "height": one.height,
            "width": one.width,
            "start": len(blob),
            "bytes": len(one.levels),
        }
        blob += one.levels
    data = {
        "state": {**kept, "atlases": [[] for _ in sources], "can_predict": False, "live": False},
        "heads": heads,
        "atlases": atlases,
        "note": _note(held),
        "measures": [
            {"source": i, "kind": kind, "name": name, "values": values}
            for (i, kind, name), values in measured.items()
        ],
        "packed": base64.b64encode(gzip.compress(bytes(blob), 6, mtime=0)).decode("ascii"),
    }
    return page(
        state["title"] or "attention",
        style=style,
        module=module,
        data=json.dumps(data, ensure_ascii=False),
    )


def _chosen(sources: list[Source], selection: dict, room: float) -> dict[Key, _Held]:
    """Every head pooled alike, as fine as `_POOLED_SHARE` of `room` allows, and in full resolution
    those that fit."""
    keys = [
        (i, panel.kind, layer, head)
        for i, source in enumerate(sources)
        for panel in source.panels
        for layer in range(panel.layers)
        for head in range(panel.heads)
    ]
    panels = {(i, panel.kind): panel for i, source in enumerate(sources) for panel in source.panels}
    longest = max(max(len(panel.rows), len(panel.columns)) for panel in panels.values())
    level = max(0, math.ceil(math.log2(longest / 256)))  # one tile a head
    while True:
        held = {key: _pooled(sources[key[0]], panels[key[:2]], key, level) for key in keys}
        spent = {key: len(gzip.compress(one.levels, 1)) for key, one in held.items()}
        if sum(spent.values()) <= room * _POOLED_SHARE or 2**level >= longest:
            break
        level += 1
    left = room - sum(spent.values())
    for key in _by_interest(keys, selection):
        if held[key].level == 0:
            continue
        levels, height, width = sources[key[0]].picture(*key[1:])
        full = _Held(
            bytes(levels),
            height,
            width,
            max(0, math.ceil(math.log2(len(panels[key[:2]].rows) / height))),
        )
        cost = len(gzip.compress(full.levels, 1)) - spent[key]
        if cost > left:
            break
        held[key], left = full, left - cost
    return held


def _by_interest(keys: list[Key], selection: dict) -> list[Key]:
    """The enlarged head, those drawn with it and compared with it, then its layer, its kind, and
    the rest."""
    source, kind, layer, head = (selection[name] for name in ("source", "kind", "layer", "head"))
    against = selection["against"]
    chosen = [(source, kind, layer, head), *((source, kind, *pair) for pair in selection["heads"])]
    if against:
        chosen.append((against[0], kind, *against[1:]))
    rest = sorted(
        (key for key in keys if key not in chosen),
        key=lambda key: (key[0] != source, key[1] != kind, abs(key[2] - layer), abs(key[3] - head)),
    )
    return [*chosen, *rest]


def _pooled(source: Source, panel: Panel, key: Key, level: int) -> _Held:
    height, width = (math.ceil(len(tokens) / 2**level) for tokens in (panel.rows, panel.columns))
    return _Held(bytes(source.tile(*key[1:], level, 0, 0)), height, width, level)


def _atlases(sources: list[Source], blob: bytearray) -> list[dict]:
    """The thumbnails of every panel, put behind what `blob` holds, and where."""
    atlases = []
    for i, source in enumerate(sources):
        for panel in source.panels:
            levels = panel.atlas or b"".join(
                thumb for *_, thumb in sorted(source.thumbnails(panel.kind))
            )
            atlases.append(
                {"source": i, "kind": panel.kind, "start": len(blob), "bytes": len(levels)}
            )
            blob += levels
    return atlases


def _note(held: dict[Key, _Held]) -> str:
    """What the file holds, in one sentence."""
    coarse = [one for one in held.values() if one.level]
    if not coarse:
        return (
            f"This file holds all {len(held)} heads in full resolution. Exact weights, neurons "
            "and silencing need the model."
        )
    fine = len(held) - len(coarse)
    return (
        f"This file holds {fine} of {len(held)} heads in full resolution and the others pooled by "
        f"{2 ** max(one.level for one in coarse)}. Exact weights, neurons and silencing need the "
        "model."
    )
