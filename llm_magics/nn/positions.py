"""Positions: what tells the Transformer the order of the tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["LearnedPositions", "SinusoidalPositions"]


class SinusoidalPositions(nn.Module):
    """PE(pos, 2i) = sin(pos / 10000^(2i/D)),  PE(pos, 2i+1) = cos(pos / 10000^(2i/D)).

    `forward(x, start)` adds them to x (B, T, D), whose first row stands at position `start`.
    The table is computed for the first input, for at least `size` positions, and grows when a
    longer one comes. Source: Vaswani et al. 2017, section 3.5.
    """

    def __init__(self, d_model: int, size: int = 256) -> None:
        super().__init__()
        self.d_model, self.size = d_model, size
        # Empty until it is needed: on the meta device, where modules are outlined, computing it
        # imports torch's compiler.
        self.register_buffer("table", torch.empty(0, d_model), persistent=False)

    def _compute(self, size: int) -> Tensor:
        position = torch.arange(size, dtype=torch.float32).unsqueeze(1)  # (size, 1)
        frequency = torch.exp(
            torch.arange(0, self.d_model, 2) * (-math.log(10_000.0) / self.d_model)
        )  # (⌈D/2⌉,)
        table = torch.zeros(size, self.d_model)
        table[:, 0::2] = torch.sin(position * frequency)
        table[:, 1::2] = torch.cos(position * frequency[: self.d_model // 2])
        return table  # (size, D)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        end = start + x.shape[1]
        if end > self.table.shape[0]:
            self.table = self._compute(max(end, self.size, 2 * self.table.shape[0])).to(self.table)
        return x + self.table[start:end].to(x.dtype)  # (B, T, D)


class LearnedPositions(nn.Module):
    """A learned vector for each of `size` positions, added to x (B, T, D); longer inputs are
    refused.

    Source: Radford et al. 2018 (GPT), Devlin et al. 2019 (BERT).
    """

    def __init__(self, d_model: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.table = nn.Parameter(torch.empty(size, d_model))
        nn.init.normal_(self.table, std=0.02)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        end = start + x.shape[1]
        if end > self.table.shape[0]:
            raise ValueError(
                f"{end} positions were asked for, the model has learned {self.table.shape[0]}; "
                "shorten the text or use sinusoidal positions"
            )
        return x + self.table[start:end]  # (B, T, D)
