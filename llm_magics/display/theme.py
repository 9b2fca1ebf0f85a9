"""Colours, fonts and spacing, each named once; colours are the host's, with a fallback for hosts
that name none.

JupyterLab, Notebook 7 and nbconvert define `--jp-*`, VS Code `--vscode-*`. A picture inside `<img>`
sees neither, so `PICTURE_*` are middle tones that read on white (contrast 3.9 or more) as well as
on #111.
"""

from __future__ import annotations

from llm_magics.display.browser_files import read_json

_PALETTE = read_json("shared/theme.json")  # the one that JavaScript imports, too

INK = "var(--jp-ui-font-color1, var(--vscode-foreground, currentColor))"
MUTED = f"var(--jp-ui-font-color2, var(--vscode-descriptionForeground, {_PALETTE['ink']}))"
LINE = "var(--jp-border-color2, var(--vscode-widget-border, rgba(128,128,128,.28)))"
FAINT = "var(--jp-layout-color2, var(--vscode-textCodeBlock-background, rgba(128,128,128,.1)))"
ACCENT = f"var(--jp-brand-color1, var(--vscode-focusBorder, {_PALETTE['accent']}))"
WARNING = f"var(--jp-warn-color1, var(--vscode-editorWarning-foreground, {_PALETTE['warning']}))"

FONT = "var(--jp-ui-font-family, var(--vscode-font-family, system-ui, sans-serif))"
MONO = "var(--jp-code-font-family, var(--vscode-editor-font-family, ui-monospace, monospace))"

LIGHT_1 = "rgba(41,121,209,.16)"
"""A word that was looked at a little."""
LIGHT_2 = "rgba(41,121,209,.32)"
LIGHT_3 = "rgba(41,121,209,.55)"
"""A word that was looked at most."""

PICTURE_INK: str = _PALETTE["ink"]
PICTURE_LINE: str = _PALETTE["line"]
PICTURE_SERIES: tuple[str, ...] = tuple(_PALETTE["series"]["picture"])
PICTURE_STATES: dict[str, str] = {
    state: PICTURE_LINE if number is None else PICTURE_SERIES[number]
    for state, number in _PALETTE["states"].items()
}
"""What a trial of a search can be, and the colour that goes with the word."""
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
