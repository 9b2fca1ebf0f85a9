"""What a public function looks like to `help()` and Shift-Tab, and what it says to a misspelt
argument."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import ParamSpec, TypeVar

__all__ = ["public", "whole_signature"]

P = ParamSpec("P")
R = TypeVar("R")


def public(
    function: Callable[P, R],
    *options_of: Callable[..., object],
    defaults: Mapping[str, Callable[[], object]] = MappingProxyType({}),
    without: Collection[str] = (),
    name: str = "",
) -> Callable[P, R]:
    """`function` as `llm_magics` offers it: a misspelt keyword is answered with the nearest name.

    An argument of `defaults` that is left out, or None, is what its function returns. `options_of`:
    the functions whose keywords, all but those of `without`, `function` takes as `**options`; its
    signature then shows them. `name`: where it is offered by another. Type checkers see the
    signature of `function` itself.
    """
    signature = whole_signature(function, *options_of, without=without)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        _check_names(wrapper.__name__, signature, kwargs)
        for name, default in defaults.items():
            if kwargs.get(name) is None:
                kwargs[name] = default()
        return function(*args, **kwargs)

    wrapper.__module__ = "llm_magics"
    wrapper.__name__ = wrapper.__qualname__ = name or function.__name__
    wrapper.__dict__["__signature__"] = signature
    return wrapper


def whole_signature(
    function: Callable[..., object],
    *options_of: Callable[..., object],
    without: Collection[str] = (),
) -> inspect.Signature:
    """The signature of `function` with the keywords of `options_of` in the place of `**options`."""
    signature = inspect.signature(function)
    if not options_of:
        return signature
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    known = {one.name for one in own}
    more = {
        one.name: one
        for other in options_of
        for one in inspect.signature(other).parameters.values()
        if one.kind is one.KEYWORD_ONLY and one.name not in known and one.name not in without
    }
    return signature.replace(parameters=[*own, *more.values()])


def _check_names(function: str, signature: inspect.Signature, given: Mapping[str, object]) -> None:
    """TypeError for a keyword that the function does not take, with the nearest that it does."""
    known = signature.parameters
    if any(one.kind is one.VAR_KEYWORD for one in known.values()):
        return
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(known)}"
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}; {hint}")
