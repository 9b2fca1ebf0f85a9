"""From a text to a class, or to a class for each of its tokens."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from llm_magics.nn.positions import SinusoidalPositions
from llm_magics.nn.randomness import Dropout
from llm_magics.nn.recurrent import CELLS
from llm_magics.nn.softmax_regression import SoftmaxRegression, log_probabilities
from llm_magics.nn.transformer import TransformerEncoder

__all__ = ["TextClassifier"]


class BagOfWords(nn.Module):
    """Softmax regression on X (V,), the share that each token of the vocabulary has of the text:
    X_v = n_v / S.

    α_cᵀX is then the mean of α_c over the text's tokens, and is computed so: X itself is never
    built.
    """

    def __init__(self, vocab_size: int, n_classes: int) -> None:
        super().__init__()
        self.regression = SoftmaxRegression(vocab_size, n_classes)

    def forward(self, ids: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """ids (B, S), padding_mask (B, S), True = padding → log-probabilities (B, C)."""
        return log_probabilities(_mean(F.embedding(ids, self.regression.alpha.T), padding_mask))


class TextClassifier(nn.Module):
    """P(class | text) = softmax(W r + b), with r the mean of an encoder's states over the text's
    tokens.

    With ``per_token`` r is each token's own state, and every token has a class. ``encoder`` is

    "bag-of-words"         no encoder: softmax regression on the shares of the tokens; order does not matter.
    "rnn", "lstm", "gru"   recurrent layers of ``d_model`` units, in each direction if ``bidirectional``.
    "transformer"          `TransformerEncoder` with normalisation first; only here ``nhead`` and ``dim_feedforward``
                           matter.
    """  # noqa: E501  a table or a pattern

    def __init__(
        self,
        vocab_size: int,
        n_classes: int,
        *,
        encoder: str = "transformer",
        per_token: bool = False,
        d_model: int = 128,
        num_layers: int = 1,
        nhead: int = 4,
        dim_feedforward: int = 256,
        dropout: float = 0.1,
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        if encoder not in ("bag-of-words", "transformer", *CELLS):
            raise ValueError(
                f"encoder must be one of bag-of-words, {', '.join(CELLS)}, transformer, not "
                f"{encoder!r}"
            )
        if encoder == "bag-of-words" and per_token:
            raise ValueError(
                "a bag of words is one vector a text and cannot tell its tokens apart; choose "
                "another encoder"
            )
        self.per_token, self.scale, self.positions = per_token, 1.0, None
        if encoder == "bag-of-words":
            self.encoder = BagOfWords(vocab_size, n_classes)
            return
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.dropout = Dropout(dropout)
        if encoder == "transformer":
            self.scale, self.positions = math.sqrt(d_model), SinusoidalPositions(d_model)
            self.encoder = TransformerEncoder(
                d_model, nhead, num_layers, dim_feedforward, dropout=dropout, norm_first=True
            )
            width = d_model
        else:
            self.encoder = CELLS[encoder](
                d_model, d_model, num_layers, bidirectional=bidirectional, dropout=dropout
            )
            width = self.encoder.ways * d_model
        self.output = nn.Linear(width, n_classes)
        self._initialise(d_model)

    def _initialise(self, d_model: int) -> None:
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        nn.init.zeros_(self.output.bias)
        if isinstance(self.encoder, TransformerEncoder):
            for parameter in self.encoder.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    def forward(self, ids: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Token ids (B, S), padding_mask (B, S), True = padding → log-probabilities (B, C),
        per_token (B, S, C)."""
        if isinstance(self.encoder, BagOfWords):
            return self.encoder(ids, padding_mask)
        states = self.dropout(self._states(ids, padding_mask))  # (B, S, N)
        return log_probabilities(
            self.output(states if self.per_token else _mean(states, padding_mask))
        )

    def _states(self, ids: Tensor, padding_mask: Tensor | None) -> Tensor:
        x = self.embedding(ids) * self.scale  # (B, S, D)
        if isinstance(self.encoder, TransformerEncoder):
            return self.encoder(self.dropout(self.positions(x)), None, padding_mask)
        return self.encoder(self.dropout(x), padding_mask)[0]


def _mean(x: Tensor, padding_mask: Tensor | None) -> Tensor:
    """The mean of x (B, S, N) over the positions that are not padding: (B, N); 0 for a text of
    none."""
    if padding_mask is None:
        return x.mean(1)
    length = (~padding_mask).sum(1, keepdim=True).clamp(min=1)  # (B, 1)
    return x.masked_fill(padding_mask[..., None], 0.0).sum(1) / length
