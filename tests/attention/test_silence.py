"""A silenced head against the same model whose output projection has zeros for it."""

from __future__ import annotations

import pytest
import torch

from llm_magics.attention import capture, silence
from llm_magics.errors import AttentionError
from llm_magics.nn import Seq2SeqModel

PROJECTIONS = {
    "bert": ("self", 1, "encoder.layer.1.attention.output.dense"),
    "distilbert": ("self", 1, "transformer.layer.1.attention.out_lin"),
    "llama": ("self", 1, "layers.1.self_attn.o_proj"),
    "gemma2": ("self", 1, "layers.1.self_attn.o_proj"),
    "bart": ("cross", 2, "decoder.layers.2.encoder_attn.out_proj"),
    "marian": ("decoder", 0, "decoder.layers.0.self_attn.out_proj"),
    "t5": ("encoder", 0, "encoder.block.0.layer.0.SelfAttention.o"),
}


@pytest.mark.parametrize("family", PROJECTIONS)
@torch.no_grad()
def test_silencing_heads_is_zeroing_their_columns_of_the_output_projection(family, small):
    model = small.build(family)
    given = small.inputs(model.config.is_encoder_decoder)
    kind, layer, name = PROJECTIONS[family]
    whole = model(**given)[0]
    with silence(model, [(kind, layer, 1), (kind, layer, 2)]):
        silenced = model(**given)[0]
    assert torch.equal(model(**given)[0], whole)  # restored
    weight = model.get_submodule(name).weight  # (D, H·K)
    weight[:, 8:24] = 0.0
    expected = model(**given)[0]
    torch.testing.assert_close(silenced, expected, atol=1e-6, rtol=0)
    assert (silenced - whole).abs().max() > 1e-3


@torch.no_grad()
def test_silencing_heads_of_our_own_models_is_zeroing_their_columns():
    torch.manual_seed(0)
    model = Seq2SeqModel(50, 50, 32, 4, 2, 3, 64).eval()
    given = torch.randint(4, 50, (2, 9)), torch.randint(4, 50, (2, 6))
    whole = model(*given)
    with silence(model, [("cross", 1, 3)]):
        silenced = model(*given)
    assert torch.equal(model(*given), whole)
    model.decoder.layers[1].cross_attention.output.weight[:, 24:] = 0.0
    torch.testing.assert_close(silenced, model(*given), atol=1e-6, rtol=0)
    assert not torch.equal(silenced, whole)


@torch.no_grad()
def test_capture_sees_what_the_layers_above_a_silenced_head_are_given(small):
    model = small.build("bert")
    given = small.inputs(False)
    with capture(model) as whole:
        model(**given)
    with capture(model, silenced=[("self", 0, 2)]) as changed:
        model(**given)
    assert torch.equal(whole["self"][0].query, changed["self"][0].query)
    assert not torch.equal(whole["self"][1].query, changed["self"][1].query)


def test_gradients_flow_through_the_heads_that_are_left(small):
    model = small.build("bert")
    with silence(model, [("self", 1, 0)]):
        model(**small.inputs(False))[0].square().sum().backward()
    gradient = model.encoder.layer[1].attention.self.value.weight.grad  # (H·K, D)
    assert gradient[:8].eq(0).all()
    assert gradient[8:].ne(0).any()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (("self", 7, 0), "layers 0 to 1"),
        (("self", 1, 9), "heads 0 to 3"),
        (("cross", 0, 0), "self layers"),
    ],
)
@torch.no_grad()
def test_a_head_that_is_not_there_is_an_error(head, message, small):
    model = small.build("bert")
    with pytest.raises(AttentionError, match=message), silence(model, [head]):
        model(**small.inputs(False))
    assert model.config._attn_implementation == "sdpa"


def test_a_model_that_follows_no_interface_says_that_its_heads_cannot_be_silenced(small):
    with (
        pytest.raises(AttentionError, match="DebertaV2Model computes attention in its own way"),
        silence(small.build("deberta-v2"), [("self", 0, 0)]),
    ):
        pass
