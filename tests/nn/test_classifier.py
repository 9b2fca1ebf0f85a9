"""Classifiers: a bag of words is softmax regression, padding changes nothing, order matters where
it should."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from llm_magics.nn import ARCHITECTURES, SoftmaxRegression, TextClassifier
from llm_magics.nn.outline import outline

V, C, D = 23, 4, 8
ENCODERS = ("bag-of-words", "rnn", "lstm", "gru", "transformer")
READERS = ENCODERS[1:]


def make(encoder: str, **options) -> TextClassifier:
    torch.manual_seed(0)
    model = TextClassifier(
        V,
        C,
        encoder=encoder,
        d_model=D,
        num_layers=2,
        nhead=2,
        dim_feedforward=12,
        dropout=0.0,
        **options,
    ).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randint(0, V, (3, 7)), torch.arange(7) >= torch.tensor([5, 7, 3])[:, None]


def test_a_bag_of_words_is_softmax_regression_on_the_shares_of_the_tokens(batch):
    ids, padding = batch
    model, regression = make("bag-of-words"), SoftmaxRegression(V, C).double()
    regression.load_state_dict(model.encoder.regression.state_dict())
    counts = torch.stack(
        [torch.bincount(row[~pad], minlength=V) for row, pad in zip(ids, padding, strict=True)]
    ).double()
    expected = regression(counts / counts.sum(1, keepdim=True))
    log_p = model(ids, padding)
    torch.testing.assert_close(log_p, expected)
    y = torch.tensor([0, 3, 1])
    (mine,) = torch.autograd.grad(nn.functional.nll_loss(log_p, y), model.encoder.regression.alpha)
    (theirs,) = torch.autograd.grad(
        regression.loss(counts / counts.sum(1, keepdim=True), y), regression.alpha
    )
    torch.testing.assert_close(mine, theirs)
    assert [name for name, _ in model.named_parameters()] == ["encoder.regression.alpha"]


@pytest.mark.parametrize("encoder", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("per_token", [False, True])
def test_a_recurrent_classifier_is_a_linear_layer_over_packed_states(encoder, per_token, batch):
    ids, padding = batch
    model = make(encoder, per_token=per_token)
    log_p = model(ids, padding)
    for row in range(3):
        states = model.encoder(model.embedding(ids[row : row + 1, ~padding[row]]))[0][
            0
        ]  # (S, 2·D), proved in test_recurrent
        read = states if per_token else states.sum(0) / len(states)
        expected = nn.functional.log_softmax(read @ model.output.weight.T + model.output.bias, -1)
        torch.testing.assert_close(log_p[row, ~padding[row]] if per_token else log_p[row], expected)


@pytest.mark.parametrize("per_token", [False, True])
def test_a_transformer_classifier_equals_torchs_encoder_with_a_linear_layer(per_token, batch):
    ids, padding = batch
    model = make("transformer", per_token=per_token)
    layer = nn.TransformerEncoderLayer(
        D, 2, 12, dropout=0.0, batch_first=True, norm_first=True, dtype=torch.float64
    )
    theirs = nn.TransformerEncoder(
        layer, 2, norm=nn.LayerNorm(D, dtype=torch.float64), enable_nested_tensor=False
    )
    with torch.no_grad():
        theirs.norm.load_state_dict(model.encoder.norm.state_dict())
        for mine, other in zip(model.encoder.layers, theirs.layers, strict=True):
            a = mine.self_attention
            other.self_attn.in_proj_weight.copy_(
                torch.cat([a.query.weight, a.key.weight, a.value.weight])
            )
            other.self_attn.in_proj_bias.copy_(torch.cat([a.query.bias, a.key.bias, a.value.bias]))
            other.self_attn.out_proj.load_state_dict(a.output.state_dict())
            other.linear1.load_state_dict(mine.feed_forward.inner.state_dict())
            other.linear2.load_state_dict(mine.feed_forward.outer.state_dict())
            other.norm1.load_state_dict(mine.around_attention.norm.state_dict())
            other.norm2.load_state_dict(mine.around_feed_forward.norm.state_dict())
    log_p = model(ids, padding)
    for row in range(3):
        x = model.positions(model.embedding(ids[row : row + 1, ~padding[row]]) * D**0.5)
        states = theirs(x)[0]
        read = states if per_token else states.sum(0) / len(states)
        expected = nn.functional.log_softmax(model.output(read), -1)
        torch.testing.assert_close(log_p[row, ~padding[row]] if per_token else log_p[row], expected)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_padding_does_not_change_a_text(encoder, batch):
    ids, padding = batch
    model = make(encoder)
    whole = model(ids, padding)
    torch.testing.assert_close(model(ids[2:, :3]), whole[2:])
    torch.testing.assert_close(model(ids.masked_fill(padding, 5), padding), whole)
    torch.testing.assert_close(whole.exp().sum(-1), torch.ones(3).double())


@pytest.mark.parametrize("encoder", READERS)
def test_padding_does_not_change_the_tokens_before_it(encoder, batch):
    ids, padding = batch
    model = make(encoder, per_token=True)
    whole = model(ids, padding)
    assert whole.shape == (3, 7, C)
    torch.testing.assert_close(model(ids[2:, :3]), whole[2:, :3])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_only_a_bag_of_words_is_blind_to_order(encoder, batch):
    ids, _ = batch
    model = make(encoder)
    assert torch.allclose(model(ids), model(ids.flip(1))) == (encoder == "bag-of-words")


@pytest.mark.parametrize("encoder", ENCODERS)
def test_words_that_decide_are_learned(encoder):
    torch.manual_seed(0)
    ids = torch.randint(2, V, (64, 6))
    labels = (torch.arange(64) % 2).long()
    ids[:, 3] = labels  # token 0 or 1 somewhere in the text says which
    model = TextClassifier(
        V, 2, encoder=encoder, d_model=16, nhead=2, dim_feedforward=16, dropout=0.0
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.3 if encoder == "bag-of-words" else 0.02)
    for _ in range(60):
        loss = nn.functional.nll_loss(model(ids), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(ids).argmax(-1) == labels).all()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_log_probabilities_keep_their_precision_under_autocast(encoder, batch):
    ids, padding = batch
    with torch.autocast("cpu", torch.bfloat16):
        log_p = make(encoder).float()(ids, padding)
    assert log_p.dtype == torch.float32
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(3))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="cannot tell its tokens apart"):
        TextClassifier(V, C, encoder="bag-of-words", per_token=True)
    with pytest.raises(
        ValueError, match="encoder must be one of bag-of-words, rnn, lstm, gru, transformer"
    ):
        TextClassifier(V, C, encoder="cnn")


ARGUMENTS = {
    "Seq2SeqModel": {
        "src_vocab_size": V,
        "tgt_vocab_size": V,
        "d_model": D,
        "nhead": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "dim_feedforward": 12,
        "shared_embeddings": True,
    },
    "RecurrentSeq2Seq": {
        "src_vocab_size": V,
        "tgt_vocab_size": V + 1,
        "embedding_size": 5,
        "hidden_size": D,
        "num_layers": 2,
        "cell": "lstm",
        "attention": "additive",
        "bidirectional": True,
    },
    "CausalLanguageModel": {
        "vocab_size": V,
        "d_model": D,
        "nhead": 2,
        "num_layers": 1,
        "dim_feedforward": 12,
    },
    "RecurrentLanguageModel": {
        "vocab_size": V,
        "embedding_size": D,
        "hidden_size": D,
        "shared_embeddings": True,
    },
    "MaskedLanguageModel": {
        "vocab_size": V,
        "d_model": D,
        "nhead": 2,
        "num_layers": 1,
        "dim_feedforward": 12,
    },
    "TextClassifier": {"vocab_size": V, "n_classes": C, "encoder": "gru"},
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_can_be_outlined_without_memory(name):
    empty, model = (
        build(ARCHITECTURES[name], **ARGUMENTS[name])
        for build in (outline, lambda cls, **a: cls(**a))
    )
    assert all(parameter.is_meta for parameter in empty.parameters())
    shapes = [
        {key: tensor.shape for key, tensor in module.state_dict().items()}
        for module in (empty, model)
    ]
    assert shapes[0] == shapes[1]
