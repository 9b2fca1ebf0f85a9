"""Panels of the task magics: the same path as the magic, with the result in the panel."""

import pytest

import llm_magics
from llm_magics.errors import InputError

SOURCES = "\n".join(f"The cat number {i} sleeps in the park." for i in range(3_000))


@pytest.fixture
def panel(cells, tiny_model):
    return cells.run(f"%translate --panel --to de --model {tiny_model} The cat sleeps.")


def test_the_panel_begins_with_what_the_line_says(panel, tiny_model):
    assert panel.texts == {"text": "The cat sleeps."}
    assert panel.values == {"to": "de", "model": str(tiny_model)}
    assert (panel.status, panel.result) == ("ready", None)


def test_the_panel_does_what_its_cell_and_its_python_do(panel, cells):
    result = panel.run()
    magic, _, text = panel.magic.partition("\n")
    assert cells.run(f"{magic}\n{text}").text == result.text
    cells.run(panel.code)
    assert cells.shell.user_ns["result"].text == result.text
    assert result.source_text == "The cat sleeps."


def test_the_result_is_in_the_panel_and_not_below_the_cell(panel, cells):
    cells.shell.user_ns["panel"] = panel
    assert cells.run("panel.run().target_language") == "de"
    assert panel.result.text not in cells.output.stdout
    assert not [output for output in cells.output.outputs if "text/html" in output.data]
    assert "sleeps" in str(panel.shown)


def test_progress_is_shown_and_a_stop_keeps_what_there_is(panel):
    bars = []
    panel.observe(lambda change: bars.append("progressbar" in str(change["new"])), "shown")
    panel.texts = {"text": SOURCES}
    panel.observe(lambda change: panel.stop(), "shown")
    panel.start()
    assert panel.wait(60)
    assert panel.status == "stopped"
    assert panel.note == "stopped; the result is incomplete, and the model stays loaded"
    assert panel.result.interrupted
    assert bars[0]


def test_what_the_magic_refuses_stands_in_the_panel_in_its_words(panel, cells):
    panel.values = {"to": "klingon"}
    with pytest.raises(Exception, match="there is no language 'klingon'"):
        panel.run()
    assert panel.status == "failed"
    assert panel.note in cells.refusal("%translate --to klingon hello")


def test_markup_stays_text_in_what_is_sent_to_the_browser(panel):
    panel.texts = {"text": "<img src=x onerror=y> sleeps."}
    panel.run()

    def tags(tree):
        return {tree[0]}.union(*(tags(child) for child in tree[2] if isinstance(child, list)))

    assert "img" not in tags(panel.shown)
    assert "<img" not in panel._repr_mimebundle_()[0]["text/html"]


def test_an_empty_panel_begins_with_the_first_example(cells):
    panel = cells.run("%translate --panel")
    assert (panel.texts["text"], panel.values) == ("Good morning, my friend.", {"to": "de"})
    assert cells.run("%translate --panel --to fr").values == {"to": "fr"}


def test_a_question_and_its_text_have_a_box_each(cells):
    cells.shell.user_ns["article"] = "Rome is old. It stands on seven hills."
    panel = cells.run("p = %ask --panel --context article On how many hills?\np")
    assert panel.texts == {
        "context": "Rome is old. It stands on seven hills.",
        "text": "On how many hills?",
    }
    assert panel.run()
    assert cells.run("%%ask --panel\nRome is old.\n---\nHow old?").texts == {
        "context": "Rome is old.",
        "text": "How old?",
    }


def test_out_code_and_dry_run_mean_what_they_mean_elsewhere(cells):
    shown = cells.run("%translate --panel --out mine --to de hello")
    assert cells.shell.user_ns["mine"] is shown
    code = str(cells.run("%translate --panel --code --from en --to de hello"))
    assert code.endswith("panel = playground('translate', text='hello', from_='en', to='de')")
    cells.run(code)
    assert cells.shell.user_ns["panel"].values == {"from": "en", "to": "de"}
    assert "no model" in str(cells.run("%translate --panel --dry-run --to de hello"))


def test_a_panel_in_plain_python(cells):
    panel = llm_magics.playground(
        "summarize", "One stands here. Two stands here. Three ends it.", max_words=8
    )
    assert (
        panel.magic == "%%summarize --max-words 8\nOne stands here. Two stands here. Three ends it."
    )
    panel.values = {**panel.values, "model": "embedded:extractive"}
    assert panel.run().extractive


@pytest.mark.parametrize(
    ("task", "message"), [("tranlate", "did you mean 'translate'"), ("models", "the tasks are ask")]
)
def test_a_task_without_a_panel_is_an_input_error(task, message):
    with pytest.raises(InputError, match=message):
        llm_magics.playground(task)


def test_an_unknown_option_of_a_panel_is_an_input_error():
    with pytest.raises(InputError, match="no field 'speed'"):
        llm_magics.playground("translate", speed="9")
