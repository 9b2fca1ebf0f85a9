"""`%models`, `%llm`, `%attention` and `%summarize` against the real session."""

from __future__ import annotations

import pytest

from llm_magics.display.units import count, size
from llm_magics.extras import DISTRIBUTION
from llm_magics.session import current_session


def names(table):
    return [row[0] for row in table.rows]


def test_an_empty_manager_says_so(cells):
    assert "no model is loaded" in cells.run("%models").text()


def test_loading_pinning_and_unloading_by_hand(cells, tiny_model):
    assert names(cells.run(f"%models load {tiny_model}")) == [str(tiny_model)]
    assert cells.run("%models").rows[0][-1] == "idle"
    assert cells.run(f"%models pin {tiny_model}").rows[0][-1] == "pinned"
    assert cells.run(f"%models unpin {tiny_model}").rows[0][-1] == "idle"
    assert dict(cells.run(f"%models info {tiny_model}").rows)["family"] == "native"
    assert names(cells.run(f"%models unload {tiny_model}")) == []
    assert current_session().manager.check() == []


def test_a_dry_run_of_a_load_loads_nothing(cells, tiny_model):
    shown = dict(cells.run(f"%models load {tiny_model} --dry-run").rows)
    assert shown["model"] == str(tiny_model)
    assert "B" in shown["memory needed"]
    assert current_session().manager.rows() == []


@pytest.mark.parametrize("line", ["", "load M", "pin M", "unpin M", "info M", "unload M"])
def test_the_equivalent_python_runs(cells, tiny_model, line):
    current_session().manager.load(str(tiny_model))
    code = cells.run(f"%models --code {line.replace('M', str(tiny_model))}")
    cells.run(str(code))


def test_what_is_known_is_written_for_people_and_nothing_is_cut(cells, tiny_model):
    cells.run(f"%models load {tiny_model}")
    shown = dict(cells.run(f"%models info {tiny_model}").rows)
    assert shown["last used"].endswith(" ago")
    assert shown["parameters"].endswith(" k")
    assert shown["is chat"] == "no"
    assert all(shown.values())
    absent = cells.run("%models info nobody/nothing")
    assert "switched off (HF_HUB_OFFLINE)" in absent.text()
    assert "None" not in absent.text()


def test_the_weightless_summariser_needs_nothing(cells):
    for line in ("%summarize --dry-run Some words.", "%models load embedded:extractive --dry-run"):
        table = cells.run(line)
        assert dict(table.rows)["memory needed"] == "0 B"
        assert "fail" not in table.text()


@pytest.mark.parametrize(
    "line",
    [
        "%models load embedded:extractive --device tpu",
        "%train --recipe number-words --device tpu",
        "%train --recipe number-words --device tpu --dry-run",
    ],
)
def test_a_device_that_is_not_there_is_named_with_those_that_are(cells, line):
    assert "no device 'tpu' on this machine; there is: cpu" in cells.refusal(line)
    assert current_session().runs() == []
    assert current_session().manager.check() == []


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        ("%models laod x", "'laod' is no action; did you mean 'load'?"),
        ("%models load", "load needs a model"),
        ("%models unload embedded:nothing", "is not loaded"),
        ("%models load embedded:nothing", "nothing"),
        ("%models load a b c", "'b' was not expected here"),
        ("%models load x --dtype int4", "int4"),
        ("%%models\ntext", "takes no text below it"),
        ("%attention", "which model?"),
        ("%attention embedded:en-de", "there is no text"),
        ("%%attention embedded:en-de\nabove\n---\n", "below --- is empty"),
        ("%summarize", "there is no text"),
        ("%summarize --style poem x", "poem"),
        ("%summarize --max-words 1 x", "--max-words: '1' is not a whole number from 5 to 10,000"),
        ("%train", "what is to be trained?"),
        ("%%train\nthis is no toml", "no recipe in TOML"),
        ("%train --recipe x --resume y", "comes from --recipe and --resume"),
        ("%train --list --attach x", "--list and --attach do not go together"),
        ("%train --recipe x --stop y", "--recipe and --stop do not go together"),
    ],
)
def test_wrong_words_are_answered_in_one_line(cells, cell, answer):
    assert answer in cells.refusal(cell)


def test_a_module_of_the_notebook_is_a_model(cells, tiny_model):
    from llm_magics.models.folder.native import load_native

    module, tokenizer, _ = load_native(tiny_model)
    cells.shell.user_ns["net"] = (module, tokenizer)
    result = cells.run("%translate --from en --to de --model net The cat sleeps.")
    assert result.provenance.model == "variable:net"


def test_the_overview_names_magics_and_models(cells):
    pytest.importorskip("importlib.metadata").distribution(DISTRIBUTION)
    shown = str(cells.run("%llm"))
    for part in (
        "%translate, %%translate",
        "%train, %%train",
        "embedded:extractive",
        "llm_magics 0.",
    ):
        assert part in shown


TEXT = (
    "The station opened in 1890. It was built by an engineer from the north. Many trains stopped "
    "there every day. "
    "In 1960 the line was closed. The building is a library today. People read there in the "
    "evening."
)


def test_the_extractive_summary_consists_of_sentences_of_the_text(cells):
    result = cells.run(
        f"%%summarize --max-words 20 --style bullets --model embedded:extractive\n{TEXT}"
    )
    assert result.extractive
    assert all(sentence in TEXT for sentence in result.sentences)
    assert result.text.startswith("- ")


def test_summaries_of_rows(cells):
    cells.shell.user_ns["articles"] = [TEXT, "", TEXT]
    rows = cells.run(
        "%summarize --each articles --max-words 12 --model embedded:extractive --out short"
    )
    assert rows.texts[0] == rows.texts[2]
    assert rows.texts[1] is None
    assert "1 of them failed" in repr(rows)


def test_sizes_and_counts_are_short():
    assert [
        size(n) for n in (None, 0, 999, 1_860_000, 999_900, 1_240_000_000, 5_000_000_000_000)
    ] == ["unknown", "0 B", "999 B", "1.86 MB", "1 MB", "1.24 GB", "5,000 GB"]
    assert [count(n) for n in (None, 12, 464_548, 74_000_000, 1_300_000_000)] == [
        "",
        "12",
        "465 k",
        "74 M",
        "1.3 B",
    ]


def test_recommendations_are_shown_against_this_machine_and_as_python(cells):
    found = cells.run("%models recommend translate --to de --out choices")
    assert cells.shell.user_ns["choices"] is found
    assert found.taken == "embedded:en-de"
    assert set(found.free_bytes) >= {"cpu"}
    assert "Helsinki-NLP/opus-mt-en-de" in str(found)
    code = cells.run("%models recommend translate --to de --code")
    cells.run(str(code))
    assert cells.shell.user_ns["choices"].models == found.models
    cells.shell.run_line_magic("config", "LLM.predict_model = 'run:mine'")
    assert cells.run("%models recommend predict").taken == "run:mine"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("%models recommend", "recommend needs a task: translate, summarize, ask"),
        ("%models recommend trasnlate --to fr", "did you mean 'translate'?"),
        ("%models recommend translate", "no target language was given"),
        ("%models load embedded:en-de --to fr", "--to goes with recommend only"),
    ],
)
def test_what_cannot_be_recommended_is_answered_in_one_line(cells, line, answer):
    assert answer in cells.refusal(line)
