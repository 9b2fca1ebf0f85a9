"""RNN, LSTM and GRU against torch's own layers with copied weights, in float64: values and
gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from llm_magics.nn.recurrent import GRU, LSTM, RNN

B, T, N, D = 3, 6, 5, 4
KINDS = {"rnn": (RNN, nn.RNN), "lstm": (LSTM, nn.LSTM), "gru": (GRU, nn.GRU)}


@torch.no_grad()
def twins(kind: str, layers: int, bidirectional: bool):
    torch.manual_seed(0)
    ours = KINDS[kind][0](N, D, layers, bidirectional=bidirectional).double()
    theirs = KINDS[kind][1](
        N, D, layers, bidirectional=bidirectional, batch_first=True, dtype=torch.float64
    )
    for number, layer in enumerate(ours.layers):
        for way, direction in enumerate(layer):
            suffix = f"l{number}" + ("_reverse" if way else "")
            getattr(theirs, f"weight_ih_{suffix}").copy_(direction.input)
            getattr(theirs, f"weight_hh_{suffix}").copy_(direction.recurrent)
            getattr(theirs, f"bias_ih_{suffix}").copy_(direction.bias)
            hidden = getattr(theirs, f"bias_hh_{suffix}").zero_()
            if kind == "gru":
                hidden[2 * D :] = direction.bias_hidden
    return ours, theirs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, False), (2, True)])
def test_values_states_and_gradients_equal_torchs_layer(kind, layers, bidirectional):
    ours, theirs = twins(kind, layers, bidirectional)
    x = torch.randn(B, T, N).double().requires_grad_()
    out, final = ours(x)
    expected, state = theirs(x)
    torch.testing.assert_close(out, expected)
    hidden = state[0] if kind == "lstm" else state
    torch.testing.assert_close(torch.stack([s[0] for s in final]), hidden)
    if kind == "lstm":
        torch.testing.assert_close(torch.stack([s[1] for s in final]), state[1])
    weights = [
        (ours.layers[0][0].input, theirs.weight_ih_l0),
        (ours.layers[0][0].recurrent, theirs.weight_hh_l0),
        (ours.layers[0][0].bias, theirs.bias_ih_l0),
        (x, x),
    ]
    mine = torch.autograd.grad(out.square().sum(), [pair[0] for pair in weights])
    other = torch.autograd.grad(expected.square().sum(), [pair[1] for pair in weights])
    for a, b in zip(mine, other, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_gives_what_packed_sequences_give(kind):
    ours, theirs = twins(kind, 2, True)
    x, lengths = torch.randn(B, T, N).double(), torch.tensor([6, 4, 1])
    padding = torch.arange(T) >= lengths[:, None]
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    expected, state = theirs(packed)
    expected, _ = nn.utils.rnn.pad_packed_sequence(expected, batch_first=True)
    out, final = ours(x, padding)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(
        torch.stack([s[0] for s in final]), state[0] if kind == "lstm" else state
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_may_be_read_in_two_parts(kind):
    ours, _ = twins(kind, 2, False)
    x = torch.randn(B, T, N).double()
    whole, end = ours(x)
    first, state = ours(x[:, :2])
    second, later = ours(x[:, 2:], initial=state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(later[-1][0], end[-1][0])


def test_the_rnn_is_its_formula():
    ours, _ = twins("rnn", 1, False)
    direction = ours.layers[0][0]
    x, h = torch.randn(1, 3, N).double(), torch.zeros(1, D).double()
    out, _ = ours(x)
    for t in range(3):
        h = torch.tanh(direction.input @ x[0, t] + direction.recurrent @ h[0] + direction.bias)[
            None
        ]
        torch.testing.assert_close(out[:, t], h)


def test_the_lstm_has_one_bias_a_gate():
    lstm = LSTM(N, D)
    assert sum(p.numel() for p in lstm.parameters()) == 4 * (D * N + D * D + D)


def test_a_hook_sees_what_comes_out_of_every_layer():
    ours, _ = twins("gru", 2, True)
    seen: list[torch.Tensor] = []
    for layer in ours.layers:
        layer.register_forward_hook(lambda module, given, output: seen.append(output[0]))
    out, _ = ours(torch.randn(B, T, N).double())
    assert [tensor.shape for tensor in seen] == [(B, T, 2 * D)] * 2
    assert seen[1] is out


@pytest.mark.parametrize("kind", KINDS)
def test_steps_of_all_layers_give_what_the_walk_gives(kind):
    ours, _ = twins(kind, 2, False)
    x = torch.randn(B, T, N).double()
    out, final = ours(x)
    states, first = [ours.zeros(x)] * 2, ours.layers[0][0]
    for t in range(T):
        states = ours.advance(x[:, t] @ first.input.T + first.bias, states)
        torch.testing.assert_close(states[-1][0], out[:, t])
    torch.testing.assert_close(states, final)
