"""Which models are in memory, and how much of it they take: a bar for each device, a line for each
model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_magics.display import theme
from llm_magics.display.html import Node, el, fragment, user_text
from llm_magics.display.progress import duration
from llm_magics.display.table import Table, table

__all__ = ["DeviceMemory", "ModelInMemory", "memory_node", "memory_table"]


@dataclass(frozen=True)
class DeviceMemory:
    """The memory of one device."""

    name: str
    budget_bytes: int
    """The most that models may take together."""
    held_bytes: int
    """What they take."""
    blocked_bytes: int
    """The part of the budget that something else has taken."""
    caption: str
    """All of it in words."""


@dataclass(frozen=True)
class ModelInMemory:
    """One model."""

    name: str
    task: str
    device: str
    dtype: str
    bytes: int
    size: str
    """`bytes` in words."""
    parameters: str
    """Their number in words."""
    state: str
    """ "loading", "in use", "pinned" or "idle"."""
    leases: int
    """How many are using it now."""
    pinned: bool
    uses: int
    idle_s: float
    """Seconds since it was last used."""
    colour: int
    """Which of `theme.PICTURE_SERIES` it has, counted round."""


def memory_table(models: Sequence[ModelInMemory], caption: str) -> Table:
    """The models as a table."""
    rows = [
        [
            one.name,
            one.task,
            one.device,
            one.dtype,
            one.parameters,
            one.size,
            one.uses,
            f"{duration(one.idle_s)} ago",
            one.state,
        ]
        for one in models
    ]
    return table(
        ["model", "task", "device", "dtype", "parameters", "memory", "uses", "last used", "state"],
        rows,
        caption=caption,
        align="llllrrrrl",
    )


def memory_node(
    devices: Sequence[DeviceMemory], models: Sequence[ModelInMemory], caption: str
) -> Node:
    """Bars and table; needs neither kernel nor script."""
    return fragment(
        *(_bar(device, [one for one in models if one.device == device.name]) for device in devices),
        memory_table(models, caption).node(),
    )


def _bar(device: DeviceMemory, models: Sequence[ModelInMemory]) -> Node:
    scale = max(device.budget_bytes, device.held_bytes, 1)
    colours = theme.PICTURE_SERIES
    track = {
        "display": "flex",
        "height": "14px",
        "max-width": "560px",
        "border-radius": "4px",
        "overflow": "hidden",
        "background": theme.FAINT,
        "margin": "2px 0",
    }
    parts = (
        el(
            "span",
            {
                "title": f"{one.name}: {one.size}",
                "style": _part(one.bytes / scale, colours[one.colour % len(colours)]),
            },
        )
        for one in models
    )
    blocked = el(
        "span",
        {
            "title": "taken by something else",
            "style": {**_part(device.blocked_bytes / scale, theme.LINE), "margin": "0 0 0 auto"},
        },
    )
    return el(
        "div",
        {"style": {**theme.BOX, "font-size": "12px"}},
        el(
            "div",
            {},
            el("strong", {}, device.name),
            " ",
            user_text(device.caption, {"color": theme.MUTED}),
        ),
        el("div", {"style": track, "role": "img", "aria-label": device.caption}, *parts, blocked),
    )


def _part(share: float, colour: str) -> dict[str, str]:
    return {
        "width": f"{100 * min(1.0, share):.3f}%",
        "min-width": "3px" if share else "0",
        "background": colour,
    }
