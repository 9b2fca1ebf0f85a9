"""What a model would rather have said: a text shaded by surprisal, and candidates as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_magics.display import theme
from llm_magics.display.html import Node, el, user_text

__all__ = ["Shaded", "candidate_bars", "shaded_text", "visible"]

_SHADES = ((10.0, theme.LIGHT_3), (6.0, theme.LIGHT_2), (3.0, theme.LIGHT_1))
"""From so many bits on; 3 bits are a chance of one in eight."""
_BAR_PX = 180


@dataclass(frozen=True)
class Shaded:
    """A stretch of text."""

    text: str
    bits: float | None = None
    """Its surprisal; None where there is none to show."""
    title: str = ""
    """What hovering says."""
    filled: str = ""
    """What stands for it: the best candidate for a mask."""


def visible(token: str) -> str:
    """A token as people can see it: a space at its front stays a dot, line breaks and tabs get
    signs."""
    shown = token.replace("\n", "⏎").replace("\t", "⇥").replace("\r", "⏎")
    stripped = shown.lstrip(" ")
    return "·" * (len(shown) - len(stripped)) + stripped or "␣"


def shaded_text(stretches: Sequence[Shaded]) -> Node:
    """The stretches one after the other, the surprising ones shaded."""
    style = {
        "margin": "6px 0",
        "white-space": "pre-wrap",
        "line-height": "1.9",
        "max-width": "60em",
        "font-size": "14px",
    }
    return el("p", {"style": style, "dir": "auto"}, *(_stretch(one) for one in stretches))


def _stretch(one: Shaded) -> Node | str:
    if one.filled:
        style = {
            "background": theme.LIGHT_2,
            "border-radius": "3px",
            "padding": "1px 4px",
            "color": "inherit",
        }
        return el("mark", {"style": style, "title": one.title or None}, one.filled)
    shade = next(
        (colour for least, colour in _SHADES if one.bits is not None and one.bits >= least), None
    )
    if shade is None and not one.title:
        return one.text
    style = {"background": shade, "border-radius": "3px"} if shade else {}
    return el(
        "span",
        {"style": style, "title": one.title or None} if style else {"title": one.title},
        one.text,
    )


def candidate_bars(candidates: Sequence[tuple[str, float]]) -> Node:
    """(token, probability) of each candidate as a row with a bar, the most probable as long as
    there is room."""
    most = max((probability for _, probability in candidates), default=0.0) or 1.0
    cell = {**theme.CELL, "padding": "1px 10px 1px 0", "border-bottom": "0"}
    rows = (
        el(
            "tr",
            {"style": {"background": "transparent"}},
            el(
                "td",
                {"style": {**cell, "font-family": theme.MONO, "text-align": "left"}},
                user_text(visible(text)),
            ),
            el("td", {"style": {**cell, "text-align": "right"}}, f"{probability:.1%}"),
            el(
                "td",
                {"style": cell},
                el(
                    "div",
                    {
                        "style": {
                            "width": f"{max(1, round(_BAR_PX * probability / most))}px",
                            "height": "8px",
                            "margin-top": "6px",
                            "background": theme.ACCENT,
                            "border-radius": "2px",
                        }
                    },
                ),
            ),
        )
        for text, probability in candidates
    )
    style = {"border-collapse": "collapse", "margin": "4px 0", "font-size": "13px"}
    return el("table", {"style": style}, el("tbody", {}, *rows))
