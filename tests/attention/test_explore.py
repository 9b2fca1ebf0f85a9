"""From a text to a store: one text, a pair, what a model writes by itself."""

from __future__ import annotations

import pytest
import torch

from llm_magics.attention import capture, explore, generated
from llm_magics.errors import AttentionError


def test_the_axes_are_the_tokens_of_the_text(loaded):
    store = explore(loaded("bert"), "the cat sat")
    panel = store.panel("self")
    assert panel.rows == panel.columns == ["the", "cat", "sat"]
    assert panel.raw_columns == ["the", "Ġcat", "Ġsat"]
    assert len(panel.column_ids) == 3
    assert store.weights("self", 1, 3).shape == (3, 3)


@pytest.mark.parametrize("has_types", [True, False])
def test_a_pair_of_texts_says_which_token_belongs_to_which(loaded, small, has_types):
    model = loaded("bert" if has_types else "roberta")
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if has_types else [])]
    model.tokenizer.model_input_names = names
    panel = explore(model, "the cat", pair="a dog ran").panel("self")
    assert panel.row_segments == panel.column_segments == [0, 0, *[1] * (len(panel.rows) - 2)]
    assert panel.rows[:2] == ["the", "cat"]
    coded = model.tokenizer("the cat", "a dog ran", return_tensors="pt")
    assert ("token_type_ids" in coded) is has_types
    torch.testing.assert_close(
        small.stacked(panel.layers), small.eager_maps(model.module, **coded)["self"][0]
    )


def test_an_encoder_decoder_model_has_three_panels_and_its_decoder_begins_with_the_start_mark(
    loaded,
):
    model = loaded("t5", "AutoModelForSeq2SeqLM", "seq2seq")
    store = explore(model, "the cat sat", "a dog", values=True)
    assert [panel.kind for panel in store.panels] == ["encoder", "decoder", "cross"]
    cross = store.panel("cross")
    assert cross.raw_columns == ["the", "Ġcat", "Ġsat"]
    assert cross.raw_rows[0] == "<pad>"
    assert store.weights("cross", 0, 0).shape == (len(cross.rows), 3)
    assert cross.layers[0].value is not None


@pytest.mark.parametrize(
    ("kind", "ask", "message"),
    [
        ("encoder", lambda model: explore(model, "  "), "no text"),
        ("seq2seq", lambda model: explore(model, "the cat"), "needs a target"),
        ("seq2seq", lambda model: explore(model, "the cat", "a", pair="dog"), "reads one text"),
        ("encoder", lambda model: generated(model, "the cat"), "encodes text"),
        ("causal", lambda model: generated(model, " "), "no prompt"),
        ("causal", lambda model: generated(model, "the", 0), "at least 1"),
        (
            "causal",
            lambda model: generated(model, "the cat", 511),
            "513 tokens, the model reads 512",
        ),
    ],
)
def test_what_cannot_be_explored_is_said_in_one_message(loaded, kind, ask, message):
    family, auto = {
        "encoder": ("bert", "AutoModel"),
        "causal": ("gpt2", "AutoModelForCausalLM"),
        "seq2seq": ("t5", "AutoModelForSeq2SeqLM"),
    }[kind]
    with pytest.raises(AttentionError, match=message):
        ask(loaded(family, auto, kind, **({"n_positions": 512} if kind == "causal" else {})))


@torch.no_grad()
def test_what_a_causal_model_writes_has_the_maps_of_its_steps(loaded, small):
    model = loaded("llama", "AutoModelForCausalLM", "causal")
    model.module.generation_config.eos_token_id = None
    store = generated(model, "the cat sat", 6)
    panel = store.panel("self")
    assert store.prompt_length == 3
    assert len(panel.rows) == 9
    ids = torch.tensor([panel.row_ids[:3]])
    with capture(model.module) as steps:
        written = model.module.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=6,
            do_sample=False,
            pad_token_id=0,
        )
    assert written[0].tolist() == panel.row_ids
    for seen, layer in zip(
        panel.layers, steps["self"], strict=True
    ):  # the steps never read the last token
        torch.testing.assert_close(
            small.stacked([seen])[0, :, :8, :8], small.stacked([layer])[0], atol=1e-5, rtol=1e-3
        )


def test_what_an_encoder_decoder_model_writes_begins_behind_the_start_mark(loaded):
    model = loaded("bart", "AutoModelForSeq2SeqLM", "seq2seq")
    store = generated(model, "the cat sat", 5)
    assert store.prompt_length == 1
    assert [panel.kind for panel in store.panels] == ["encoder", "decoder", "cross"]
    assert store.panel("decoder").row_ids[0] == model.module.config.decoder_start_token_id
