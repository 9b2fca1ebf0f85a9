"""What was read and what cleaning did to it, as one result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from llm_magics.display.html import Node
from llm_magics.display.progress import counted
from llm_magics.display.result import Result
from llm_magics.display.table import Table, table

__all__ = ["Report"]


@dataclass(frozen=True, repr=False)
class Report(Result):
    """What was read and what cleaning did, part by part; `parts` of validation and test only
    counts."""

    read: dict[str, int] = field(default_factory=dict)
    """Part → usable rows that were read."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Part → bad rows that reading left out."""
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Part → reason → rows, and "kept". A row counts under its first reason; only training rows are
    left out."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Reason → up to three training rows, shortened, with their places."""

    @property
    def text(self) -> str:
        """One line: rows read, and what was left out of training."""
        if not self.read:
            return "no rows were read"
        counts = dict(self.parts.get("train", {}))
        kept = counts.pop("kept", self.read.get("train", 0))
        said = [
            counted(kept, "training row"),
            *(f"{n:,} {part}" for part, n in self.read.items() if part != "train" and n),
        ]
        left_out = [
            *((reason, n) for reason, n in counts.items() if n),
            *((f"bad rows in {part}", n) for part, n in self.skipped.items() if n),
        ]
        return ", ".join(said) + (
            "; left out: " + ", ".join(f"{n:,} {reason}" for reason, n in left_out)
            if left_out
            else ""
        )

    def __repr__(self) -> str:
        return f"Report({self.text!r})"

    def plain(self) -> str:
        """The table, then examples of what was left out."""
        examples = [
            f"{reason}: {example}" for reason, some in self.examples.items() for example in some
        ]
        return "\n".join([self._table().text(), *examples])

    def node(self) -> Node:
        """The table; its caption holds an example of each reason."""
        return self._table(
            "; ".join(f"{reason}, e.g. {some[0]}" for reason, some in self.examples.items() if some)
        ).node()

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Report:
        """The report that `to_dict` wrote; names it does not know are passed over."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})

    def _table(self, caption: str = "") -> Table:
        parts = sorted(self.read, key=lambda part: part != "train")
        reasons = list(
            dict.fromkeys(
                reason for counts in self.parts.values() for reason in counts if reason != "kept"
            )
        )
        rows = [
            ["read", *(self.read[part] for part in parts)],
            *(
                [["bad rows", *(self.skipped.get(part, 0) for part in parts)]]
                if any(self.skipped.values())
                else []
            ),
            *(
                [reason, *(self.parts.get(part, {}).get(reason) for part in parts)]
                for reason in reasons
            ),
            ["kept", *(self.parts.get(part, {}).get("kept") for part in parts)],
        ]
        cells = [
            [name, *(None if n is None else f"{n:,}" for n in counts)] for name, *counts in rows
        ]
        return table(["rows", *parts], cells, caption=caption, align="l" + "r" * len(parts))
