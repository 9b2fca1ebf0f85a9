"""Notebook variables named on a magic line: found, never evaluated as code.

An expression is a name with any number of `.attribute`, `[constant]` and `[a:b]` behind it: `rows`,
`df.text`, `df["text"]`, `data["train"]["de"][:100]`. Calls, operators and comprehensions are
refused.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from llm_magics.magics.core.options import suggestion, usage_error

__all__ = ["expand", "head_of", "look_up", "nearest", "variable_name"]


def look_up(expression: str, namespace: Mapping[str, object], prog: str) -> object:
    """The value of `expression` in `namespace`. Raises `UsageError` naming the part that is not
    there."""
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise usage_error(
            f"{prog}: {expression[:60]!r} is no variable, attribute or column "
            '(expected something like rows, df.text or df["text"])'
        ) from None
    return _value(tree, namespace, prog)


def head_of(expression: str) -> str:
    """The variable that an expression begins with: `df` of `df.text` and of `df["text"]`."""
    return re.split(r"[.\[]", expression, maxsplit=1)[0]


def nearest(name: str, namespace: Mapping[str, object]) -> str:
    """`; did you mean 'rows'?` for the variable whose name is nearest, or nothing."""
    return suggestion(name, (one for one in namespace if not one.startswith("_")))


def _value(tree: ast.expr, namespace: Mapping[str, object], prog: str) -> object:
    if isinstance(tree, ast.Name):
        if tree.id not in namespace:
            raise usage_error(
                f"{prog}: there is no variable {tree.id!r} in this notebook"
                f"{nearest(tree.id, namespace)}"
            )
        return namespace[tree.id]
    if isinstance(tree, ast.Attribute):
        owner = _value(tree.value, namespace, prog)
        return _take(lambda: getattr(owner, tree.attr), tree, prog)
    if isinstance(tree, ast.Subscript):
        owner, key = _value(tree.value, namespace, prog), _key(tree.slice, tree, prog)
        return _take(lambda: owner[key], tree, prog)
    raise usage_error(
        f"{prog}: {ast.unparse(tree)[:60]!r} would have to be computed; "
        "assign it to a variable and name that"
    )


def _key(tree: ast.expr, whole: ast.expr, prog: str) -> object:
    """A constant, a slice of constants or a list of constants, as the index it writes."""
    try:
        if isinstance(tree, ast.Slice):
            return slice(
                *(part and ast.literal_eval(part) for part in (tree.lower, tree.upper, tree.step))
            )
        return ast.literal_eval(tree)
    except ValueError:
        raise usage_error(
            f"{prog}: the index in {ast.unparse(whole)[:60]!r} must be a constant"
        ) from None


def _take(read, tree: ast.expr, prog: str) -> object:
    try:
        return read()
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise usage_error(f"{prog}: {ast.unparse(tree)[:60]!r} is not there ({why})") from None


def expand(value: str, namespace: Mapping[str, object], prog: str) -> str:
    """`{name}` or `$name` standing alone as the value of an option becomes what the variable holds,
    as text.

    Only option values are expanded, and only as a whole: text never is, so its braces survive.
    """
    match = re.fullmatch(r"\$([^\W\d]\w*)|\{([^{}]+)\}", value)
    if not match:
        return value
    return str(look_up(match[1] or match[2], namespace, prog))


def variable_name(text: str) -> str:
    """A converter for `--out`: a name that can be assigned to."""
    import argparse
    import keyword

    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name that can be assigned to")
    return text
