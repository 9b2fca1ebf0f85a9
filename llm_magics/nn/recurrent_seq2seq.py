"""Sequence to sequence with recurrent networks: three steps of a ladder that ends at the
Transformer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llm_magics.nn.additive_attention import AdditiveAttention
from llm_magics.nn.randomness import Dropout
from llm_magics.nn.recurrent import RecurrentCache, cell_class

__all__ = ["RecurrentSeq2Seq"]


class RecurrentSeq2Seq(nn.Module):
    """An encoder reads the source into a memory; a decoder writes P(y_t | y_<t, x) =
    softmax(generator(features_t)).

    With e_t the embedding of y_{t-1}, s_t (D,) the decoder's state and h_j (N,) the encoder's
    outputs, ``attention`` is

    "none"       s_t = cell(e_t, s_{t-1}),       features_t = s_t. The memory is the encoder's last state, layer by
                 layer, where the decoder starts. Source: Sutskever, Vinyals & Le 2014 (theirs reads
                 the source backwards and has 4 layers).
    "context"    s_t = cell([e_t; c], s_{t-1}),  features_t = [s_t; c; e_t], c the top layer's last state: the decoder
                 need not remember it. Source: Cho et al. 2014. Departures: s_0 = c, not tanh(V c),
                 and no maxout.
    "additive"   s_t = cell([e_t; c_t], s_{t-1}), features_t = [s_t; c_t; e_t], c_t = Σ_j a_tj h_j with a_t =
                 `AdditiveAttention` of s_{t-1} over all h_j: the memory grows with the sentence.
                 s_0 = tanh(W [last forward h; last backward h]). Source: Bahdanau, Cho & Bengio
                 2015. Departures: s_0 starts from the last state of both directions, not from the
                       backward one alone, and no maxout.

    To watch the attention, set ``model.attention.observer`` (see `AdditiveAttention`): it is called
    at every step. Dropout is applied to embeddings and between layers.
    """  # noqa: E501  a table or a pattern

    def __init__(
        self,
        src_vocab_size: int,
        tgt_vocab_size: int,
        *,
        embedding_size: int,
        hidden_size: int,
        num_layers: int = 1,
        cell: str = "gru",
        attention: str = "additive",
        bidirectional: bool = False,
        dropout: float = 0.1,
        shared_embeddings: bool = False,
    ) -> None:
        """bidirectional: the encoder reads both ways, only with additive attention.
        shared_embeddings: source and target are one vocabulary with one embedding; the generator,
        whose input is wider, stays its own."""
        super().__init__()
        if attention not in ("none", "context", "additive"):
            raise ValueError(f"attention must be none, context or additive, not {attention!r}")
        if bidirectional and attention != "additive":
            raise ValueError(
                "a decoder without attention starts from the state of one direction: choose "
                "bidirectional=False or attention='additive'"
            )
        if shared_embeddings and src_vocab_size != tgt_vocab_size:
            raise ValueError(
                f"shared_embeddings needs one vocabulary; got src_vocab_size={src_vocab_size} and "
                f"tgt_vocab_size={tgt_vocab_size}"
            )
        kind = cell_class(cell)
        self.fed = attention != "none"  # whether a context goes into every step
        self.source_embedding = nn.Embedding(src_vocab_size, embedding_size)
        self.target_embedding = (
            self.source_embedding
            if shared_embeddings
            else nn.Embedding(tgt_vocab_size, embedding_size)
        )
        self.dropout = Dropout(dropout)
        self.encoder = kind(
            embedding_size, hidden_size, num_layers, bidirectional=bidirectional, dropout=dropout
        )
        width = self.encoder.ways * hidden_size if self.fed else 0  # of the context
        self.decoder = kind(embedding_size + width, hidden_size, num_layers, dropout=dropout)
        self.attention = (
            AdditiveAttention(hidden_size, width, hidden_size) if attention == "additive" else None
        )
        self.start = nn.Linear(width, num_layers * hidden_size) if attention == "additive" else None
        # Attention walks through the decoder step by step, past its `forward`: here its states can
        # be watched.
        self.decoder_states = nn.Identity()
        self.decoder_states.stands_for = f"decoder.layers.{num_layers - 1}"
        self.generator = nn.Linear(
            hidden_size + (width + embedding_size if self.fed else 0), tgt_vocab_size
        )
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=embedding_size**-0.5)
        nn.init.zeros_(self.generator.bias)

    def forward(
        self, src: Tensor, tgt: Tensor, src_key_padding_mask: Tensor | None = None
    ) -> Tensor:
        """Token ids src (B, S), tgt (B, T), src_key_padding_mask (B, S), True = padding → logits
        (B, T, V)."""
        return self.generator(self.features(src, tgt, src_key_padding_mask))

    def features(
        self, src: Tensor, tgt: Tensor, src_key_padding_mask: Tensor | None = None
    ) -> Tensor:
        """As `forward`, up to what the generator reads: (B, T, D), or (B, T, D + N + E) with a
        context."""
        memory = self.encode(src, src_key_padding_mask)
        return self._decode(
            tgt, memory, src_key_padding_mask, self._starting(memory, src_key_padding_mask)
        )

    def encode(self, src: Tensor, src_key_padding_mask: Tensor | None = None) -> Tensor:
        """Token ids (B, S) → the memory: all that the decoder is told of the source.

        With attention the outputs (B, S, N); without, the last state of every layer (B, layers, D),
        for an LSTM (B, 2 · layers, D) as h, c, h, c, ….
        """
        outputs, states = self.encoder(
            self.dropout(self.source_embedding(src)), src_key_padding_mask
        )
        return (
            outputs
            if self.attention is not None
            else torch.stack([part for state in states for part in state], 1)
        )

    def decode_step(
        self,
        tgt: Tensor,
        memory: Tensor,
        memory_key_padding_mask: Tensor | None,
        cache: RecurrentCache,
    ) -> Tensor:
        """The newest target ids (B, T) → logits of the next token (B, V); the cache holds what came
        before."""
        if cache.states is None:
            cache.states = self._starting(memory, memory_key_padding_mask).states
        features = self._decode(tgt, memory, memory_key_padding_mask, cache)
        return self.generator(features[:, -1])  # (B, V)

    def new_cache(self) -> RecurrentCache:
        """An empty cache for `decode_step`."""
        return RecurrentCache()

    def _starting(self, memory: Tensor, padding: Tensor | None) -> RecurrentCache:
        """The decoder before its first token."""
        cache = self.new_cache()
        if self.attention is None:
            parts, size = memory.unbind(1), self.decoder.states
            cache.states = [tuple(parts[i : i + size]) for i in range(0, len(parts), size)]
            return cache
        forward, *backward = memory.chunk(self.encoder.ways, -1)  # (B, S, D) each
        length = None if padding is None else (~padding).sum(1)  # (B,)
        last = (
            forward[:, -1]
            if length is None
            else forward[torch.arange(len(memory), device=memory.device), length - 1]
        )
        ends = torch.cat(
            [last, *(part[:, 0] for part in backward)], -1
        )  # (B, N): a backward reading ends at the front
        cache.states = [
            (h, *self.decoder.zeros(h)[1:])  # an LSTM's c starts at zero
            for h in torch.tanh(self.start(ends)).chunk(len(self.decoder.layers), -1)
        ]
        return cache

    def _decode(
        self, tgt: Tensor, memory: Tensor, padding: Tensor | None, cache: RecurrentCache
    ) -> Tensor:
        """Features (B, T, …) of the tokens that follow the cache, which is brought up to date."""
        embedded = self.dropout(self.target_embedding(tgt))  # (B, T, E)
        cache.length += tgt.shape[1]
        if self.attention is not None:
            return self._attend(embedded, memory, padding, cache)
        if not self.fed:
            hidden, cache.states = self.decoder(embedded, initial=cache.states)
            return hidden
        context = memory[:, -self.decoder.states, None].expand(
            -1, tgt.shape[1], -1
        )  # (B, T, D): h of the top layer
        hidden, cache.states = self.decoder(
            torch.cat((embedded, context), -1), initial=cache.states
        )
        return torch.cat((hidden, context, embedded), -1)

    def _attend(
        self, embedded: Tensor, memory: Tensor, padding: Tensor | None, cache: RecurrentCache
    ) -> Tensor:
        if cache.keys is None:
            cache.keys = self.attention.key(memory)  # (B, S, A)
        first = self.decoder.layers[0][0]
        of_embedding, of_context = first.input.split(
            (embedded.shape[-1], memory.shape[-1]), 1
        )  # W = [W_e, W_c]
        projected = F.linear(embedded, of_embedding, first.bias).unbind(1)  # T of (B, G·D)
        hidden, contexts = [], []
        for step in projected:
            context, _ = self.attention(cache.states[-1][0], memory, padding, cache.keys)  # (B, N)
            cache.states = self.decoder.advance(
                torch.addmm(step, context, of_context.T), cache.states
            )
            hidden.append(cache.states[-1][0])
            contexts.append(context)
        return torch.cat(
            (self.decoder_states(torch.stack(hidden, 1)), torch.stack(contexts, 1), embedded), -1
        )
