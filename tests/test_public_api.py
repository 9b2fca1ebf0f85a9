"""What `llm_magics` offers without IPython."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from importlib import metadata
from pathlib import Path

import pytest

import llm_magics
from llm_magics.extras import DISTRIBUTION


def test_all_is_sorted_and_every_name_is_there():
    assert llm_magics.__all__ == sorted(llm_magics.__all__)
    for name in llm_magics.__all__:
        if name != "__version__":
            assert getattr(llm_magics, name) is not None
    assert set(llm_magics.__all__) <= set(dir(llm_magics))


def test_the_version_is_the_one_of_the_installed_package():
    try:
        installed = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        pytest.skip("llm_magics is not installed here; pip install -e .")
    assert llm_magics.__version__ == installed


def test_an_unknown_name_is_an_attribute_error_that_lists_the_known_ones():
    with pytest.raises(AttributeError, match="no attribute 'tranlate'; public names: .*translate"):
        llm_magics.tranlate  # noqa: B018 - reading it is the test


@pytest.mark.parametrize(
    "name", ["translate", "translate_each", "summarize", "summarize_each", "train"]
)
def test_functions_are_those_of_the_session_with_their_own_signature(name):
    function, method = getattr(llm_magics, name), getattr(llm_magics.Session, name)
    own, bound = inspect.signature(function), inspect.signature(method)
    assert list(own.parameters) == list(bound.parameters)[1:]
    assert function.__doc__ == method.__doc__
    assert function.__name__ == name


def test_functions_work_on_the_session_that_is_current():
    from llm_magics.session import close_current_session, current_session

    text = "One sentence stands here. Another one follows it. A third one ends the text."
    before = current_session()
    first = llm_magics.summarize(text, max_words=8, model="embedded:extractive")
    close_current_session()
    assert current_session() is not before
    assert llm_magics.summarize(text, max_words=8, model="embedded:extractive").text == first.text


def test_importing_the_package_and_asking_for_help_loads_no_torch():
    code = textwrap.dedent("""
        import sys, llm_magics
        llm_magics.errors, llm_magics.LLMMagicsError, llm_magics.current_session(), llm_magics.Session
        llm_magics.translate, llm_magics.train, llm_magics.explore_attention
        sys.exit(",".join({"torch", "transformers", "numpy", "anywidget"} & set(sys.modules)) or 0)
    """)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(llm_magics.__file__).parent.parent,
    )
    assert done.returncode == 0, done.stderr
