"""Where the files of the browser halves lie, some of which Python reads, too (colours, views).

A wheel holds them in `llm_magics/widgets/static/`; a checkout and an editable install read
`widgets/` at the top of the repository.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["CHECKOUT", "INSTALLED", "read_json", "read_text"]

INSTALLED = Path(__file__).parents[1] / "widgets" / "static"
CHECKOUT = Path(__file__).parents[2] / "widgets"


def read_text(file: str) -> str:
    """The text of a file such as `"attention/frame.js"`. Raises `FileNotFoundError` when it is not
    installed."""
    for folder in (INSTALLED, CHECKOUT):
        if (folder / file).is_file():
            return (folder / file).read_text(encoding="utf-8")
    raise FileNotFoundError(
        f"{file}, a part of a widget's browser half, is neither in {INSTALLED} nor in {CHECKOUT}: "
        "install llm_magics again, from a wheel or with pip install -e"
    )


def read_json(file: str) -> Any:
    """The values in a file such as `"attention/views.json"`, the same ones that JavaScript
    imports. Raises `FileNotFoundError` when it is not installed."""
    return json.loads(read_text(file))
