"""The logit lens: the last layer says what the model says, earlier ones what their state gives
through norm and matrix."""

from __future__ import annotations

import pytest
import torch

from llm_magics.attention.measures import logit_lens
from llm_magics.errors import AttentionError

TEXT = "the cat sat on a mat"


@torch.no_grad()
@pytest.mark.parametrize(
    ("family", "norm"),
    [
        ("gpt2", "transformer.ln_f"),
        ("llama", "model.norm"),
        ("gpt_neox", "gpt_neox.final_layer_norm"),
    ],
)
def test_the_last_layer_equals_the_logits_and_the_others_go_through_the_final_norm(
    family, norm, tiny
):
    model = tiny(family, "AutoModelForCausalLM", "causal")
    found = logit_lens(model, TEXT, count=4)
    output = model.module(
        torch.tensor([model.tokenizer(TEXT)["input_ids"]]), output_hidden_states=True
    )
    assert found.ids.shape == found.probabilities.shape == (3, 6, 4)
    best = output.logits[0].softmax(-1).topk(4)
    assert torch.equal(found.ids[-1], best.indices)
    torch.testing.assert_close(found.probabilities[-1], best.values, atol=1e-5, rtol=1e-4)
    unembedding = model.module.get_output_embeddings()
    for layer in (
        0,
        1,
    ):  # transformers' own hidden states: the embedding, then each layer but the last as it is
        states = output.hidden_states[layer][0]
        expected = unembedding(model.module.get_submodule(norm)(states)).softmax(-1).topk(4)
        assert torch.equal(found.ids[layer], expected.indices)
        torch.testing.assert_close(
            found.probabilities[layer], expected.values, atol=1e-5, rtol=1e-4
        )
    assert found.tokens == TEXT.split()
    assert found.guesses[-1][2] == model.tokenizer.convert_ids_to_tokens(best.indices[2].tolist())


@torch.no_grad()
@pytest.mark.parametrize("norm_first", [True, False])
def test_our_own_language_model_is_read_the_same_way(norm_first, own):
    model = own(norm_first=norm_first)
    found = logit_lens(model, "hello", count=3)
    ids = torch.tensor([model.tokenizer.encode_source(["hello"])[0]])
    assert torch.equal(found.ids[-1], model.module(ids)[0].topk(3).indices)
    x = model.module.positions(model.module.embedding(ids) * 32**0.5)
    embedded = model.module.generator(model.module.stack.norm(x))[0]
    assert torch.equal(found.ids[0], embedded.topk(3).indices)


def test_models_that_cannot_be_read_so_are_refused_in_one_line(tiny):
    with pytest.raises(AttentionError, match="kind 'encoder' predicts none; give a causal model"):
        logit_lens(tiny("bert", "AutoModel", "encoder"), TEXT)
    with pytest.raises(
        AttentionError, match="Gemma2ForCausalLM does more between its last layer and its logits"
    ):
        logit_lens(
            tiny("gemma2", "AutoModelForCausalLM", "causal", final_logit_softcapping=1.0), TEXT
        )
