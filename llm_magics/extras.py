"""The name that pip knows this project by, and what installs one of its extras.

On PyPI `llm_magics` is somebody else's package with the same import name, so the distribution has a
name of its own: every hint is built here, and tests/test_extras.py reads them all.
"""

from __future__ import annotations

__all__ = ["DISTRIBUTION", "install_hint"]

DISTRIBUTION = "llm-magics-notebook"


def install_hint(*extras: str) -> str:
    """The command that installs the package with these extras, quoted for every shell.

    >>> install_hint("tune", "lora")
    "pip install 'llm-magics-notebook[tune,lora]'"
    """
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"
