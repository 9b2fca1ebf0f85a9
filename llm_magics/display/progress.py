"""How far a piece of work has come, as a line of text and as a bar; times and counts as people say
them."""

from __future__ import annotations

from llm_magics.display import theme
from llm_magics.display.html import Node, el, user_text
from llm_magics.errors import printable

__all__ = ["counted", "duration", "progress_node", "progress_text"]

_TEXT_BAR_WIDTH = 24


def progress_node(done: int, total: int, label: str = "", eta_s: float | None = None) -> Node:
    """A bar with its label and count. `total` 0 means unknown: the count alone is shown."""
    share = _share(done, total)
    track = {
        "background": theme.FAINT,
        "border-radius": "3px",
        "height": "6px",
        "width": "220px",
        "overflow": "hidden",
        "display": "inline-block",
        "vertical-align": "middle",
        "margin": "0 10px 0 0",
    }
    fill = {"background": theme.ACCENT, "height": "6px", "width": f"{100 * (share or 0):.1f}%"}
    values = {
        "role": "progressbar",
        "aria-valuemin": 0,
        "aria-valuemax": total,
        "aria-valuenow": done,
        "aria-label": label or "progress",
    }
    bar = el(
        "span", {**values, "style": track}, el("span", {"style": {**fill, "display": "block"}})
    )
    return el(
        "div",
        {"style": {**theme.BOX, "font-size": "12px", "font-variant-numeric": "tabular-nums"}},
        bar if share is not None else None,
        _count(done, total),
        el("span", {"style": {"color": theme.MUTED, "margin": "0 0 0 10px"}}, _left(eta_s))
        if eta_s
        else None,
        el("span", {"style": {"color": theme.MUTED, "margin": "0 0 0 10px"}}, user_text(label))
        if label
        else None,
    )


def progress_text(done: int, total: int, label: str = "", eta_s: float | None = None) -> str:
    """The same as one line: `███████─────────────────  12 of 40 · 30 % · 8 s left · label`."""
    share = _share(done, total)
    full = round((share or 0) * _TEXT_BAR_WIDTH)
    bar = "" if share is None else "█" * full + "─" * (_TEXT_BAR_WIDTH - full) + "  "
    notes = [_left(eta_s) if eta_s else "", printable(label)]
    return bar + " · ".join([_count(done, total), *(note for note in notes if note)])


def duration(seconds: float) -> str:
    """Seconds as people say them: `8 s`, `2 min 05 s`, `1 h 12 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(number: int, what: str) -> str:
    """`1 step`, `1,200 steps`: a number and what it counts, a regular English noun."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _share(done: int, total: int) -> float | None:
    return min(1.0, max(0.0, done / total)) if total > 0 else None


def _count(done: int, total: int) -> str:
    share = _share(done, total)
    return f"{done:,}" if share is None else f"{done:,} of {total:,} · {int(100 * share)} %"


def _left(eta_s: float | None) -> str:
    return f"{duration(eta_s)} left" if eta_s else ""
