"""Python as --code shows it."""

from __future__ import annotations

__all__ = ["PlainText", "Source", "python_call"]


class PlainText(str):
    """Text, such as Python source, that a notebook shows as it is instead of as a quoted string."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Source:
    """An expression of the notebook, as `python_call` writes it."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __repr__(self) -> str:
        return self.source


def python_call(
    imports: str, function: str, *arguments: object, assign: str = "result", **options: object
) -> str:
    """The source of one call: `from llm_magics import f` and `assign = f(…)`; options that are None
    are left out."""
    shown = [repr(argument) for argument in arguments]
    shown += [f"{key}={value!r}" for key, value in options.items() if value is not None]
    return f"{imports}\n\n{assign} = {function}({', '.join(shown)})"
