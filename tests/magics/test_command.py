"""What all magics share: where errors get their final form, and what is left behind after one."""

from __future__ import annotations

import gc
import weakref

import pytest
from IPython.core.error import UsageError

from llm_magics.errors import BrokenModel, EmptyInput, ModelNotFound, RunError
from llm_magics.magics.core.command import Command
from llm_magics.magics.core.interrupt import Interrupted
from llm_magics.magics.core.python_source import PlainText, python_call
from llm_magics.magics.rows import Source


class Failing(Command):
    name = "failing"
    summary = "Fails."
    text = "TEXT"
    cell = "TEXT"

    def __init__(self, error, held=None):
        self.error, self.held = error, held

    def run(self, call):
        held = self.held() if self.held else None  # stands for a tensor in a frame of the traceback
        try:
            raise ValueError(f"the cause, with {held}")
        except ValueError as cause:
            raise self.error from cause


class Tensor:
    pass


@pytest.mark.parametrize(
    "error", [EmptyInput("nothing\nthere"), ModelNotFound("no \ud800 such model")]
)
def test_wrong_input_becomes_exactly_a_usage_error_of_one_line(cells, error):
    with pytest.raises(UsageError) as caught:
        Failing(error).answer(cells.shell, "", "text\n", {})
    assert type(caught.value) is UsageError
    assert len(str(caught.value).splitlines()) == 1
    str(caught.value).encode()


def test_what_goes_wrong_while_working_stays_itself_without_its_frames(cells):
    kept = []

    def hold():
        tensor = Tensor()
        kept.append(weakref.ref(tensor))
        return tensor

    with pytest.raises(BrokenModel, match="bad file") as caught:
        Failing(BrokenModel("bad file"), hold).answer(cells.shell, "", "text\n", {})
    gc.collect()
    assert kept[0]() is None, "the error keeps what the failed work had in memory"
    assert caught.value.__cause__ is None
    assert caught.value._render_traceback_() == ["BrokenModel: bad file"]


def test_a_notebook_sees_one_line_and_an_error(cells):
    shown = RunError("held by \ud800 process")._render_traceback_()
    assert shown == ["RunError: held by \ufffd process"]
    assert Interrupted("stopped")._render_traceback_() == ["Interrupted: stopped"]
    assert issubclass(Interrupted, KeyboardInterrupt)


def test_generated_python_leaves_out_what_was_not_given():
    code = python_call(
        "from llm_magics import translate", "translate", 'it\'s "quoted"', target="de", model=None
    )
    assert code == (
        "from llm_magics import translate\n\nresult = translate('it\\'s \"quoted\"', target='de')"
    )
    assert python_call("import x", "x.f", Source('df["a"]'), assign="y").endswith(
        'y = x.f(df["a"])'
    )
    assert repr(PlainText("a\nb")) == "a\nb"
