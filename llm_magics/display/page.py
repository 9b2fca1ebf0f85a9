"""A whole HTML page of its own, shown in a frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llm_magics.display import theme
from llm_magics.display.html import Node, el, frame, user_text
from llm_magics.display.result import Result

__all__ = ["FramedPage"]


@dataclass(frozen=True, kw_only=True, repr=False)
class FramedPage(Result):
    """A page whose scripts run apart from the notebook."""

    text: str
    """What it shows, in one line."""
    document: str
    """The page as HTML text."""
    height_px: int
    notice: str = ""
    """What the reader should know."""

    def __repr__(self) -> str:
        return f"{self.text} ({len(self.document):,} characters of HTML)" + (
            f": {self.notice}" if self.notice else ""
        )

    def plain(self) -> str:
        """What there is, where it cannot be shown."""
        return repr(self)

    def node(self) -> Node:
        """The frame, and the notice under it."""
        notice = el("p", {"style": theme.NOTE}, user_text(self.notice)) if self.notice else None
        return el(
            "div", {"style": theme.BOX}, frame(self.document, self.text, self.height_px), notice
        )

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, which a browser opens; a folder that is not there is made."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.document, encoding="utf-8")
        return file
