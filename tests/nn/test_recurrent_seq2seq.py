"""The recurrent translators against their formulas, written out with torch's own layers and copied
weights, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from llm_magics.nn import RecurrentSeq2Seq
from llm_magics.nn.decoding import beam, greedy

V, W, E, D, LAYERS = 31, 29, 6, 8, 2
THEIRS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CELLS = pytest.mark.parametrize("cell", THEIRS)
KINDS = pytest.mark.parametrize(
    ("attention", "bidirectional"),
    [("none", False), ("context", False), ("additive", False), ("additive", True)],
)


def make(attention: str, bidirectional: bool = False, cell: str = "gru") -> RecurrentSeq2Seq:
    torch.manual_seed(0)
    model = RecurrentSeq2Seq(
        V,
        W,
        embedding_size=E,
        hidden_size=D,
        num_layers=LAYERS,
        cell=cell,
        attention=attention,
        bidirectional=bidirectional,
        dropout=0.0,
    ).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    padding = torch.arange(7) >= torch.tensor([5, 7, 3])[:, None]
    return torch.randint(4, V, (3, 7)).masked_fill(padding, 0), torch.randint(4, W, (3, 6)), padding


@torch.no_grad()
def twin(ours, cell: str) -> nn.RNNBase:
    theirs = THEIRS[cell](
        ours.layers[0][0].input.shape[1],
        D,
        LAYERS,
        bidirectional=ours.ways == 2,
        batch_first=True,
        dtype=torch.float64,
    )
    for number, layer in enumerate(ours.layers):
        for way, direction in enumerate(layer):
            suffix = f"l{number}" + ("_reverse" if way else "")
            getattr(theirs, f"weight_ih_{suffix}").copy_(direction.input)
            getattr(theirs, f"weight_hh_{suffix}").copy_(direction.recurrent)
            getattr(theirs, f"bias_ih_{suffix}").copy_(direction.bias)
            hidden = getattr(theirs, f"bias_hh_{suffix}").zero_()
            if cell == "gru":
                hidden[2 * D :] = direction.bias_hidden
    return theirs


def written_out(
    model: RecurrentSeq2Seq, cell: str, src: torch.Tensor, tgt: torch.Tensor
) -> torch.Tensor:
    """Logits (T, W) of one sentence without padding: src (S,), tgt (T,)."""
    encoder, decoder = twin(model.encoder, cell), twin(model.decoder, cell)
    outputs, last = encoder(model.source_embedding(src))  # (S, N)
    hidden = last[0] if cell == "lstm" else last  # (layers, D), without attention
    if model.attention is not None:
        ends = torch.cat([outputs[-1, :D], outputs[0, D:]])
        hidden = torch.tanh(model.start.weight @ ends + model.start.bias).view(LAYERS, D)
        last = (hidden, torch.zeros_like(hidden)) if cell == "lstm" else hidden
    state, context, logits = last, hidden[-1], []
    for token in tgt:
        e = model.target_embedding(token)
        if model.attention is not None:
            query = (state[0] if cell == "lstm" else state)[-1]
            scores = torch.stack(
                [
                    model.attention.score.weight[0]
                    @ torch.tanh(
                        model.attention.query.weight @ query + model.attention.key.weight @ key
                    )
                    for key in outputs
                ]
            )
            context = sum(
                weight * key for weight, key in zip(scores.softmax(0), outputs, strict=True)
            )
        given = torch.cat([e, context]) if model.fed else e
        out, state = decoder(given[None], state)
        logits.append(model.generator(torch.cat([out[0], context, e]) if model.fed else out[0]))
    return torch.stack(logits)


@CELLS
@KINDS
def test_values_and_gradients_are_the_formulas(cell, attention, bidirectional, batch):
    src, tgt, padding = batch
    model = make(attention, bidirectional, cell)
    logits = model(src, tgt, padding)
    expected = torch.stack(
        [written_out(model, cell, s[~p], t) for s, p, t in zip(src, padding, tgt, strict=True)]
    )
    torch.testing.assert_close(logits, expected)
    # Weights that the written-out model uses as they are, not as copies
    weights = [model.target_embedding.weight, model.source_embedding.weight, model.generator.weight]
    if attention == "additive":
        weights += [model.attention.query.weight, model.attention.key.weight, model.start.weight]
    mine = torch.autograd.grad(logits.square().sum(), weights)
    for one, other in zip(mine, torch.autograd.grad(expected.square().sum(), weights), strict=True):
        torch.testing.assert_close(one, other)


@KINDS
def test_every_gradient_is_the_finite_difference(attention, bidirectional, batch):
    src, tgt, padding = batch
    model = make(attention, bidirectional)
    loss = model(src, tgt, padding).square().mean()
    names, parameters = zip(*model.named_parameters(), strict=True)
    for name, parameter, grad in zip(
        names, parameters, torch.autograd.grad(loss, parameters), strict=True
    ):
        place = int(grad.abs().argmax())
        with torch.no_grad():
            flat = parameter.view(-1)
            flat[place] += 1e-6
            above = model(src, tgt, padding).square().mean()
            flat[place] -= 2e-6
            below = model(src, tgt, padding).square().mean()
            flat[place] += 1e-6
        assert grad.view(-1)[place].item() == pytest.approx(
            (above - below).item() / 2e-6, rel=1e-5
        ), name


@KINDS
def test_padding_does_not_change_a_sentence(attention, bidirectional, batch):
    src, tgt, padding = batch
    model = make(attention, bidirectional)
    torch.testing.assert_close(model(src[2:, :3], tgt[2:]), model(src, tgt, padding)[2:])


@torch.no_grad()
@CELLS
@KINDS
def test_every_cached_step_has_the_logits_of_the_whole(cell, attention, bidirectional, batch):
    src, tgt, padding = batch
    model = make(attention, bidirectional, cell).eval()
    memory, cache, whole = model.encode(src, padding), model.new_cache(), model(src, tgt, padding)
    torch.testing.assert_close(model.decode_step(tgt[:, :2], memory, padding, cache), whole[:, 1])
    for t in range(2, tgt.shape[1]):
        torch.testing.assert_close(
            model.decode_step(tgt[:, t : t + 1], memory, padding, cache), whole[:, t]
        )
    assert cache.length == tgt.shape[1]


@torch.no_grad()
@KINDS
def test_cached_greedy_decoding_gives_the_tokens_of_the_uncached(attention, bidirectional, batch):
    src, _, padding = batch
    model = make(attention, bidirectional).eval()
    ends = int(
        model(src[:1], torch.tensor([[1]]), padding[:1])[0, -1].argmax()
    )  # the first sentence ends at once
    together = greedy(model, src, padding, bos=1, eos=ends, max_new_tokens=12)
    assert together[0] == []
    for row in range(3):
        sequence = [1]
        for _ in range(12):
            token = int(
                model(src[row : row + 1], torch.tensor([sequence]), padding[row : row + 1])[
                    0, -1
                ].argmax()
            )
            if token == ends:
                break
            sequence.append(token)
        assert together[row] == sequence[1:]


@torch.no_grad()
@KINDS
def test_beams_may_be_reordered_and_give_what_each_sentence_gives_alone(
    attention, bidirectional, batch
):
    src, _, padding = batch
    model = make(attention, bidirectional).eval()
    common = {"bos": 1, "eos": 2, "max_new_tokens": 8}
    assert beam(model, src, padding, beams=1, **common) == greedy(model, src, padding, **common)
    wide = beam(model, src, padding, beams=4, **common)
    for row, (sentence, pad) in enumerate(zip(src, padding, strict=True)):
        assert beam(model, sentence[~pad][None], None, beams=4, **common)[0] == wide[row]

    def score(row: int, tokens: list[int]) -> float:
        ids = [1, *tokens, 2][: common["max_new_tokens"] + 1]
        log_p = model(src[row : row + 1], torch.tensor([ids[:-1]]), padding[row : row + 1])[
            0
        ].log_softmax(-1)
        return sum(log_p[i, token].item() for i, token in enumerate(ids[1:])) / (len(ids) - 1)

    for row, tokens in enumerate(greedy(model, src, padding, **common)):
        assert score(row, wide[row]) >= score(row, tokens) - 1e-12


def test_without_attention_the_memory_does_not_grow_with_the_sentence(batch):
    src, _, padding = batch
    assert make("none", cell="lstm").encode(src, padding).shape == (3, 2 * LAYERS, D)
    assert make("context", cell="gru").encode(src, padding).shape == (3, LAYERS, D)
    assert make("additive", True).encode(src, padding).shape == (3, 7, 2 * D)


def test_attention_weights_can_be_watched_and_sum_to_one_over_the_words(batch):
    src, tgt, padding = batch
    model, seen = make("additive", True), []
    model.attention.observer = seen.append
    model(src, tgt, padding)
    weights = torch.stack(seen, 1)  # (B, T, S)
    assert weights.shape == (3, 6, 7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 6).double())
    assert not weights[padding[:, None].expand_as(weights)].any()


def test_the_published_sizes_have_the_published_numbers_of_parameters():
    """bentrevett's second model (embeddings 256, state 512, 7,853 and 5,893 words), whose GRUs have
    one bias more a gate."""
    model = RecurrentSeq2Seq(
        7853, 5893, embedding_size=256, hidden_size=512, cell="gru", attention="context"
    )
    second_bias = 2 * 2 * 512  # of r and z, in encoder and decoder
    assert sum(p.numel() for p in model.parameters()) + second_bias == 14_219_781


def test_what_does_not_fit_is_refused():
    sizes = {"embedding_size": E, "hidden_size": D}
    with pytest.raises(ValueError, match="cell must be one of rnn, lstm, gru"):
        RecurrentSeq2Seq(V, W, cell="qrnn", **sizes)
    with pytest.raises(ValueError, match="attention must be none, context or additive"):
        RecurrentSeq2Seq(V, W, attention="dot", **sizes)
    with pytest.raises(ValueError, match="one direction"):
        RecurrentSeq2Seq(V, W, attention="context", bidirectional=True, **sizes)
    with pytest.raises(ValueError, match="one vocabulary"):
        RecurrentSeq2Seq(V, W, shared_embeddings=True, **sizes)
    shared = RecurrentSeq2Seq(V, V, shared_embeddings=True, **sizes)
    assert shared.source_embedding is shared.target_embedding
