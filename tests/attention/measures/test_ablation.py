"""Importance against a model whose weights were zeroed by hand, and the numbers that models are
asked for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from llm_magics.attention.measures import importance
from llm_magics.attention.measures.answer import answer_of
from llm_magics.errors import AttentionError

TEXT = "the cat sat on the mat"


@torch.no_grad()
def test_importance_of_a_head_is_the_rise_of_the_loss_when_its_part_of_the_output_is_zero(tiny):
    model = tiny("llama", "AutoModelForCausalLM", "causal")
    ids = torch.tensor([model.tokenizer(TEXT)["input_ids"]])

    def loss():
        return float(
            model.module(ids, labels=ids).loss
        )  # the mean cross-entropy of the next tokens, as transformers has it

    found, intact = importance(model, TEXT)["self"], loss()
    assert found.shape == (2, 4)
    for number, layer in enumerate(model.module.model.layers):
        weight = layer.self_attn.o_proj.weight
        for head in range(4):
            kept = weight.clone()
            weight[:, head * 8 : (head + 1) * 8] = 0
            assert found[number, head].item() == pytest.approx(loss() - intact, abs=2e-5)
            weight.copy_(kept)
    assert found.abs().max() > 1e-3
    assert loss() == intact


@torch.no_grad()
def test_importance_in_our_own_model_and_in_a_translator(own, tiny):
    model = own()
    found = importance(model, "hello")["self"]
    ids = torch.tensor([model.tokenizer.encode_source(["hello"])[0][:-1]])
    intact = float(F.cross_entropy(model.module(ids)[0, :-1], ids[0, 1:]))
    model.module.stack.layers[1].self_attention.output.weight[:, 8:16] = 0
    changed = float(F.cross_entropy(model.module(ids)[0, :-1], ids[0, 1:]))
    assert found[1, 1].item() == pytest.approx(changed - intact, abs=2e-5)
    translator = tiny("bart", "AutoModelForSeq2SeqLM", "seq2seq")
    maps = importance(translator, "the cat sat", "my dog ran")
    assert {kind: values.shape for kind, values in maps.items()} == {
        "encoder": (2, 4),
        "decoder": (2, 4),
        "cross": (2, 4),
    }
    assert set(importance(translator, "the cat sat", "my dog ran", kind="cross")) == {"cross"}


@torch.no_grad()
def test_each_kind_of_model_is_asked_for_the_number_in_the_table(tiny):
    translator = tiny("bart", "AutoModelForSeq2SeqLM", "seq2seq")
    source, target = (
        torch.tensor([translator.tokenizer(words)["input_ids"]])
        for words in ("the cat", "my dog ran")
    )
    loss = translator.module(
        input_ids=source, labels=target
    ).loss  # transformers shifts the target by itself
    assert answer_of(translator, "the cat", "my dog ran").scores().item() == pytest.approx(
        -loss.item(), abs=1e-4
    )

    causal = tiny("gpt2", "AutoModelForCausalLM", "causal")
    both = torch.tensor([causal.tokenizer("the cat sat on")["input_ids"]])
    labels = both.masked_fill(torch.tensor([True, True, False, False]), -100)
    loss = causal.module(both, labels=labels).loss
    assert answer_of(causal, "the cat", "sat on").scores().item() == pytest.approx(
        -loss.item(), abs=1e-4
    )
    best = causal.module(both).logits[0, -1].log_softmax(-1).max()
    assert answer_of(causal, "the cat sat on", next_token=True).scores().item() == pytest.approx(
        best.item(), abs=1e-4
    )

    masked = tiny("bert", "AutoModelForMaskedLM", "encoder")
    ids = torch.tensor([masked.tokenizer("the [MASK] sat")["input_ids"]])
    said = masked.module(ids).logits[0, 2].log_softmax(-1)
    assert answer_of(masked, "the [MASK] sat").scores().item() == pytest.approx(
        said.max().item(), abs=1e-4
    )
    assert answer_of(masked, "the [MASK] sat", "dog").scores().item() == pytest.approx(
        said[12].item(), abs=1e-4
    )
    with pytest.raises(AttentionError, match="is 2 tokens of this model, and the text has 1 masks"):
        answer_of(masked, "the [MASK] sat", "dog ran")

    classifier = tiny("bert", "AutoModelForSequenceClassification", "encoder", num_labels=3)
    chances = classifier.module(ids).logits[0].log_softmax(-1)
    assert answer_of(classifier, "the [MASK] sat", "LABEL_2").scores().item() == pytest.approx(
        chances[2].item(), abs=1e-4
    )
    with pytest.raises(AttentionError, match="no label 'joy'; it has LABEL_0, LABEL_1, LABEL_2"):
        answer_of(classifier, "the cat", "joy")


@torch.no_grad()
def test_a_bare_encoder_loses_direction_and_the_unit_says_so(tiny):
    model = tiny("bert", "AutoModel", "encoder")
    answer = answer_of(model, TEXT)
    assert (answer.scores(3).tolist(), answer.unit) == (pytest.approx([1.0] * 3), "cosine")
    found = importance(model, TEXT)["self"]
    ids = torch.tensor([model.tokenizer(TEXT)["input_ids"]])
    before = model.module(ids).last_hidden_state[0].mean(0)
    model.module.encoder.layer[0].attention.output.dense.weight[:, 16:24] = 0
    after = model.module(ids).last_hidden_state[0].mean(0)
    assert found[0, 2].item() == pytest.approx(
        1 - float(F.cosine_similarity(before, after, dim=0)), abs=1e-5
    )


def test_a_question_without_what_it_needs_is_refused_in_one_line(tiny):
    with pytest.raises(AttentionError, match="asked how probable a target is; give one"):
        importance(tiny("bart", "AutoModelForSeq2SeqLM", "seq2seq"), "the cat")
    with pytest.raises(AttentionError, match="one token says nothing"):
        importance(tiny("gpt2", "AutoModelForCausalLM", "causal"), "cat")
