"""Captured attention against transformers' own `output_attentions`, and against our formula."""

from __future__ import annotations

import pytest
import torch

from llm_magics.attention import capture
from llm_magics.attention.store import AttentionStore, Panel, compand
from llm_magics.errors import AttentionError
from llm_magics.nn import Seq2SeqModel, scaled_dot_product

SMALL = {"vocab_size": 100}
BERT = {**SMALL, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
LLAMA = {**BERT, "num_key_value_heads": 2}
BART = {**SMALL, "d_model": 32, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
FAMILIES = {
    "bert": BERT, "roberta": BERT, "electra": {**BERT, "embedding_size": 32},
    "distilbert": {**SMALL, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "gpt2": {**SMALL, "n_embd": 32, "n_layer": 2, "n_head": 4}, "gpt_neox": BERT,
    "llama": LLAMA, "qwen3": {**LLAMA, "head_dim": 8},
    "bart": BART, "m2m_100": BART, "pegasus": BART,
    "marian": {**BART, "pad_token_id": 1, "decoder_start_token_id": 1, "eos_token_id": 0, "forced_eos_token_id": 0},
    "t5": {**SMALL, "d_model": 32, "num_layers": 2, "num_heads": 4, "d_ff": 64, "d_kv": 8, "decoder_start_token_id": 0},
}
FIELDS = {"self": "attentions", "encoder": "encoder_attentions", "decoder": "decoder_attentions",
          "cross": "cross_attentions"}


def build(family: str):
    from transformers import CONFIG_MAPPING, AutoModel

    torch.manual_seed(0)
    return AutoModel.from_config(CONFIG_MAPPING[family](**FAMILIES[family]), attn_implementation="sdpa").eval()


def inputs(model) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    given = {"input_ids": torch.randint(5, 90, (1, 12))}
    if model.config.is_encoder_decoder:
        given["decoder_input_ids"] = torch.randint(5, 90, (1, 7))
    return given


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_captured_maps_equal_output_attentions_and_the_output_stays(family):
    model = build(family)
    before = model(**inputs(model))[0]
    with capture(model) as captured:
        during = model(**inputs(model))[0]
    assert torch.equal(before, during)
    assert model.config._attn_implementation == "sdpa"
    model.set_attn_implementation("eager")
    expected = model(**inputs(model), output_attentions=True)
    kinds = ("encoder", "decoder", "cross") if model.config.is_encoder_decoder else ("self",)
    assert set(captured) == set(kinds)
    for kind in kinds:
        reference = getattr(expected, FIELDS[kind])
        assert len(captured[kind]) == len(reference) > 0
        for layer, maps in zip(captured[kind], reference, strict=True):
            ours = torch.stack([layer.weights(head) for head in range(maps.shape[1])])
            torch.testing.assert_close(ours, maps[0], atol=2e-6, rtol=1e-4)


def test_an_interrupt_restores_the_attention_implementation():
    model = build("gpt2")
    with pytest.raises(KeyboardInterrupt), capture(model):
        raise KeyboardInterrupt
    assert model.config._attn_implementation == "sdpa"


def test_a_model_with_its_own_attention_is_refused_with_one_message():
    from transformers import AutoModel, DebertaV2Config

    model = AutoModel.from_config(DebertaV2Config(**BERT)).eval()
    with pytest.raises(AttentionError, match="DebertaV2"), capture(model):
        model(input_ids=torch.randint(5, 90, (1, 6)))


@torch.no_grad()
def test_our_own_models_are_captured_as_their_formula_says():
    torch.manual_seed(0)
    model = Seq2SeqModel(50, 50, 32, 4, 2, 3, 64).eval()
    src, tgt = torch.randint(4, 50, (1, 9)), torch.randint(4, 50, (1, 6))
    with capture(model) as captured:
        model(src, tgt)
    assert {kind: len(layers) for kind, layers in captured.items()} == {"encoder": 2, "decoder": 3, "cross": 3}
    layer = captured["decoder"][0]
    hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
    _, expected = scaled_dot_product(layer.query, layer.key, layer.key, hidden)  # (H, T, T)
    for head in range(4):
        torch.testing.assert_close(layer.weights(head), expected[head])
        assert layer.weights(head).triu(1).eq(0).all()
    assert all(part.observer is None for part in model.modules() if hasattr(part, "observer"))


def test_companding_is_off_by_at_most_two_thousandths_of_the_root():
    weights = torch.rand(40, 40)
    back = (torch.tensor(list(compand(weights)), dtype=torch.float32) / 255).square().view(40, 40)
    assert (back - weights).abs().max() < 0.004


def test_a_thin_diagonal_stays_visible_in_the_atlas():
    eye = 50.0 * torch.eye(512)
    from llm_magics.attention.store import Layer

    layer = Layer(eye[None], eye[None], 1.0)
    store = AttentionStore("eye", [Panel("self", [layer], ["x"] * 512, ["x"] * 512)])
    atlas, height, width = store.atlas("self", 64)
    assert (height, width) == (64, 64)
    picture = torch.tensor(list(atlas)).view(64, 64)
    assert picture.diagonal().min() == 255
    assert (picture - torch.diag(picture.diagonal())).max() == 0


def test_asking_for_a_layer_that_is_not_there_says_which_there_are():
    model = build("bert")
    with capture(model) as captured:
        model(**inputs(model))
    store = AttentionStore("bert", [Panel("self", captured["self"], ["a"] * 12, ["a"] * 12)])
    with pytest.raises(AttentionError, match="layers 0 to 1"):
        store.weights("self", 9, 0)
    with pytest.raises(AttentionError, match="there is self"):
        store.weights("cross", 0, 0)
