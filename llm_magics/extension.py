"""Loading and unloading in an IPython shell: magics, completion and settings in, and all of it out
again.

Loading registers names only. The module behind a magic is imported when the magic is first used, so
that `%load_ext llm_magics` costs milliseconds, opens no file of a model and touches no network.
"""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Callable
from typing import TYPE_CHECKING

from IPython.core.magic import needs_local_scope, no_var_expand

from llm_magics.magics import MAGICS, find_command
from llm_magics.magics.core.completion import make_matcher
from llm_magics.magics.core.questions import make_transformer
from llm_magics.magics.settings import LLM

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load", "loaded", "unload"]

_KINDS = ("line", "cell")
_ABSENT = object()


class _Installation:
    """What one `load` put into a shell, and what stood there before."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.before: dict[tuple[str, str], object] = {}
        self.functions = {name: _magic_function(shell, name) for name in MAGICS}
        self.settings = LLM(parent=shell)
        self.matcher = make_matcher(shell)
        self.questions = make_transformer(MAGICS)


# A strong reference to the shell would keep it alive; the attribute of the shell dies with it.
_ATTRIBUTE = "_llm_magics_installation"


def loaded(shell: InteractiveShell) -> bool:
    """Whether the extension is loaded in `shell`."""
    return hasattr(shell, _ATTRIBUTE)


def load(shell: InteractiveShell) -> None:
    """Register everything in `shell`; a second call changes nothing."""
    if loaded(shell):
        return
    installation = _Installation(shell)
    for name, function in installation.functions.items():
        for kind in _KINDS:
            installation.before[kind, name] = shell.magics_manager.magics[kind].get(name, _ABSENT)
        shell.register_magic_function(function, "line_cell", name)
    shell.configurables.append(installation.settings)
    if getattr(shell, "Completer", None) is not None:
        shell.Completer.custom_matchers.append(installation.matcher)
    shell.input_transformer_manager.line_transforms.append(installation.questions)
    setattr(shell, _ATTRIBUTE, installation)


def unload(shell: InteractiveShell) -> None:
    """Take back everything `load` put into `shell`, put back what stood there, and free the models.

    A magic of the same name that somebody registered in between stays. A training in the background
    goes on.
    """
    installation = getattr(shell, _ATTRIBUTE, None)
    if installation is None:
        return
    delattr(shell, _ATTRIBUTE)
    for name, function in installation.functions.items():
        _restore_magic(shell, name, function, installation.before)
    shell.configurables[:] = [
        item for item in shell.configurables if item is not installation.settings
    ]
    if getattr(shell, "Completer", None) is not None:
        matchers = shell.Completer.custom_matchers
        matchers[:] = [matcher for matcher in matchers if matcher is not installation.matcher]
    transformers = shell.input_transformer_manager.line_transforms
    transformers[:] = [
        transformer for transformer in transformers if transformer is not installation.questions
    ]
    _free_models()


def _restore_magic(shell: InteractiveShell, name: str, function: Callable, before: dict) -> None:
    for kind in _KINDS:
        table = shell.magics_manager.magics[kind]
        if table.get(name) is function:
            if before[kind, name] is _ABSENT:
                del table[name]
            else:
                table[name] = before[kind, name]
    user_magics = shell.magics_manager.user_magics
    if vars(user_magics).get(name) is function:
        delattr(user_magics, name)


def _free_models() -> None:
    """Free the models, if a session was ever opened; importing the session only to close it would
    be work.

    While a training runs, its session stays, so that `%reload_ext` does not end it.
    """
    module = sys.modules.get("llm_magics.session")
    if module is None:
        return
    session = module.current_session()
    if all(run.done for run in (*session.training.values(), *session.tuning.values())):
        module.close_current_session()
        return
    for row in session.manager.rows():
        if row.state in ("idle", "pinned"):
            session.manager.unload(row.name)


def _magic_function(shell: InteractiveShell, name: str) -> Callable:
    """The function IPython calls for `%name` and `%%name`."""

    def magic(line: str, cell: str | None = None, local_ns: dict | None = None) -> object:
        scope = ChainMap(local_ns or {}, shell.user_ns)
        return find_command(name).answer(shell, line, cell, scope)

    magic.__name__ = magic.__qualname__ = name
    magic.__doc__ = f"Part of llm_magics; %{name} -h shows its options."
    magic.getdoc = lambda: find_command(name).help()  # what IPython shows for %name?
    # An expression on the line may name a local variable; prose may contain {braces} and $5.
    return no_var_expand(needs_local_scope(magic))
