"""A cell in two parts, divided by a line of three dashes."""

from __future__ import annotations

__all__ = ["SEPARATOR", "split_at_rule"]

SEPARATOR = "---"


def split_at_rule(text: str) -> tuple[str, str | None]:
    """(what is above the first line `---`, what is below), both stripped; below is None where there
    is no such line."""
    lines = text.split("\n")
    rule = next((i for i, line in enumerate(lines) if line.strip() == SEPARATOR), None)
    if rule is None:
        return text.strip(), None
    return "\n".join(lines[:rule]).strip(), "\n".join(lines[rule + 1 :]).strip()
