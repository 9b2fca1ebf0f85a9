"""A line that ends with a question mark is a request for help to IPython, also `%ask Who wrote
it?`.

IPython's help takes `%ask …?` before the magic sees it, and says that the last word of the question
was not found. This transformer writes such lines as the call that IPython would make of them
without the question mark. `%ask?` and `%ask??` still show the help.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

__all__ = ["make_transformer"]


def make_transformer(names: Iterable[str]):
    """An entry for IPython's line transforms, after that of cell magics: keeps questions on lines
    of the magics `names`."""
    line = re.compile(
        rf"(?P<before>[ \t]*(?:[A-Za-z_][\w.,\[\] \t]*=[ \t]*)?)%(?P<name>{'|'.join(map(re.escape, names))})"  # noqa: E501  a table or a pattern
        r"[ \t]+(?P<text>\S.*\?)[ \t]*(?P<end>\r?\n?)"
    )

    def keep_questions(lines: list[str]) -> list[str]:
        found = [line.fullmatch(one) for one in lines]
        if not any(found) or _is_python("".join(lines)):
            return lines
        return [
            one
            if match is None
            else (
                f"{match['before']}get_ipython().run_line_magic({match['name']!r}, "
                f"{match['text'].rstrip()!r}){match['end']}"
            )
            for one, match in zip(lines, found, strict=True)
        ]

    return keep_questions


def _is_python(text: str) -> bool:
    """Whether it can be read as Python as it stands: then such a line is part of a string."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
