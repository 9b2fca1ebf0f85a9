"""The name that pip knows this project by, and what installs one of its extras.

On PyPI `llm_magics` is somebody else's package with the same import name, so the distribution has a
name of its own: every hint is built here, and tests/test_extras.py reads them all.
"""

from __future__ import annotations

from importlib.util import find_spec

from llm_magics.errors import MissingExtra

__all__ = ["DISTRIBUTION", "install_hint", "is_installed", "require"]

DISTRIBUTION = "llm-magics-notebook"


def install_hint(*extras: str) -> str:
    """The command that installs the package with these extras, quoted for every shell.

    >>> install_hint("tune", "lora")
    "pip install 'llm-magics-notebook[tune,lora]'"
    """
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"


def is_installed(package: str) -> bool:
    """Whether `package` could be imported, without importing it."""
    return find_spec(package) is not None


def require(package: str, *, extra: str, what: str) -> None:
    """Raises MissingExtra, with the command that installs it, where `package` cannot be imported.

    `what` is the feature that needs it, as the beginning of the message.
    """
    if not is_installed(package):
        raise MissingExtra(f"{what} needs {package}, which is not installed: {install_hint(extra)}")
