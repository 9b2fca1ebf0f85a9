"""The tree drawn in the docstring of `errors` is the tree of classes, and every message can be
shown."""

from __future__ import annotations

import inspect
import re

import pytest

from llm_magics import errors

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value)
    and issubclass(value, Exception)
    and value.__module__ == errors.__name__
}


def drawn_tree():
    """Class → parent as the docstring draws it: four columns of line drawing are one level."""
    parents, above = {}, []
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ((?:[│├└─]|  )[│├└─ ]*)?([A-Z]\w+)(?:\s{2,}|$)", line)
        if not match:
            continue
        level = len(match[1] or "") // 4
        del above[level:]
        parents[match[2]] = above[-1] if above else "Exception"
        above.append(match[2])
    return parents


def test_the_drawn_tree_is_the_tree_of_classes():
    assert drawn_tree() == {name: cls.__bases__[0].__name__ for name, cls in CLASSES.items()}


def test_everything_public_is_in_all_and_sorted():
    assert set(errors.__all__) == {*CLASSES, "printable", "type_of"}
    assert errors.__all__ == sorted(errors.__all__, key=str)


@pytest.mark.parametrize("cls", CLASSES.values(), ids=lambda cls: cls.__name__)
def test_a_message_is_always_printable_and_shown_as_one_line(cls):
    error = cls("half a character \ud800, NUL \x00, an escape \x1b[31m")
    str(error).encode("utf-8")
    assert error._render_traceback_() == [
        f"{cls.__name__}: half a character \ufffd, NUL \ufffd, an escape \ufffd[31m"
    ]
    assert cls.__doc__


def test_printable_keeps_every_offset_and_what_people_write():
    text = "tab\t line\n, café, 中文, עברית, 👩\u200d👧"
    assert errors.printable(text) == text
    assert len(errors.printable("a\ud800\x00b")) == 4
