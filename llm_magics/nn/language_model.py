"""Language models: GPT-like and recurrent ones (what comes next), and a BERT-like one (what is
missing)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from llm_magics.nn.positions import LearnedPositions, SinusoidalPositions
from llm_magics.nn.randomness import Dropout
from llm_magics.nn.recurrent import RecurrentCache, cell_class
from llm_magics.nn.transformer import KeyValueCache, TransformerEncoder

__all__ = ["CausalLanguageModel", "MaskedLanguageModel", "RecurrentLanguageModel"]


class _LanguageModel(nn.Module):
    """Embedding, positions, one stack of layers, and a generator, whose matrix is the embedding's
    where they share it."""

    causal = False

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        nhead: int,
        num_layers: int,
        dim_feedforward: int,
        *,
        dropout: float = 0.1,
        norm_first: bool = True,
        max_positions: int | None = None,
        shared_embeddings: bool = True,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.positions = (
            SinusoidalPositions(d_model)
            if max_positions is None
            else LearnedPositions(d_model, max_positions)
        )
        self.dropout = Dropout(dropout)
        self.stack = TransformerEncoder(
            d_model, nhead, num_layers, dim_feedforward, dropout=dropout, norm_first=norm_first
        )
        self.generator = nn.Linear(d_model, vocab_size)
        for parameter in self.stack.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)  # times √D below: unit variance
        nn.init.zeros_(self.generator.bias)
        if shared_embeddings:
            self.generator.weight = self.embedding.weight
        else:
            nn.init.normal_(self.generator.weight, std=d_model**-0.5)

    def forward(
        self, ids: Tensor, padding_mask: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Token ids (B, T), padding_mask (B, T) with True = padding → logits (B, T, V).

        With a cache (see `new_cache`) ids holds only the newest positions.
        """
        return self.generator(self.features(ids, padding_mask, cache))  # (B, T, V)

    def features(
        self, ids: Tensor, padding_mask: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """As `forward`, up to what the generator reads: (B, T, D)."""
        start = 0 if cache is None else cache.length
        x = self.dropout(
            self.positions(self.embedding(ids) * math.sqrt(self.d_model), start)
        )  # (B, T, D)
        return self.stack(x, None, padding_mask, causal=self.causal, cache=cache)


class CausalLanguageModel(_LanguageModel):
    """P(x_1, …, x_T) = Π_t P(x_t | x_<t), each factor softmax(generator(stack(x_<t))): a GPT-like
    model.

    Logits at position t are those of token t+1. Positions are sinusoidal, or learned when
    ``max_positions`` is given. With ``shared_embeddings`` the embedding's matrix is the
    generator's, as in Press & Wolf 2017: right for language, where a token is read as what it is
    when written; wrong for random letters, where it makes every letter predict itself. Source:
    Radford et al. 2018.
    """

    causal = True

    def decode_step(self, ids: Tensor, cache: KeyValueCache) -> Tensor:
        """The newest ids (B, T) → logits of the next token (B, V); the cache holds what came
        before."""
        return self.generator(self.features(ids, cache=cache)[:, -1])

    def new_cache(self) -> KeyValueCache:
        """An empty cache for `decode_step`."""
        return KeyValueCache(len(self.stack.layers))


class MaskedLanguageModel(_LanguageModel):
    """P(x_t | the other tokens), for positions t whose token was replaced by a mask token: a
    BERT-like model.

    Logits at position t are those of token t itself. Arguments as for `CausalLanguageModel`.
    Source: Devlin et al. 2019, without its next-sentence task.
    """


class RecurrentLanguageModel(nn.Module):
    """P(x_1, …, x_T) = Π_t P(x_t | x_<t), where all of x_<t is the state of a recurrent network.

    h_t = cell(embedding of x_t, h_{t-1}); logits of token t+1 = generator(h_t). Source: Mikolov et
    al. 2010; with ``shared_embeddings`` the embedding's matrix is the generator's (Press & Wolf
    2017).
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        embedding_size: int,
        hidden_size: int,
        num_layers: int = 1,
        cell: str = "lstm",
        dropout: float = 0.1,
        shared_embeddings: bool = False,
    ) -> None:
        super().__init__()
        if shared_embeddings and embedding_size != hidden_size:
            raise ValueError(
                "shared_embeddings needs embeddings as wide as the states; got "
                f"embedding_size={embedding_size} and hidden_size={hidden_size}"
            )
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.dropout = Dropout(dropout)
        self.stack = cell_class(cell)(embedding_size, hidden_size, num_layers, dropout=dropout)
        self.generator = nn.Linear(hidden_size, vocab_size)
        nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5)
        nn.init.zeros_(self.generator.bias)
        if shared_embeddings:
            self.generator.weight = self.embedding.weight

    def forward(
        self, ids: Tensor, padding_mask: Tensor | None = None, cache: RecurrentCache | None = None
    ) -> Tensor:
        """Token ids (B, T), padding_mask (B, T) with True = padding → logits (B, T, V).

        With a cache (see `new_cache`) ids holds only the newest positions.
        """
        return self.generator(self.features(ids, padding_mask, cache))

    def features(
        self, ids: Tensor, padding_mask: Tensor | None = None, cache: RecurrentCache | None = None
    ) -> Tensor:
        """As `forward`, up to what the generator reads: (B, T, D)."""
        x = self.dropout(self.embedding(ids))  # (B, T, E)
        outputs, states = self.stack(x, padding_mask, None if cache is None else cache.states)
        if cache is not None:
            cache.states, cache.length = states, cache.length + ids.shape[1]
        return self.dropout(outputs)

    def decode_step(self, ids: Tensor, cache: RecurrentCache) -> Tensor:
        """The newest ids (B, T) → logits of the next token (B, V); the cache holds what came
        before."""
        return self.generator(self.features(ids, cache=cache)[:, -1])

    def new_cache(self) -> RecurrentCache:
        """An empty cache for `decode_step`."""
        return RecurrentCache()
