"""What a model says, against its own logits; and without some of its heads."""

from __future__ import annotations

import math

import pytest
import torch

from llm_magics.attention import predict, silence
from llm_magics.errors import AttentionError

TEXT = "the cat sat on"


def ids_of(model, text: str = TEXT) -> torch.Tensor:
    return torch.tensor([model.tokenizer(text)["input_ids"]])


@torch.no_grad()
def test_a_causal_model_says_the_next_token_and_silencing_changes_it(loaded):
    model = loaded("gpt2", "AutoModelForCausalLM", "causal")
    heads = [("self", 0, 0), ("self", 1, 2)]
    found = predict(model, TEXT, silenced=heads, count=3)
    whole = model.module(ids_of(model)).logits[0, -1].softmax(-1)
    with silence(model.module, heads):
        changed = model.module(ids_of(model)).logits[0, -1].softmax(-1)
    assert found.kind == "next-token"
    assert [value for _, value in found.entries] == pytest.approx(changed.topk(3).values.tolist())
    assert [value for _, value in found.against.entries] == pytest.approx(
        whole.topk(3).values.tolist()
    )
    assert not torch.allclose(whole, changed)
    assert found.as_dict()["against"]["kind"] == "next-token"


@torch.no_grad()
def test_an_encoder_decoder_model_says_how_probable_the_target_is(loaded):
    model = loaded("t5", "AutoModelForSeq2SeqLM", "seq2seq")
    target = model.tokenizer(text_target="a dog")["input_ids"]
    loss = model.module(
        input_ids=ids_of(model), labels=torch.tensor([target])
    ).loss  # transformers' mean over the target
    found = predict(model, TEXT, "a dog")
    assert found.score == pytest.approx(-float(loss) * len(target), rel=1e-4)
    assert found.kind == "target"
    assert len(found.entries) == len(target)
    assert sum(math.log(value) for _, value in found.entries) == pytest.approx(
        found.score, rel=1e-4
    )
    first = (
        model.module(input_ids=ids_of(model), decoder_input_ids=torch.tensor([[0]]))
        .logits[0, -1]
        .softmax(-1)
    )
    assert predict(model, TEXT).entries[0][1] == pytest.approx(float(first.max()))


@torch.no_grad()
def test_a_masked_language_model_fills_the_mask(loaded):
    model = loaded("bert", "AutoModelForMaskedLM")
    text = "the <mask> sat"
    ids = ids_of(model, text)
    place = ids[0].tolist().index(model.tokenizer.mask_token_id)
    expected = model.module(ids).logits[0, place].softmax(-1)
    found = predict(model, text, count=400)
    assert found.kind == "mask"
    assert found.entries[0][1] == pytest.approx(float(expected.max()))
    assert sum(value for _, value in found.entries) == pytest.approx(1.0, abs=1e-4)


@torch.no_grad()
def test_without_a_mask_the_score_is_the_pseudo_log_likelihood(loaded):
    model = loaded("bert", "AutoModelForMaskedLM")
    ids, total = ids_of(model), 0.0
    for place in range(ids.shape[1]):
        hidden = ids.clone()
        hidden[0, place] = model.tokenizer.mask_token_id
        total += float(model.module(hidden).logits[0, place].log_softmax(-1)[ids[0, place]])
    found = predict(model, TEXT)
    assert found.score == pytest.approx(total / ids.shape[1], rel=1e-4)
    assert found.entries == []


@torch.no_grad()
def test_a_classifier_says_the_probabilities_of_its_labels(loaded):
    labels = {0: "good", 1: "bad", 2: "neither"}
    model = loaded(
        "bert",
        "AutoModelForSequenceClassification",
        id2label=labels,
        label2id={v: k for k, v in labels.items()},
    )
    chances = model.module(ids_of(model)).logits[0].softmax(-1)
    found = predict(model, TEXT)
    assert found.kind == "label"
    assert dict(found.entries) == {
        labels[index]: pytest.approx(float(chances[index])) for index in range(3)
    }


@torch.no_grad()
def test_a_classifier_of_tokens_says_the_label_of_each(loaded):
    model = loaded("bert", "AutoModelForTokenClassification", num_labels=4)
    chances = model.module(ids_of(model)).logits[0].softmax(-1).max(-1)
    found = predict(model, TEXT)
    assert [value for _, value in found.entries] == pytest.approx(chances.values.tolist())
    assert found.entries[1][0] == f"cat → LABEL_{int(chances.indices[1])}"


@torch.no_grad()
def test_a_bare_encoder_says_how_far_its_embedding_turned(loaded):
    model = loaded("bert")
    assert predict(model, TEXT).score == pytest.approx(1.0)
    found = predict(model, TEXT, silenced=[("self", 1, 1)])
    whole = model.module(ids_of(model)).last_hidden_state[0].mean(0)
    model.module.encoder.layer[1].attention.output.dense.weight[:, 8:16] = 0.0
    cut = model.module(ids_of(model)).last_hidden_state[0].mean(0)
    assert found.score == pytest.approx(float(whole @ cut / whole.norm() / cut.norm()), abs=1e-5)
    assert found.against.score == pytest.approx(1.0)
    assert math.isfinite(found.score)
    assert found.score < 0.9999


def test_a_model_that_answers_questions_by_places_is_refused(loaded):
    with pytest.raises(AttentionError, match="BertForQuestionAnswering"):
        predict(loaded("bert", "AutoModelForQuestionAnswering"), TEXT)
    with pytest.raises(AttentionError, match="no text"):
        predict(loaded("bert"), " ")
