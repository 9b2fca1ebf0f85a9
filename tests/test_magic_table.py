"""The table of magics says what the modules hold; a failure prints the corrected table."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import pytest

import llm_magics.magics as package
from llm_magics.magics import MAGICS, find_command
from llm_magics.magics.core.command import COMMON, Command


def found_table():
    table = {}
    for path in sorted(Path(package.__file__).parent.rglob("*.py")):
        parts = path.relative_to(Path(package.__file__).parent).with_suffix("").parts
        if parts[-1] == "__init__":
            continue
        module = import_module(".".join(["llm_magics.magics", *parts]))
        for name, member in vars(module).items():
            if (
                inspect.isclass(member)
                and issubclass(member, Command)
                and member.__module__ == module.__name__
                and member.name
            ):
                table[member.name] = f"{'.'.join(parts)}:{name}"
    return dict(sorted(table.items()))


def test_the_table_names_every_command_there_is():
    expected = found_table()
    shown = (
        "MAGICS = {\n"
        + "".join(f'    "{name}": "{place}",\n' for name, place in expected.items())
        + "}"
    )
    assert expected == MAGICS, f"the table in magics/__init__.py should read\n{shown}"


@pytest.mark.parametrize("name", MAGICS)
def test_every_magic_has_help_with_examples_and_the_common_options(name):
    magic = find_command(name)
    text = magic.help()
    assert text.startswith(f"usage: %{name}")
    assert magic.examples
    assert all(line in text for example in magic.examples for line in example.splitlines())
    for option in (*COMMON, *magic.options):
        assert option.flag in text
        assert option.help


@pytest.mark.parametrize("name", MAGICS)
def test_no_option_of_a_magic_is_declared_twice(name):
    flags = [option.flag for option in find_command(name).all_options()]
    assert len(flags) == len(set(flags))


def test_an_option_means_the_same_in_every_magic():
    seen = {}
    for name in MAGICS:
        for option in find_command(name).all_options():
            shape = (bool(option.metavar), option.convert is str)
            assert seen.setdefault(option.flag, shape) == shape, (
                f"{option.flag} of %{name} takes another kind of value"
            )


TASKS = {
    "ask": "llm_magics.tasks.ask.task",
    "generate": "llm_magics.tasks.generate.task",
    "predict": "llm_magics.tasks.predict",
    "summarize": "llm_magics.tasks.summarize.task",
    "translate": "llm_magics.tasks.translate.task",
    "understand": "llm_magics.tasks.understand.task",
}


@pytest.mark.parametrize("name", TASKS)
def test_an_option_that_is_an_argument_has_the_default_of_the_function(name):
    parameters = inspect.signature(getattr(import_module(TASKS[name]), name)).parameters
    said = [option for option in find_command(name).options if option.argument]
    assert said
    for option in said:
        usual = parameters[option.argument].default
        if option.default is None:
            assert usual in (None, False, ()), f"{option.flag} of %{name} hides {usual!r}"
        else:
            assert option.default == usual, f"{option.flag} of %{name}"
