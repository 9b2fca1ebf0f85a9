"""Models at an endpoint through the magics: configured once, used by every task, and one line when
something is wrong."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from IPython.core.error import UsageError

import llm_magics
from llm_magics.errors import EndpointError, WrongTask
from llm_magics.session import current_session

_place = Path(__file__).parents[1] / "models" / "badly_behaved.py"
_spec = importlib.util.spec_from_file_location("badly_behaved", _place)
bad = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bad)
KEY = "sk-canary-0123456789"
TEXT = "The Danube rises in the Black Forest. It flows into the Black Sea."


@pytest.fixture
def server(cells, monkeypatch):
    """A server, configured as the endpoint of the shell."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with bad.running() as server:
        monkeypatch.setenv("LLM_MAGICS_ENDPOINT", server.url)
        monkeypatch.setenv("LLM_MAGICS_API_KEY", KEY)
        cells.run(f"%config LLM.endpoint = {server.url!r}")
        yield server


def line_of(cells, cell, of=EndpointError):
    """What the cell shows of its error: one line."""
    with pytest.raises(of) as caught:
        cells.run(cell)
    shown = (
        caught.value._render_traceback_()
        if of is not UsageError
        else [f"UsageError: {caught.value}"]
    )
    assert len(shown) == 1
    assert "\n" not in shown[0]
    return shown[0]


def test_every_task_that_writes_works_over_an_endpoint(cells, server):
    server.acts = [bad.says("Here is the translation:\n\n", "„Guten Tag.“")]
    result = cells.run("%translate --to de --model openai:tiny Good day.")
    assert result.text == "Guten Tag."
    assert result.provenance.model == "openai:tiny"
    server.acts = [bad.says("- One point.\n", "- Another point.")]
    summary = cells.run(f"%summarize --style bullets --model openai:tiny {TEXT}")
    assert summary.sentences == ("One point.", "Another point.")
    server.acts = [bad.says("In the Black Forest ", "[1].")]
    answers = cells.run(f"%%ask --model openai:tiny\n{TEXT}\n---\nWhere does the Danube rise?")
    assert answers[0].text == "In the Black Forest."
    assert answers[0].evidence[0].text == "The Danube rises in the Black Forest."
    server.acts = [bad.says("Once upon", " a time")]
    written = cells.run("%generate --model openai:tiny --seed 3 --n 2 --stop time Tell a tale.")
    assert [one.text for one in written.candidates] == ["Once upon a"] * 2
    for shown in (result, summary, answers, written):
        data, about = shown._repr_mimebundle_()
        assert KEY not in json.dumps([data, about])
    assert {headers["Authorization"] for _, headers, _ in server.requests} == {f"Bearer {KEY}"}


def test_plain_python_takes_an_address_too(server):
    server.acts = [bad.says("Guten Tag.")]
    assert llm_magics.translate("Good day.", target="de", model="openai:tiny").text == "Guten Tag."
    with bad.running() as other:
        other.acts = [bad.says("Tag!")]
        options = {"endpoint": other.url}
        assert (
            llm_magics.translate(
                "Good day.", target="de", model="openai:tiny", load_options=options
            ).text
            == "Tag!"
        )
        assert "Authorization" not in other.requests[0][1]


def test_rows_are_translated_over_an_endpoint_and_a_bad_one_is_left_out(cells, server):
    server.acts = [bad.echoes]
    cells.shell.user_ns["rows"] = ["Good day.", "", 7, "Good night."]
    found = cells.run("%translate --to de --model openai:tiny --each rows")
    assert [row is None for row in found.texts] == [False, True, True, False]
    assert found.texts[3].endswith("Good night.")


@pytest.mark.parametrize(
    "cell", ["%predict --model openai:tiny A text", "%attention openai:tiny A text"]
)
def test_what_needs_weights_says_so_in_one_line(cells, server, cell):
    assert "only writes text" in line_of(cells, cell, of=WrongTask)
    assert server.requests == []


def test_what_fails_at_the_endpoint_is_one_line_and_the_model_stays_usable(cells, server):
    server.acts = [bad.refuses(401)]
    assert "LLM_MAGICS_API_KEY" in line_of(
        cells, "%translate --to de --model openai:tiny Good day."
    )
    server.acts = [bad.refuses(404, "model 'tiny' not found")]
    server.gets = [bad.serves("other")]
    assert "it has other" in line_of(
        cells, "%translate --to de --model openai:tiny Good day.", of=UsageError
    )
    server.acts = [lambda h: h.events("garbage")]
    assert "no chat completion" in line_of(
        cells, "%translate --to de --model openai:tiny Good day."
    )
    assert current_session().manager.check() == []
    server.acts = [bad.says("Guten Tag.")]
    assert cells.run("%translate --to de --model openai:tiny Good day.").text == "Guten Tag."


def test_models_shows_what_is_at_the_endpoint(cells, server):
    assert cells.run("%models load openai:tiny").rows[0][:3] == (
        "openai:tiny",
        "chat",
        server.url.removesuffix("/v1"),
    )
    assert server.requests == []
    about = dict(cells.run("%models info openai:tiny").rows)
    assert about["kind"] == "causal"
    server.gets = [bad.serves("tiny", "big:70b")]
    assert [row[0] for row in cells.run("%models remote").rows] == ["openai:tiny", "openai:big:70b"]
    _, matches = cells.shell.complete("%translate --model openai:b")
    assert any(match.endswith("openai:big:70b") for match in matches)
    assert "takes no model" in cells.refusal("%models remote openai:tiny")
    cells.run(str(cells.run("%models remote --code")))
    assert [model.name for model in cells.shell.user_ns["models"]] == ["tiny", "big:70b"]
    assert cells.run("%models unload openai:tiny").rows == ()


def test_a_dry_run_says_where_the_text_would_go_and_sends_nothing(cells, server):
    table = cells.run("%translate --to de --model openai:tiny --dry-run Good day.")
    assert f"sent to {server.url}, with the key in LLM_MAGICS_API_KEY" in table.text()
    assert KEY not in table.text()
    assert server.requests == []


def test_an_address_that_cannot_be_used_is_refused_when_it_is_set(cells, server, caplog):
    for address in ("nowhere", "http://169.254.169.254/latest", "http://me:hunter2@host/v1"):
        caplog.clear()
        cells.run(
            f"%config LLM.endpoint = {address!r}"
        )  # IPython shows the reason as an error line of its own
        shown = (
            caplog.text
            + cells.refusal("%translate --to de --model openai:tiny Good day.")
            + repr(current_session())
        )
        assert (
            shown.count("such as http://127.0.0.1:8000/v1") == 2
            or shown.count("no user or password") == 2
        )
        assert "hunter2" not in shown
        caplog.clear()
        cells.run("%config LLM.target_language = 'de'")
        assert caplog.text == ""
    assert server.requests == []  # though the environment names it
    cells.run(f"%config LLM.endpoint = {server.url!r}")
    cells.run("%config LLM.endpoint_deadline_s = 7.0")
    assert current_session().endpoint.deadline_s == 7.0
    cells.run("%config LLM.endpoint_deadline_s = -1.0")
    assert "deadline_s" in caplog.text
    cells.run("%config LLM.endpoint = ''")
    assert current_session().endpoint is None


def test_without_an_endpoint_the_line_says_how_to_set_one(cells, monkeypatch):
    for name in ("LLM_MAGICS_ENDPOINT", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert "%config LLM.endpoint" in cells.refusal(
        "%translate --to de --model openai:tiny Good day."
    )


def test_loading_the_extension_with_an_address_in_the_configuration_tells_the_session(home):
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell(
        config=Config({"LLM": {"endpoint": "http://127.0.0.1:9/v1", "endpoint_deadline_s": 5.0}})
    )
    shell.run_line_magic("load_ext", "llm_magics")
    try:
        assert (current_session().endpoint.url, current_session().endpoint.deadline_s) == (
            "http://127.0.0.1:9/v1",
            5.0,
        )
    finally:
        shell.run_line_magic("unload_ext", "llm_magics")
    assert current_session().endpoint is None
