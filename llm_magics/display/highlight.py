"""A text with stretches of it marked: answers, names, whatever has a place in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_magics.display import theme
from llm_magics.display.html import Node, el

__all__ = ["Mark", "highlighted"]

_SHADES = {1: theme.LIGHT_1, 2: theme.LIGHT_2, 3: theme.LIGHT_3}
_TINTS = (
    "rgba(47,127,200,.28)",
    "rgba(210,105,30,.28)",
    "rgba(29,154,108,.28)",
    "rgba(165,95,181,.28)",
    "rgba(184,134,11,.3)",
    "rgba(207,74,92,.28)",
)
_CUT = " … "


@dataclass(frozen=True)
class Mark:
    """Characters [start, end) of a text that are to stand out."""

    start: int
    end: int
    label: str = ""
    """A small word after the stretch: what it is, or which question it answers."""
    title: str = ""
    """What hovering says."""
    shade: int = 2
    """1 faint, 2, 3 strong."""
    tint: int | None = None
    """Instead of a shade of blue, the colour of this number: kinds of things apart; the label says
    which is which."""


def highlighted(text: str, marks: Sequence[Mark], around: int | None = None) -> Node:
    """`text` as a paragraph with `marks`; of those that overlap the first given is kept.

    `around`: only so many characters beside the marks are shown; None shows everything.
    """
    kept = _apart(marks)
    parts: list[Node | str] = []
    position = 0
    for number, mark in enumerate(kept):
        parts += _between(text, position, mark.start, around, first=number == 0, last=False)
        parts.append(_marked(text[mark.start : mark.end], mark))
        position = mark.end
    parts += _between(text, position, len(text), around, first=not kept, last=True)
    style = {
        "margin": "6px 0",
        "white-space": "pre-wrap",
        "line-height": "1.75",
        "max-width": "60em",
    }
    return el("p", {"style": style, "dir": "auto"}, *parts)


def _apart(marks: Sequence[Mark]) -> list[Mark]:
    kept: list[Mark] = []
    for mark in marks:
        if mark.start < mark.end and all(
            mark.end <= other.start or mark.start >= other.end for other in kept
        ):
            kept.append(mark)
    return sorted(kept, key=lambda mark: mark.start)


def _between(
    text: str, start: int, end: int, around: int | None, *, first: bool, last: bool
) -> list[Node | str]:
    """The text between two marks, with its middle left out where it is long."""
    if around is None or end - start <= 2 * around + len(_CUT):
        return [text[start:end]]
    if first and last:
        return [text[start : start + 2 * around] + _CUT]
    if first:
        return [_CUT + text[end - around : end]]
    return [text[start : start + around] + _CUT + ("" if last else text[end - around : end])]


def _marked(text: str, mark: Mark) -> Node:
    background = _SHADES[mark.shade] if mark.tint is None else _TINTS[mark.tint % len(_TINTS)]
    style = {
        "background": background,
        "color": "inherit",
        "border-radius": "3px",
        "padding": "1px 2px",
    }
    small = {"color": theme.MUTED, "font-size": "10px", "margin": "0 2px 0 3px"}
    label = el("small", {"style": small}, mark.label) if mark.label else None
    return el("mark", {"style": style, "title": mark.title or None}, text, label)
