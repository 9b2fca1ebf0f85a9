"""Recurrent networks from their formulas: RNN, LSTM and GRU, one class each, over one shared walk
through time.

Inputs are (B, T, N) with padding on the right; a padding mask (B, T) is True at padding, where
states stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llm_magics.nn.randomness import Dropout

__all__ = ["CELLS", "GRU", "LSTM", "RNN", "Recurrent", "RecurrentCache", "State", "cell_class"]

State = tuple[Tensor, ...]
"""(h,) or (h, c), each (B, D)."""


class Direction(nn.Module):
    """One layer read in one direction: W (G·D, N), U (G·D, D) and b (G·D) for the G gates,
    stacked."""

    def __init__(self, input_size: int, hidden_size: int, gates: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.empty(gates * hidden_size, input_size))
        self.recurrent = nn.Parameter(torch.empty(gates * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(gates * hidden_size))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))


class Layer(nn.ModuleList):
    """The one or two directions of a layer; a module that is called, so that hooks see what comes
    out of every layer."""

    def forward(
        self,
        x: Tensor,
        padding_mask: Tensor | None,
        initial: list[State],
        walk: Callable[..., tuple[Tensor, State]],
    ) -> tuple[Tensor, list[State]]:
        """x (B, T, N) → outputs (B, T, ways · D) and the last state of every direction."""
        walked = [
            walk(x, padding_mask, direction, state, backwards=way == 1)
            for way, (direction, state) in enumerate(zip(self, initial, strict=True))
        ]
        return torch.cat([output for output, _ in walked], -1), [state for _, state in walked]


class Recurrent(nn.Module):
    """The walk through time that the three networks share; a subclass gives `step`."""

    gates = 1
    states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden_size, self.ways = hidden_size, 2 if bidirectional else 1
        self.dropout = Dropout(dropout)
        sizes = [input_size] + [self.ways * hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(
            Layer(self._direction(size) for _ in range(self.ways)) for size in sizes
        )

    def _direction(self, input_size: int) -> Direction:
        return Direction(input_size, self.hidden_size, self.gates)

    def step(self, projected: Tensor, state: State, direction: Direction) -> State:
        """One step: W x_t + b (B, G·D) and the state before → the state after, whose first part is
        h_t."""
        raise NotImplementedError

    def forward(
        self, x: Tensor, padding_mask: Tensor | None = None, initial: list[State] | None = None
    ) -> tuple[Tensor, list[State]]:
        """x (B, T, N) → outputs (B, T, D, or 2·D when bidirectional) and the last state of every
        layer and direction.

        States come layer by layer, forwards before backwards; `initial` takes them in the same
        order (zeros if None). Outputs at padding are zero. Between layers dropout is applied while
        training.
        """
        initial = [self.zeros(x)] * (len(self.layers) * self.ways) if initial is None else initial
        final: list[State] = []
        for number, layer in enumerate(self.layers):
            x, states = layer(
                x, padding_mask, initial[len(final) : len(final) + self.ways], self._walk
            )
            final += states
            if number + 1 < len(self.layers):
                x = self.dropout(x)
        return x, final

    def zeros(self, x: Tensor) -> State:
        """The state before the first step, for the rows of x (B, …)."""
        return tuple(x.new_zeros(x.shape[0], self.hidden_size) for _ in range(self.states))

    def advance(self, projected: Tensor, states: list[State]) -> list[State]:
        """One step of all layers, forwards: W x_t + b of the first layer (B, G·D) and the states
        before → those after."""
        after = [self.step(projected, states[0], self.layers[0][0])]
        for (direction,), state in zip(self.layers[1:], states[1:], strict=True):
            below = self.dropout(after[-1][0])  # (B, D)
            after.append(
                self.step(F.linear(below, direction.input, direction.bias), state, direction)
            )
        return after

    def _walk(
        self,
        x: Tensor,
        padding_mask: Tensor | None,
        direction: Direction,
        state: State,
        backwards: bool,
    ) -> tuple[Tensor, State]:
        # The part that needs no state, all steps at once: T of (B, G·D)
        projected = F.linear(x, direction.input, direction.bias).unbind(1)
        padding = None if padding_mask is None else padding_mask[..., None].unbind(1)  # T of (B, 1)
        outputs: list[Tensor] = [x.new_empty(0)] * len(projected)
        for t in reversed(range(len(projected))) if backwards else range(len(projected)):
            after = self.step(projected[t], state, direction)
            if padding is not None:
                after = tuple(
                    torch.where(padding[t], old, new) for old, new in zip(state, after, strict=True)
                )
            outputs[t], state = after[0], after
        output = torch.stack(outputs, 1)  # (B, T, D)
        return output if padding_mask is None else output.masked_fill(
            padding_mask[..., None], 0.0
        ), state


class RNN(Recurrent):
    """h_t = tanh(W X_t + U h_{t-1} + b), with X_t (N,), h (D,), W (D, N), U (D, D), b (D,).

    Source: Elman 1990, "Finding Structure in Time". W → ``input``, U → ``recurrent``, b → ``bias``.
    """

    def step(self, projected: Tensor, state: State, direction: Direction) -> State:
        return (torch.addmm(projected, state[0], direction.recurrent.T).tanh(),)  # (B, D)


class LSTM(Recurrent):
    """Long short-term memory, one bias a gate:

    i_t = σ(W_i X_t + U_i h_{t-1} + b_i)        f_t = σ(W_f X_t + U_f h_{t-1} + b_f)
    g_t = tanh(W_g X_t + U_g h_{t-1} + b_g)     o_t = σ(W_o X_t + U_o h_{t-1} + b_o)
    c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t             h_t = o_t ⊙ tanh(c_t)

    with X_t (N,), h and c (D,), each W (D, N), U (D, D), b (D,), stacked in the order i, f, g, o.
    Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """

    gates = 4
    states = 2

    def step(self, projected: Tensor, state: State, direction: Direction) -> State:
        h, c = state
        i, f, g, o = torch.addmm(projected, h, direction.recurrent.T).chunk(4, -1)  # (B, D) each
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class GRU(Recurrent):
    """Gated recurrent unit:

    r_t = σ(W_r X_t + U_r h_{t-1} + b_r)        z_t = σ(W_z X_t + U_z h_{t-1} + b_z)
    n_t = tanh(W_n X_t + b_n + r_t ⊙ (U_n h_{t-1} + b_h))
    h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}

    with X_t (N,), h (D,), each W (D, N), U (D, D), b (D,), stacked in the order r, z, n.
    Source: Cho et al. 2014. Departure, as in torch and cuDNN: the reset gate acts after U_n, which
    therefore has a bias of its own, b_h.
    """

    gates = 3

    def _direction(self, input_size: int) -> Direction:
        direction = super()._direction(input_size)
        direction.bias_hidden = nn.Parameter(torch.empty(self.hidden_size))
        nn.init.uniform_(
            direction.bias_hidden, -1 / math.sqrt(self.hidden_size), 1 / math.sqrt(self.hidden_size)
        )
        return direction

    def step(self, projected: Tensor, state: State, direction: Direction) -> State:
        (h,) = state
        x_r, x_z, x_n = projected.chunk(3, -1)  # (B, D) each
        h_r, h_z, h_n = (h @ direction.recurrent.T).chunk(3, -1)
        reset, keep = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
        new = torch.tanh(x_n + reset * (h_n + direction.bias_hidden))
        return ((1 - keep) * new + keep * h,)


class RecurrentCache:
    """What a recurrent decoder knows after the tokens so far: its states, however many tokens they
    were."""

    def __init__(self) -> None:
        self.states: list[State] | None = None
        """Of every layer; None before the first step."""
        self.keys: Tensor | None = None
        """U k_s of a memory (B, S, A), computed once; None without attention."""
        self.length = 0

    def keep_rows(self, rows: Tensor) -> None:
        """Keep only these rows of the batch, in this order; rows is a (B',) index."""
        self.states = self.states and [tuple(part[rows] for part in state) for state in self.states]
        self.keys = None if self.keys is None else self.keys[rows]


CELLS: dict[str, type[Recurrent]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def cell_class(name: str) -> type[Recurrent]:
    """ "rnn", "lstm" or "gru" → its class. Raises ValueError for another name."""
    if name not in CELLS:
        raise ValueError(f"cell must be one of {', '.join(CELLS)}, not {name!r}")
    return CELLS[name]
