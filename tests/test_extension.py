"""Loading, unloading and reloading in a real shell."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from llm_magics.extension import loaded
from llm_magics.magics import MAGICS


@pytest.fixture
def shell():
    shell = InteractiveShell()
    shell.run_line_magic(
        "unload_ext", "llm_magics"
    )  # IPython itself imports what it needs for this only now
    shell.run_cell("%lsmagic", silent=True)
    yield shell
    shell.run_line_magic("unload_ext", "llm_magics")


def traces(shell):
    """Everything an extension could leave behind, in a form that can be compared."""
    manager = shell.magics_manager
    return {
        "line": set(manager.magics["line"]),
        "cell": set(manager.magics["cell"]),
        "registry": set(manager.registry),
        "user magics": set(vars(manager.user_magics)),
        "configurables": len(shell.configurables),
        "matchers": len(shell.Completer.custom_matchers),
        "shell": {name for name in vars(shell) if "llm" in name},
        "events": {name: len(callbacks) for name, callbacks in shell.events.callbacks.items()},
        "threads": threading.active_count(),
        "hooks": shell.custom_exceptions,
        "names": set(shell.user_ns),
    }


def test_loading_registers_every_magic_of_the_table_in_both_forms(shell):
    shell.run_line_magic("load_ext", "llm_magics")
    for name in MAGICS:
        assert shell.find_line_magic(name) is not None
        assert shell.find_cell_magic(name) is shell.find_line_magic(name)
    assert loaded(shell)


def test_loading_prints_nothing(shell):
    with capture_output() as captured:
        shell.run_line_magic("load_ext", "llm_magics")
    assert (captured.stdout, captured.stderr, captured.outputs) == ("", "", [])


def test_loading_twice_is_loading_once(shell):
    from llm_magics import load_ipython_extension

    load_ipython_extension(shell)
    once = traces(shell)
    load_ipython_extension(shell)
    assert traces(shell) == once


def test_unloading_leaves_no_trace(shell):
    before = traces(shell)
    shell.run_line_magic("load_ext", "llm_magics")
    shell.run_cell("%translate -h", silent=True)
    shell.run_line_magic("unload_ext", "llm_magics")
    assert traces(shell) == before


def test_unloading_twice_or_without_loading_is_no_error(shell):
    from llm_magics import unload_ipython_extension

    before = traces(shell)
    unload_ipython_extension(shell)
    unload_ipython_extension(shell)
    assert traces(shell) == before


def test_a_hundred_reloads_leave_what_one_load_leaves(shell):
    shell.run_line_magic("load_ext", "llm_magics")
    once = traces(shell)
    for _ in range(100):
        shell.run_line_magic("reload_ext", "llm_magics")
    assert traces(shell) == once


def test_a_magic_of_the_user_comes_back_after_unloading(shell):
    def train(line, cell=None):
        return "mine"

    shell.register_magic_function(train, "line", "train")
    shell.run_line_magic("load_ext", "llm_magics")
    assert shell.find_line_magic("train") is not train
    shell.run_line_magic("unload_ext", "llm_magics")
    assert shell.run_line_magic("train", "") == "mine"
    assert shell.find_cell_magic("train") is None


def test_a_magic_registered_over_ours_stays_after_unloading(shell):
    def train(line, cell=None):
        return "theirs"

    shell.run_line_magic("load_ext", "llm_magics")
    shell.register_magic_function(train, "line", "train")
    shell.run_line_magic("unload_ext", "llm_magics")
    assert shell.run_line_magic("train", "") == "theirs"


def test_settings_are_reached_through_config(shell):
    shell.run_line_magic("load_ext", "llm_magics")
    shell.run_cell("%config LLM.target_language = 'fr'")
    with capture_output() as captured:
        shell.run_cell("%config LLM")
    assert "'fr'" in captured.stdout


def test_a_new_process_loads_without_torch_output_or_network():
    code = textwrap.dedent("""
        import socket, sys
        def refuse(*args, **kwargs):
            raise AssertionError("network")
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        socket.socket.connect = socket.getaddrinfo = refuse
        shell.run_line_magic("load_ext", "llm_magics")
        heavy = {"torch", "transformers", "numpy", "ipywidgets", "anywidget", "tokenizers", "huggingface_hub"}
        sys.exit(",".join(sorted(heavy & set(sys.modules))) or 0)
    """)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
