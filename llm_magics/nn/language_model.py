"""Language models out of the Transformer's encoder: GPT-like (what comes next) and BERT-like (what is missing)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from llm_magics.nn.positions import LearnedPositions, SinusoidalPositions
from llm_magics.nn.transformer import DecoderCache, TransformerEncoder

__all__ = ["CausalLanguageModel", "MaskedLanguageModel"]


class _LanguageModel(nn.Module):
    """Embedding, positions, one stack of layers, and a generator that shares the embedding's matrix."""

    causal = False

    def __init__(self, vocab_size: int, d_model: int, nhead: int, num_layers: int, dim_feedforward: int, *,
                 dropout: float = 0.1, norm_first: bool = True, max_positions: int | None = None) -> None:
        super().__init__()
        self.d_model = d_model
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.positions = SinusoidalPositions(d_model) if max_positions is None else LearnedPositions(d_model, max_positions)
        self.dropout = nn.Dropout(dropout)
        self.stack = TransformerEncoder(d_model, nhead, num_layers, dim_feedforward, dropout=dropout, norm_first=norm_first)
        self.generator = nn.Linear(d_model, vocab_size)
        for parameter in self.stack.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.embedding.weight, std=d_model ** -0.5)  # times √D below: unit variance
        nn.init.zeros_(self.generator.bias)
        self.generator.weight = self.embedding.weight

    def forward(self, ids: Tensor, padding_mask: Tensor | None = None, cache: DecoderCache | None = None) -> Tensor:
        """Token ids (B, T), padding_mask (B, T) with True = padding → logits (B, T, V).

        With a cache (see `new_cache`) ids holds only the newest positions.
        """
        start = 0 if cache is None else cache.length
        x = self.dropout(self.positions(self.embedding(ids) * math.sqrt(self.d_model), start))  # (B, T, D)
        return self.generator(self.stack(x, None, padding_mask, causal=self.causal, cache=cache))  # (B, T, V)


class CausalLanguageModel(_LanguageModel):
    """P(x_1, …, x_T) = Π_t P(x_t | x_<t), each factor softmax(generator(stack(x_<t))): a GPT-like model.

    Logits at position t are those of token t+1. Positions are sinusoidal, or learned when ``max_positions`` is given.
    Source: Radford et al. 2018; the embedding's matrix is the generator's, as in Press & Wolf 2017.
    """

    causal = True

    def new_cache(self) -> DecoderCache:
        """An empty cache for decoding step by step."""
        return DecoderCache(len(self.stack.layers))


class MaskedLanguageModel(_LanguageModel):
    """P(x_t | the other tokens), for positions t whose token was replaced by a mask token: a BERT-like model.

    Logits at position t are those of token t itself. Arguments as for `CausalLanguageModel`.
    Source: Devlin et al. 2019, without its next-sentence task.
    """
