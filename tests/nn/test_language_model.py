"""Language models against torch's encoder with copied weights; cached, uncached and sampled
decoding."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from llm_magics.nn import CausalLanguageModel, MaskedLanguageModel, RecurrentLanguageModel
from llm_magics.nn.decoding import keep_likely, sample

V, D, H, F = 23, 16, 4, 40


def make(cls, **options):
    torch.manual_seed(0)
    model = cls(V, D, H, 2, F, dropout=0.0, **options).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


@torch.no_grad()
def twin(model) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        D, H, F, dropout=0.0, batch_first=True, norm_first=True, dtype=torch.float64
    )
    theirs = nn.TransformerEncoder(
        layer, 2, norm=nn.LayerNorm(D, dtype=torch.float64), enable_nested_tensor=False
    )
    theirs.norm.load_state_dict(model.stack.norm.state_dict())
    for mine, other in zip(model.stack.layers, theirs.layers, strict=True):
        attention = mine.self_attention
        other.self_attn.in_proj_weight.copy_(
            torch.cat([attention.query.weight, attention.key.weight, attention.value.weight])
        )
        other.self_attn.in_proj_bias.copy_(
            torch.cat([attention.query.bias, attention.key.bias, attention.value.bias])
        )
        other.self_attn.out_proj.load_state_dict(attention.output.state_dict())
        other.linear1.load_state_dict(mine.feed_forward.inner.state_dict())
        other.linear2.load_state_dict(mine.feed_forward.outer.state_dict())
        other.norm1.load_state_dict(mine.around_attention.norm.state_dict())
        other.norm2.load_state_dict(mine.around_feed_forward.norm.state_dict())
    return theirs


@pytest.mark.parametrize(
    ("cls", "positions"),
    [
        (CausalLanguageModel, None),
        (CausalLanguageModel, 32),
        (MaskedLanguageModel, None),
        (MaskedLanguageModel, 32),
    ],
)
def test_values_and_gradients_equal_torchs_encoder(cls, positions):
    model = make(cls, max_positions=positions)
    theirs = twin(model)
    ids, padding = torch.randint(0, V, (2, 6)), torch.zeros(2, 6, dtype=torch.bool)
    padding[1, 4:] = True
    logits = model(ids, padding)
    x = model.positions(model.embedding(ids) * math.sqrt(D))
    hidden = torch.ones(6, 6, dtype=torch.bool).triu(1) if model.causal else None
    expected = (
        theirs(x, mask=hidden, src_key_padding_mask=padding) @ model.embedding.weight.T
        + model.generator.bias
    )
    torch.testing.assert_close(logits, expected)
    weights = [model.embedding.weight]
    torch.testing.assert_close(
        torch.autograd.grad(logits[:, :4].square().sum(), weights),
        torch.autograd.grad(expected[:, :4].square().sum(), weights),
    )


def test_a_causal_model_does_not_see_the_future_and_a_masked_one_does():
    ids = torch.randint(0, V, (1, 6))
    changed = ids.clone()
    changed[0, 4] = (changed[0, 4] + 1) % V
    causal, masked = make(CausalLanguageModel), make(MaskedLanguageModel)
    torch.testing.assert_close(causal(ids)[:, :4], causal(changed)[:, :4])
    assert not torch.allclose(masked(ids)[:, :4], masked(changed)[:, :4])


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_decoding_with_a_cache_draws_the_tokens_of_decoding_without(temperature):
    model = make(CausalLanguageModel).eval()
    prompt = torch.randint(0, V, (3, 4))
    fast = sample(
        model,
        prompt,
        max_new_tokens=10,
        temperature=temperature,
        top_k=8,
        generator=torch.Generator().manual_seed(5),
    )
    generator, ids = torch.Generator().manual_seed(5), prompt
    with torch.no_grad():
        for _ in range(10):
            logits = model(ids)[:, -1]
            drawn = (
                logits.argmax(-1, keepdim=True)
                if temperature == 0
                else torch.multinomial(
                    keep_likely(logits / temperature, top_k=8).softmax(-1), 1, generator=generator
                )
            )
            ids = torch.cat([ids, drawn], 1)
    assert fast == ids[:, 4:].tolist()


def test_a_continuation_ends_at_the_end_mark():
    model = make(CausalLanguageModel).eval()
    prompt = torch.randint(0, V, (2, 3))
    free = sample(model, prompt, max_new_tokens=8, temperature=0)
    ended = sample(model, prompt, max_new_tokens=8, temperature=0, eos=free[0][3])
    assert ended[0] == free[0][: free[0].index(free[0][3])]


def test_top_k_and_top_p_keep_the_likeliest():
    logits = torch.tensor([[0.5, 0.1, 0.3, 0.1]]).log()
    assert keep_likely(logits, top_k=2).isfinite().tolist() == [[True, False, True, False]]
    assert keep_likely(logits, top_p=0.5).isfinite().tolist() == [[True, False, False, False]]
    assert keep_likely(logits, top_p=0.79).isfinite().tolist() == [[True, False, True, False]]
    assert keep_likely(logits, top_p=1.0).equal(logits)
    assert keep_likely(logits, top_k=3, top_p=0.1).isfinite().sum() == 1


def test_draws_follow_the_probabilities():
    model = make(CausalLanguageModel).eval()
    prompt = torch.randint(0, V, (1, 3)).expand(4_000, 3)
    with torch.no_grad():
        expected = model(prompt[:1])[0, -1].softmax(-1)
    drawn = sample(model, prompt, max_new_tokens=1, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(torch.tensor(drawn)[:, 0], minlength=V) / 4_000
    assert (counts - expected).abs().max() < 0.03


def test_learned_positions_refuse_what_they_have_not_learned():
    with pytest.raises(ValueError, match="9 positions were asked for, the model has learned 8"):
        make(CausalLanguageModel, max_positions=8)(torch.zeros(1, 9, dtype=torch.long))


def recurrent(cell: str, shared: bool = False) -> RecurrentLanguageModel:
    torch.manual_seed(0)
    model = RecurrentLanguageModel(
        V,
        embedding_size=D,
        hidden_size=D if shared else 11,
        num_layers=2,
        cell=cell,
        dropout=0.0,
        shared_embeddings=shared,
    ).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_recurrent_model_is_a_generator_over_the_states(cell, shared):
    model = recurrent(cell, shared)
    ids, padding = torch.randint(0, V, (2, 6)), torch.arange(6) >= torch.tensor([[6], [4]])
    states = model.stack(model.embedding(ids))[0]  # proved in test_recurrent
    weight = model.embedding.weight if shared else model.generator.weight
    expected = states @ weight.T + model.generator.bias
    torch.testing.assert_close(model(ids), expected)
    torch.testing.assert_close(model(ids, padding)[1, :4], expected[1, :4])
    weights = [model.embedding.weight, model.generator.bias]
    for one, other in zip(
        torch.autograd.grad(model(ids).square().sum(), weights),
        torch.autograd.grad(expected.square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_recurrent_decoding_with_a_cache_draws_the_tokens_of_decoding_without(cell):
    model = recurrent(cell).eval()
    prompt = torch.randint(0, V, (3, 4))
    fast = sample(
        model, prompt, max_new_tokens=10, top_k=8, generator=torch.Generator().manual_seed(5)
    )
    generator, ids = torch.Generator().manual_seed(5), prompt
    with torch.no_grad():
        for _ in range(10):
            likely = keep_likely(model(ids)[:, -1], top_k=8)
            ids = torch.cat([ids, torch.multinomial(likely.softmax(-1), 1, generator=generator)], 1)
    assert fast == ids[:, 4:].tolist()


@torch.no_grad()
@pytest.mark.parametrize(
    "model",
    [make(CausalLanguageModel).eval(), recurrent("lstm").eval()],
    ids=["causal", "recurrent"],
)
def test_a_step_has_the_logits_of_the_whole_for_the_rows_that_are_kept(model):
    ids, cache = torch.randint(0, V, (3, 6)), model.new_cache()
    whole = model(ids)
    torch.testing.assert_close(model.decode_step(ids[:, :4], cache), whole[:, 3])
    rows = torch.tensor([2, 0])
    cache.keep_rows(rows)
    torch.testing.assert_close(model.decode_step(ids[rows, 4:5], cache), whole[rows, 4])
    assert cache.length == 5


@pytest.mark.parametrize(
    "model",
    [make(CausalLanguageModel), make(MaskedLanguageModel), recurrent("gru")],
    ids=["causal", "masked", "recurrent"],
)
def test_logits_are_the_generators_of_the_features(model):
    ids, padding = torch.randint(0, V, (2, 6)), torch.arange(6) >= torch.tensor([[6], [4]])
    torch.testing.assert_close(model.generator(model.features(ids, padding)), model(ids, padding))


def test_shared_embeddings_need_states_of_their_width():
    with pytest.raises(ValueError, match="embedding_size=4 and hidden_size=5"):
        RecurrentLanguageModel(V, embedding_size=4, hidden_size=5, shared_embeddings=True)


def test_the_output_layer_has_a_matrix_of_its_own_where_embeddings_are_not_shared():
    shared, own = (
        CausalLanguageModel(V, D, H, 1, F, shared_embeddings=both) for both in (True, False)
    )
    assert shared.generator.weight is shared.embedding.weight
    assert own.generator.weight is not own.embedding.weight
    assert own.generator.weight.std().item() == pytest.approx(D**-0.5, rel=0.2)
