"""A bench for language models inside a notebook: use them, train them, look inside them.

    %load_ext llm_magics        then  %llm  lists what there is

The same work without IPython: `from llm_magics import translate, summarize, train`. Every public
name is looked up when it is first asked for, so that importing this package loads neither torch nor
transformers.
"""

from __future__ import annotations

from importlib import import_module

__all__ = [
    "LLMMagicsError",
    "Session",
    "__version__",
    "ask",
    "ask_each",
    "bertviz",
    "compare_each",
    "compare_models",
    "current_session",
    "errors",
    "explore_attention",
    "generate",
    "generate_each",
    "load_ipython_extension",
    "model_panel",
    "next_word",
    "playground",
    "predict",
    "predict_each",
    "summarize",
    "summarize_each",
    "train",
    "translate",
    "translate_each",
    "understand",
    "understand_each",
    "unload_ipython_extension",
]

_HOMES = {
    "LLMMagicsError": "errors",
    "Session": "session",
    "current_session": "session",
    "bertviz": "magics.attention",
    "explore_attention": "magics.attention",
    "next_word": "magics.predict",
    "model_panel": "magics.panels.models",
    "playground": "magics.panels.playground",
}
# Methods of the current session, as functions.
_OF_SESSION = (
    "ask",
    "ask_each",
    "compare_each",
    "compare_models",
    "generate",
    "generate_each",
    "predict",
    "predict_each",
    "summarize",
    "summarize_each",
    "train",
    "translate",
    "translate_each",
    "understand",
    "understand_each",
)


def load_ipython_extension(shell) -> None:
    """Called by `%load_ext llm_magics`: registers magics, completion and settings; loads no
    model."""
    from llm_magics.extension import load

    load(shell)


def unload_ipython_extension(shell) -> None:
    """Called by `%unload_ext llm_magics`: takes all of it back and frees the memory of the
    models."""
    from llm_magics.extension import unload

    unload(shell)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        from llm_magics.extras import DISTRIBUTION

        value: object = version(DISTRIBUTION)
    elif name == "errors":
        value = import_module("llm_magics.errors")
    elif name in _OF_SESSION:
        value = _session_function(name)
    elif name in _HOMES:
        value = getattr(import_module(f"llm_magics.{_HOMES[name]}"), name)
    else:
        raise AttributeError(
            f"module 'llm_magics' has no attribute {name!r}; public names: {', '.join(__all__)}"
        )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _session_function(name: str) -> object:
    """`Session.name` as a function that works on whichever session is current when it is called."""
    import functools
    import inspect

    from llm_magics import session

    method = getattr(session.Session, name)

    @functools.wraps(method)
    def function(*args: object, **kwargs: object) -> object:
        return getattr(session.current_session(), name)(*args, **kwargs)

    signature = inspect.signature(method)
    function.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
    function.__module__ = "llm_magics"
    function.__qualname__ = name
    return function
