"""A bench for language models inside a notebook: use them, train them, look inside them.

    %load_ext llm_magics        then  %llm  lists what there is

The same work without IPython: `from llm_magics import translate, summarize, train`. Every public
name is looked up when it is first asked for, so that importing this package loads neither torch nor
transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llm_magics import errors
    from llm_magics.api import (
        ask,
        ask_each,
        bertviz,
        compare_each,
        compare_models,
        explore_attention,
        find_lr,
        generate,
        generate_each,
        next_word,
        plan,
        predict,
        predict_each,
        recommend,
        summarize,
        summarize_each,
        train,
        translate,
        translate_each,
        tune,
        understand,
        understand_each,
    )
    from llm_magics.errors import LLMMagicsError
    from llm_magics.magics.panels.models import model_panel
    from llm_magics.magics.panels.playground import playground
    from llm_magics.rows.rows import RowError, Rows
    from llm_magics.session import Session, current_session
    from llm_magics.tasks.ask.result import Answers
    from llm_magics.tasks.compare import Comparison
    from llm_magics.tasks.generate.result import Generated
    from llm_magics.tasks.predict import NextWord
    from llm_magics.tasks.results import Summary, Translation
    from llm_magics.tasks.understand.result import Understanding

    __version__: str

__all__ = [
    "Answers",
    "Comparison",
    "Generated",
    "LLMMagicsError",
    "NextWord",
    "RowError",
    "Rows",
    "Session",
    "Summary",
    "Translation",
    "Understanding",
    "__version__",
    "ask",
    "ask_each",
    "bertviz",
    "compare_each",
    "compare_models",
    "current_session",
    "errors",
    "explore_attention",
    "find_lr",
    "generate",
    "generate_each",
    "load_ipython_extension",
    "model_panel",
    "next_word",
    "plan",
    "playground",
    "predict",
    "predict_each",
    "recommend",
    "summarize",
    "summarize_each",
    "train",
    "translate",
    "translate_each",
    "tune",
    "understand",
    "understand_each",
    "unload_ipython_extension",
]

_HOMES = {
    "api": (
        "ask",
        "ask_each",
        "bertviz",
        "compare_each",
        "compare_models",
        "explore_attention",
        "find_lr",
        "generate",
        "generate_each",
        "next_word",
        "plan",
        "predict",
        "predict_each",
        "recommend",
        "summarize",
        "summarize_each",
        "train",
        "translate",
        "translate_each",
        "tune",
        "understand",
        "understand_each",
    ),
    "errors": ("LLMMagicsError",),
    "magics.panels.models": ("model_panel",),
    "magics.panels.playground": ("playground",),
    "rows.rows": ("RowError", "Rows"),
    "session": (
        "Session",
        "current_session",
    ),
    "tasks.ask.result": ("Answers",),
    "tasks.compare": ("Comparison",),
    "tasks.generate.result": ("Generated",),
    "tasks.predict": ("NextWord",),
    "tasks.results": ("Summary", "Translation"),
    "tasks.understand.result": ("Understanding",),
}
"""Module → the public names that it holds; those imported above for type checkers."""


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by `%load_ext llm_magics`: registers magics, completion and settings; loads no
    model."""
    from llm_magics.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Called by `%unload_ext llm_magics`: takes all of it back and frees the memory of the
    models."""
    from llm_magics.extension import unload

    unload(shell)


def _look_up(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        from llm_magics.extras import DISTRIBUTION

        return version(DISTRIBUTION)
    if name == "errors":
        return import_module("llm_magics.errors")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"llm_magics.{home}"), name)
    raise AttributeError(
        f"module 'llm_magics' has no attribute {name!r}; public names: {', '.join(__all__)}"
    )


if not TYPE_CHECKING:  # for a type checker a name that is not imported above is an error

    def __getattr__(name: str) -> object:
        value = globals()[name] = _look_up(name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
