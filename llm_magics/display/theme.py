"""Colours, fonts and spacing, each named once; colours are the host's, with a fallback for hosts
that name none.

JupyterLab, Notebook 7 and nbconvert define `--jp-*`, VS Code `--vscode-*`. A picture inside `<img>`
sees neither, so `PICTURE_*` are middle tones that read on white (contrast 3.9 or more) as well as
on #111.
"""

from __future__ import annotations

INK = "var(--jp-ui-font-color1, var(--vscode-foreground, currentColor))"
MUTED = "var(--jp-ui-font-color2, var(--vscode-descriptionForeground, #767c85))"
LINE = "var(--jp-border-color2, var(--vscode-widget-border, rgba(128,128,128,.28)))"
FAINT = "var(--jp-layout-color2, var(--vscode-textCodeBlock-background, rgba(128,128,128,.1)))"
ACCENT = "var(--jp-brand-color1, var(--vscode-focusBorder, #2979d1))"
WARNING = "var(--jp-warn-color1, var(--vscode-editorWarning-foreground, #b26a00))"

FONT = "var(--jp-ui-font-family, var(--vscode-font-family, system-ui, sans-serif))"
MONO = "var(--jp-code-font-family, var(--vscode-editor-font-family, ui-monospace, monospace))"

LIGHT_1 = "rgba(41,121,209,.16)"
"""A word that was looked at a little."""
LIGHT_2 = "rgba(41,121,209,.32)"
LIGHT_3 = "rgba(41,121,209,.55)"
"""A word that was looked at most."""

PICTURE_INK = "#767c85"
PICTURE_LINE = "#8a9099"
PICTURE_SERIES = ("#2f7fc8", "#d2691e", "#1d9a6c", "#a55fb5", "#b8860b", "#cf4a5c")
PICTURE_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"

WIDTH = "72em"
"""Widest that text is set: beyond this two columns are tiring to read."""
BOX: dict[str, str] = {
    "color": INK,
    "font-family": FONT,
    "font-size": "13px",
    "line-height": "1.6",
    "max-width": WIDTH,
    "margin": "4px 0 8px",
}
"""The outermost box of anything we show."""
NOTE: dict[str, str] = {
    "color": MUTED,
    "font-size": "11px",
    "line-height": "1.5",
    "margin": "6px 0 0",
}
"""Provenance and remarks under a result."""
HEAD: dict[str, str] = {
    "color": MUTED,
    "font-size": "11px",
    "font-weight": "600",
    "letter-spacing": ".03em",
    "padding": "3px 16px 3px 0",
    "border": "0",
    "border-bottom": f"1px solid {LINE}",
    "background": "transparent",
}
"""A head cell of a table; add `text-align`."""
CELL: dict[str, str] = {
    "padding": "4px 16px 4px 0",
    "border": "0",
    "border-bottom": f"1px solid {LINE}",
    "vertical-align": "top",
    "background": "transparent",
    "white-space": "normal",
}
"""A body cell of a table; add `text-align`."""
