"""What `llm_magics` offers without IPython."""

from __future__ import annotations

import ast
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


FUNCTIONS = {
    "ask": "questions context language count model num_beams stop",
    "ask_each": "rows context column language count model",
    "bertviz": "model text second view layer head anyway",
    "compare_each": "task rows models target max_words",
    "compare_models": "task text models target max_words",
    "explore_attention": "model text second against against_text write checkpoints",
    "find_lr": "recipe model data task source target fields overrides",
    "generate": "text temperature top_p top_k seed max_tokens max_new_tokens stop",
    "generate_each": "rows column out_file temperature max_tokens max_new_tokens stop",
    "next_word": "text count model",
    "plan": "task model text source target recipe",
    "predict": "text count model",
    "predict_each": "rows column count model",
    "recommend": "task source target",
    "summarize": "text max_words style language model",
    "summarize_each": "rows column max_words style language model",
    "train": "recipe model data task source target overrides on_event",
    "translate": "text target source model glossary keep stop",
    "translate_each": "rows column target source model glossary keep stop",
    "tune": "document name trials metric hours",
    "understand": "text show labels count language model",
    "understand_each": "rows column show labels count language model",
}


def test_the_table_of_functions_is_that_of_the_api():
    from llm_magics import api

    assert sorted(FUNCTIONS) == api.__all__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_shows_its_parameters_and_explains_itself(name):
    function = getattr(llm_magics, name)
    signature = inspect.signature(function)
    assert set(FUNCTIONS[name].split()) <= set(signature.parameters)
    takes_anything = any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())
    assert takes_anything == (name == "plan")  # what makes no difference to a plan is left aside
    assert (function.__name__, function.__module__) == (name, "llm_magics")
    assert len(function.__doc__) > 100
    assert not function.__doc__.startswith("See ")


@pytest.mark.parametrize(
    ("name", "given", "wrong", "meant"),
    [
        ("translate", ["x"], "tagret", "target"),
        ("summarize", ["x"], "max_wrods", "max_words"),
        ("summarize_each", [["x"]], "stlye", "style"),
        ("generate", ["x"], "temprature", "temperature"),
        ("train", [], "overides", "overrides"),
        ("next_word", ["x"], "cuont", "count"),
        ("compare_models", ["summarize", "x", ["a", "b"]], "max_word", "max_words"),
    ],
)
def test_a_misspelt_keyword_is_a_type_error_that_names_the_nearest(name, given, wrong, meant):
    with pytest.raises(TypeError, match=f"{name}.*argument '{wrong}'; did you mean '{meant}'"):
        getattr(llm_magics, name)(*given, **{wrong: 1})


def test_a_keyword_near_to_none_gets_the_list():
    with pytest.raises(
        TypeError, match="unexpected keyword argument 'zzz'; it takes text, .*model"
    ):
        llm_magics.predict("x", zzz=1)


def test_what_is_imported_for_type_checkers_is_what_is_looked_up():
    tree = ast.parse(Path(llm_magics.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module.startswith("llm_magics.")
        for alias in node.names
    }
    homes = {
        (f"llm_magics.{home}", name) for home, names in llm_magics._HOMES.items() for name in names
    }
    assert typed == homes


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
        llm_magics.translate, llm_magics.train, llm_magics.explore_attention, llm_magics.Translation
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
