"""`%models`, `%llm`, `%attention` and `%summarize` against the real session."""

from __future__ import annotations

import pytest

from llm_magics.errors import AttentionError
from llm_magics.magics.models import count, size
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
    assert dict(cells.run(f"%models info {tiny_model}").rows)["family"] == "house"
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


@pytest.mark.parametrize("line", ["%models load embedded:extractive --device tpu", "%train --recipe number-words --device tpu",
                                  "%train --recipe number-words --device tpu --dry-run"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(cells, line):
    assert "no device 'tpu' on this machine; there is: cpu" in cells.refusal(line)
    assert current_session().runs() == []
    assert current_session().manager.check() == []


@pytest.mark.parametrize(("cell", "answer"), [
    ("%models laod x", "'laod' is no action; did you mean 'load'?"),
    ("%models load", "load needs a model"),
    ("%models unload embedded:nothing", "is not loaded"),
    ("%models load embedded:nothing", "nothing"),
    ("%models load a b c", "'b' was not expected here"),
    ("%models load x --dtype int8", "int8"),
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
])
def test_wrong_words_are_answered_in_one_line(cells, cell, answer):
    assert answer in cells.refusal(cell)


def test_a_module_of_the_notebook_is_a_model(cells, tiny_model):
    from llm_magics.models.house import load_house

    module, tokenizer, _ = load_house(tiny_model)
    cells.shell.user_ns["net"] = (module, tokenizer)
    result = cells.run("%translate --from en --to de --model net The cat sleeps.")
    assert result.provenance.model == "variable:net"


def test_the_overview_names_magics_and_models(cells):
    pytest.importorskip("importlib.metadata").distribution("llm_magics")
    shown = str(cells.run("%llm"))
    for part in ("%translate, %%translate", "%train, %%train", "embedded:extractive", "llm_magics 0."):
        assert part in shown


def test_an_attention_map_has_every_kind_and_can_be_read(cells, tiny_model):
    view = cells.run(f"%attention {tiny_model} --kind encoder --layer 1 --head 1 The cat sleeps.")
    assert [panel["kind"] for panel in view.panels] == ["encoder", "decoder", "cross"]
    assert view.selection == {"kind": "encoder", "layer": 1, "head": 1}
    assert all(abs(sum(row) - 1) < 1e-4 for row in view.map())


def test_source_and_target_are_separated_by_dashes(cells, tiny_model):
    view = cells.run(f"%%attention {tiny_model}\nThe cat sleeps.\n---\nA dog runs.\n")
    by_kind = {panel["kind"]: panel for panel in view.panels}
    assert "".join(by_kind["decoder"]["rows"]) != "".join(by_kind["encoder"]["rows"])
    assert len(by_kind["cross"]["rows"]) == len(by_kind["decoder"]["rows"])


def test_a_head_that_is_not_there_is_named(cells, tiny_model):
    assert "layers 0 to 1" in cells.refusal(f"%attention {tiny_model} --kind encoder --layer 9 Hello.")
    assert "it has encoder, decoder, cross" in cells.refusal(f"%attention {tiny_model} --kind self Hello.")


def test_the_equivalent_python_of_a_map_shows_the_same_head(cells, tiny_model):
    cells.run(str(cells.run(f"%attention {tiny_model} --code --kind encoder --layer 1 --head 1 The cat sleeps.")))
    assert cells.shell.user_ns["view"].selection == {"kind": "encoder", "layer": 1, "head": 1}


def test_what_cannot_be_printed_is_replaced_before_a_map_is_made(cells, tiny_model):
    cells.shell.user_ns["text"] = "A \ud800 cat\x00 \u202e<script>."
    view = cells.run(f"%attention {tiny_model} --target Hallo --in text")
    assert "\ud800" not in "".join(view.panels[0]["rows"])


def test_a_text_too_long_for_a_map_is_refused_before_it_is_translated(cells, tiny_model):
    cells.shell.user_ns["text"] = "The cat sleeps. " * 20_000
    with pytest.raises(AttentionError, match="too many to look at"):
        cells.run(f"%attention {tiny_model} --in text")
    cells.shell.user_ns["text"] *= 40
    assert "more than the 1,000,000" in cells.refusal(f"%attention {tiny_model} --in text")


TEXT = ("The station opened in 1890. It was built by an engineer from the north. Many trains stopped there every day. "
        "In 1960 the line was closed. The building is a library today. People read there in the evening.")


def test_the_extractive_summary_consists_of_sentences_of_the_text(cells):
    result = cells.run(f"%%summarize --max-words 20 --style bullets --model embedded:extractive\n{TEXT}")
    assert result.extractive
    assert all(sentence in TEXT for sentence in result.sentences)
    assert result.text.startswith("- ")


def test_summaries_of_rows(cells):
    cells.shell.user_ns["articles"] = [TEXT, "", TEXT]
    rows = cells.run("%summarize --each articles --max-words 12 --model embedded:extractive --out short")
    assert rows.texts[0] == rows.texts[2]
    assert rows.texts[1] is None
    assert "1 of them failed" in repr(rows)


def test_sizes_and_counts_are_short():
    assert [size(n) for n in (None, 0, 999, 1_860_000, 999_900, 1_240_000_000, 5_000_000_000_000)] == [
        "unknown", "0 B", "999 B", "1.86 MB", "1 MB", "1.24 GB", "5,000 GB"]
    assert [count(n) for n in (None, 12, 464_548, 74_000_000, 1_300_000_000)] == ["", "12", "465 k", "74 M", "1.3 B"]
