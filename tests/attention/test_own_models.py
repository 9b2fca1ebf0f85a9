"""Our own models: explored, made to write, and asked what they say."""

from __future__ import annotations

import pytest
import torch

from llm_magics.attention import cross_attention, explore, generated, predict
from llm_magics.attention.layer import MapLayer
from llm_magics.nn import (
    CausalLanguageModel,
    MaskedLanguageModel,
    RecurrentSeq2Seq,
    Seq2SeqModel,
    TextClassifier,
)

TEXT = "the cat sat"


@pytest.fixture(autouse=True)
def _seeded_without_gradients():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def test_a_translator_is_explored_made_to_write_and_asked(own_loaded):
    model = own_loaded(Seq2SeqModel(19, 19, 32, 4, 2, 3, 64), "seq2seq")
    store = explore(model, TEXT, "a dog", values=True)
    assert store.panel("cross").rows == ["<s>", "a", "dog"]
    assert store.panel("cross").columns == ["the", "cat", "sat", "</s>"]
    assert store.panel("decoder").layers[2].value.shape == (4, 3, 8)
    assert generated(model, TEXT, 4).prompt_length == 1
    whole = model.module(torch.tensor([[5, 6, 7, 2]]), torch.tensor([[1, 9, 11]]))[0].log_softmax(
        -1
    )
    expected = whole[0, 9] + whole[1, 11] + whole[2, 2]  # a, dog, the end
    assert predict(model, TEXT, "a dog").score == pytest.approx(float(expected), rel=1e-5)
    assert predict(model, TEXT, "a dog", [("cross", 2, 1)]).score != pytest.approx(
        float(expected), rel=1e-5
    )


def test_cross_attention_stands_beside_the_tokens_that_are_written(own_loaded):
    seen = cross_attention(
        own_loaded(Seq2SeqModel(19, 19, 32, 4, 2, 3, 64), "seq2seq"), TEXT, "a dog"
    )
    assert seen.target_tokens == ["a", "dog", "</s>"]
    torch.testing.assert_close(seen.weights.sum(-1), torch.ones(3))
    assert seen.source_offsets == [(0, 3), (4, 7), (8, 11), (11, 11)]


def test_a_recurrent_translator_shows_its_maps(own_loaded):
    model = own_loaded(
        RecurrentSeq2Seq(19, 19, embedding_size=8, hidden_size=16, attention="additive"), "seq2seq"
    )
    store = explore(model, TEXT, "a dog")
    layer = store.panel("cross").layers[0]
    assert isinstance(layer, MapLayer)
    torch.testing.assert_close(layer.weights(0).sum(-1), torch.ones(3))


def test_a_language_model_goes_on_from_the_prompt_without_its_end_mark(own_loaded):
    model = own_loaded(CausalLanguageModel(19, 32, 4, 2, 64), "causal")
    store = generated(model, TEXT, 5)
    ids = store.panel("self").row_ids
    assert store.prompt_length == 3
    assert ids[:3] == [5, 6, 7]
    logits = model.module(torch.tensor([ids[:3]]))[0, -1]
    assert len(ids) == 3 or ids[3] == int(logits.argmax())
    assert predict(model, TEXT).entries[0][1] == pytest.approx(float(logits.softmax(-1).max()))


def test_a_masked_language_model_scores_a_text(own_loaded):
    model = own_loaded(MaskedLanguageModel(19, 32, 4, 2, 64), "encoder")
    ids, total = torch.tensor([[5, 6, 7, 2]]), 0.0
    for place in range(3):
        hidden = ids.clone()
        hidden[0, place] = 4
        total += float(model.module(hidden)[0, place].log_softmax(-1)[ids[0, place]])
    assert predict(model, TEXT).score == pytest.approx(total / 3, rel=1e-5)


def test_a_classifier_says_its_classes(own_loaded):
    model = own_loaded(TextClassifier(19, 3, d_model=32), "encoder")
    expected = model.module(torch.tensor([[5, 6, 7, 2]]))[0].exp()
    assert dict(predict(model, TEXT).entries) == {
        f"class {i}": pytest.approx(float(expected[i])) for i in range(3)
    }
