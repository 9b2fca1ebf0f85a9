"""Attributions against finite differences, and the sum that integrated gradients must have."""

from __future__ import annotations

import sys

import pytest
import torch

from llm_magics.attention.measures import gradient_times_input, integrated_gradients
from llm_magics.attention.measures.answer import answer_of
from llm_magics.errors import AttentionError

TEXT = "the cat sat on a mat"


@torch.no_grad()
@pytest.mark.parametrize(
    ("family", "auto"), [("gpt2", "AutoModelForCausalLM"), ("llama", "AutoModelForCausalLM")]
)
def test_gradient_times_input_is_the_slope_when_a_token_grows(family, auto, tiny):
    model = tiny(family, auto, "causal", scale=1.5)
    model.module.double()
    found = gradient_times_input(model, TEXT)
    answer = answer_of(model, TEXT, next_token=True)
    x = model.module.get_input_embeddings()(answer.inputs["input_ids"])
    wanted = int(model.module(answer.inputs["input_ids"]).logits[0, -1].argmax())

    def score(embedded):
        return model.module(inputs_embeds=embedded).logits[0, -1].log_softmax(-1)[wanted]

    # Llama computes its norms in float32 whatever the weights are, so smaller steps drown in
    # rounding
    step = 1e-2
    for token in range(6):
        change = torch.zeros_like(x)
        change[0, token] = step * x[0, token]
        slope = (score(x + change) - score(x - change)) / (2 * step)
        assert found.scores[token].item() == pytest.approx(slope.item(), rel=0.01, abs=5e-5)
    assert found.value == pytest.approx(score(x).item(), abs=1e-5)
    assert found.tokens == TEXT.split()
    assert "next token" in found.answer


@pytest.mark.parametrize(
    ("family", "auto", "kind", "target"),
    [
        ("gpt2", "AutoModelForCausalLM", "causal", None),
        ("bert", "AutoModelForSequenceClassification", "encoder", None),
        ("bert", "AutoModel", "encoder", "my dog ran"),
        ("bart", "AutoModelForSeq2SeqLM", "seq2seq", "my dog ran"),
    ],
)
def test_integrated_gradients_are_complete(family, auto, kind, target, tiny):
    pytest.importorskip("captum")
    model = tiny(family, auto, kind, scale=4.0 if family == "bart" else 1.5)
    found = integrated_gradients(model, TEXT, target, steps=64)
    answer = answer_of(model, TEXT, target, next_token=True)
    reader = model.module.get_encoder() if kind == "seq2seq" else model.module
    calls = []

    def nothing_read(_, __, output):
        calls.append(1)
        return torch.zeros_like(output) if len(calls) == 1 else None

    handle = reader.get_input_embeddings().register_forward_hook(nothing_read)
    with torch.no_grad():
        nothing = answer.scores().item()
    handle.remove()
    change = found.value - nothing
    assert abs(change) > 1e-3
    assert found.scores.sum().item() == pytest.approx(change, rel=0.03)
    assert found.gap == pytest.approx(abs(found.scores.sum().item() - change), abs=1e-4)


def test_our_own_model_is_attributed_and_stays_as_it_is(own):
    model = own()
    answer = answer_of(model, "hello there", next_token=True)
    before = answer.scores().item()
    found = gradient_times_input(model, "hello there")
    assert found.value == pytest.approx(before)
    assert found.scores.abs().max() > 0
    assert answer.scores().item() == before
    assert all(parameter.grad is None for parameter in model.module.parameters())


def test_a_table_that_both_sides_read_is_replaced_for_the_source_only(own):
    from llm_magics.nn import Seq2SeqModel

    model = own()
    model.module, model.kind = (
        Seq2SeqModel(60, 60, 32, 4, 1, 1, 64, shared_embeddings=True).eval(),
        "seq2seq",
    )
    found = gradient_times_input(
        model, "hello", "world"
    )  # of equal length, so that a mistake would go unnoticed
    assert found.value == pytest.approx(
        answer_of(model, "hello", "world").scores().item(), abs=1e-6
    )
    assert len(found.tokens) == 6


def test_a_bare_encoder_needs_a_second_text_and_captum_is_asked_for_by_its_extra(tiny, monkeypatch):
    with pytest.raises(AttentionError, match="give a second text as the target"):
        gradient_times_input(tiny("bert", "AutoModel", "encoder"), TEXT)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(
        AttentionError, match=r"pip install 'llm-magics-notebook\[attribution\]'"
    ) as caught:
        integrated_gradients(tiny("gpt2", "AutoModelForCausalLM", "causal"), TEXT)
    assert "\n" not in str(caught.value)
