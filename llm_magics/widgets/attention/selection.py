"""What is selected in an attention explorer: one dict, the same for Python and the browser, checked
on its way in."""

from __future__ import annotations

from llm_magics.display.browser_files import read_json
from llm_magics.errors import printable
from llm_magics.widgets.attention.panel import Panel, Source

__all__ = [
    "KINDS",
    "SEGMENTS",
    "VIEWS",
    "first_selection",
    "known_panel",
    "merged_selection",
    "panel_of",
]

_VOCABULARY: dict[str, dict] = read_json("attention/views.json")  # JavaScript's, too
VIEWS = tuple(_VOCABULARY["views"])
KINDS = tuple(_VOCABULARY["kinds"])
SEGMENTS = tuple(_VOCABULARY["segments"])


def first_selection(sources: list[Source]) -> dict[str, object]:
    """The last layer of the last source; how source and target hang together, where the model has
    both."""
    source = len(sources) - 1
    panels = {panel.kind: panel for panel in sources[source].panels}
    panel = panels.get("cross", sources[source].panels[0])
    return {
        "source": source,
        "against": None,
        "view": "map",
        "kind": panel.kind,
        "layer": panel.layers - 1,
        "head": 0,
        "heads": [],
        "rows": [],
        "columns": [],
        "silenced": [],
        "step": None,
        "sort": "",
        "segment": "",
    }


def panel_of(source: Source, kind: object) -> Panel | None:
    """The panel of this kind, or None."""
    return next((panel for panel in source.panels if panel.kind == kind), None)


def known_panel(source: Source, kind: object) -> Panel:
    """The panel of this kind. Raises `ValueError` where there is none."""
    panel = panel_of(source, kind)
    if panel is None:
        raise ValueError(f"no {printable(kind)[:40]} attention in {printable(source.title)[:80]}")
    return panel


def merged_selection(
    given: object, now: dict[str, object], sources: list[Source]
) -> dict[str, object]:
    """`now` with what was given in its place. Raises `ValueError` with one message for what cannot
    be selected.

    When the source or the kind changes, tokens, heads and comparison that were not given are let
    go: they belonged to the old panel.
    """
    if not isinstance(given, dict):
        raise ValueError(
            f"a selection is a dict such as {{'layer': 3, 'head': 1}}, {printable(given)[:80]!r} "
            "given"
        )
    unknown = sorted(set(map(str, given)) - set(now))
    if unknown:
        raise ValueError(
            f"a selection has no {', '.join(map(printable, unknown))[:120]}; it has "
            f"{', '.join(now)}"
        )
    if any(name in given and given[name] != now[name] for name in ("source", "kind")):
        now = now | {"heads": [], "rows": [], "columns": [], "against": None, "step": None}
    wanted = {**now, **given}
    against = wanted["against"]
    if type(against) is int:  # a source: the same head of it
        wanted["against"] = [against, wanted["layer"], wanted["head"]]
    _check_head(wanted, sources)
    _check_names(wanted, sources)
    _check_tokens(wanted, sources)
    return wanted


def _check_head(wanted: dict, sources: list[Source]) -> None:
    source = wanted["source"]
    if type(source) is not int or not 0 <= source < len(sources):
        raise ValueError(f"no source {printable(source)[:40]}: 0 to {len(sources) - 1} expected")
    panel = panel_of(sources[source], wanted["kind"])
    if panel is None or not panel.has(wanted["layer"], wanted["head"]):
        raise _no_head((wanted["kind"], wanted["layer"], wanted["head"]), sources[source])
    for pair in _list(wanted, "heads"):
        if not (isinstance(pair, (list, tuple)) and len(pair) == 2 and panel.has(*pair)):
            raise _no_head(pair, sources[source])
    # A pair is a head of the kind that is shown.
    wanted["silenced"] = [
        [wanted["kind"], *key] if isinstance(key, (list, tuple)) and len(key) == 2 else key
        for key in _list(wanted, "silenced")
    ]
    for key in wanted["silenced"]:
        silent = (
            panel_of(sources[source], key[0])
            if isinstance(key, (list, tuple)) and len(key) == 3
            else None
        )
        if silent is None or not silent.has(*key[1:]):
            raise _no_head(key, sources[source])
    against = wanted["against"]
    if against is not None:
        known = isinstance(against, (list, tuple)) and len(against) == 3 and type(against[0]) is int
        other = (
            panel_of(sources[against[0]], wanted["kind"])
            if known and 0 <= against[0] < len(sources)
            else None
        )
        if other is None or not other.has(*against[1:]):
            raise ValueError(
                f"nothing to compare with at {printable(against)[:60]}: None, a source or "
                f"[source, layer, head] with {wanted['kind']} attention expected"
            )
    for name in ("heads", "silenced"):
        wanted[name] = [list(key) for key in wanted[name]]


def _check_names(wanted: dict, sources: list[Source]) -> None:
    measures = ("", *sources[wanted["source"]].measures)
    for name, allowed in (("view", VIEWS), ("segment", SEGMENTS), ("sort", measures)):
        if wanted[name] not in allowed:
            raise ValueError(
                f"{name} {printable(wanted[name])[:40]!r}: one of "
                f"{', '.join(map(repr, allowed))} expected"
            )


def _check_tokens(wanted: dict, sources: list[Source]) -> None:
    panel = known_panel(sources[wanted["source"]], wanted["kind"])
    for name, tokens in (("rows", panel.rows), ("columns", panel.columns)):
        for place in _list(wanted, name):
            if type(place) is not int or not 0 <= place < len(tokens):
                raise ValueError(
                    f"{name} {printable(place)[:40]}: places from 0 to {len(tokens) - 1} expected"
                )
    step = wanted["step"]
    if step is not None and (type(step) is not int or not 0 <= step < len(panel.rows)):
        raise ValueError(
            f"step {printable(step)[:40]}: None or a row from 0 to {len(panel.rows) - 1} expected"
        )


def _list(wanted: dict, name: str) -> list:
    value = wanted[name]
    if not isinstance(value, (list, tuple, range)):
        raise ValueError(f"{name} is a list, {printable(value)[:60]!r} given")
    wanted[name] = list(value)
    return wanted[name]


def _no_head(given: object, source: Source) -> ValueError:
    kinds = {panel.kind: f"{panel.layers} layers × {panel.heads} heads" for panel in source.panels}
    return ValueError(
        f"no head {printable(given)[:80]}: a kind, layer and head out of {kinds} expected"
    )
