import json
from dataclasses import dataclass

import pytest
from IPython.core.formatters import DisplayFormatter

from llm_magics.display.html import el
from llm_magics.display.result import Provenance, Result, mark_shown, provenance_note


@dataclass(frozen=True)
class Saying(Result):
    text: str
    provenance: Provenance

    def node(self):
        return el("p", {}, self.text, provenance_note(self.provenance))


@pytest.fixture
def saying():
    return Saying(
        "a <b>\ud800",
        Provenance(
            model="embedded:x",
            why="ships with us",
            seconds=2.0,
            tokens=50,
            parameters={"num_beams": 1, "p": float("nan"), "o": object},
        ),
    )


def shown(thing):
    return DisplayFormatter().format(thing)


def test_a_result_shows_text_html_and_provenance(saying):
    data, about = shown(saying)
    assert data["text/plain"] == "a <b>\ufffd"
    assert data["text/html"].startswith("<p>a &lt;b&gt;\ufffd<p")
    assert about["llm_magics"]["model"] == "embedded:x"
    assert about["llm_magics"]["tokens_per_s"] == 25.0
    assert json.dumps(about, allow_nan=False).encode("utf-8")


def test_the_text_itself_is_left_as_it_is(saying):
    assert str(saying) == "a <b>\ud800"


def test_a_result_marked_as_shown_swallows_exactly_one_display(saying):
    mark_shown(saying)
    assert shown(saying) == ({}, {})
    assert "text/html" in shown(saying)[0]


def test_marking_changes_nothing_one_can_compare(saying):
    twin = Saying(saying.text, saying.provenance)
    mark_shown(saying)
    assert saying == twin


def test_provenance_says_model_reason_time_and_speed(saying):
    assert saying.provenance.line() == "embedded:x · ships with us · 2.00 s · 25 tokens/s"
    assert Provenance(model="m").line() == "m"
    assert Provenance(model="m", tokens=3).tokens_per_s == 0.0


def test_versions_are_recorded_without_importing_anything(saying):
    assert set(saying.provenance.versions) <= {"llm_magics", "torch", "transformers", "tokenizers"}
    assert "transformers" in saying.provenance.versions
