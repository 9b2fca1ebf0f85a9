"""The Transformer: encoder, decoder and the sequence-to-sequence model, in the order of the paper's
figure 1.

Source: Vaswani et al. 2017, "Attention Is All You Need". Departures: ``norm_first=True`` (Xiong et
al. 2020) normalises before each sublayer instead of after it; everything else follows the paper.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llm_magics.nn.attention import KeyValue, MultiHeadAttention
from llm_magics.nn.positions import LearnedPositions, SinusoidalPositions
from llm_magics.nn.randomness import Dropout

__all__ = ["KeyValueCache", "Seq2SeqModel", "TransformerDecoder", "TransformerEncoder"]


class KeyValueCache:
    """Keys and values of every decoder layer, so that each new token costs one step."""

    def __init__(self, num_layers: int) -> None:
        self.own: list[KeyValue | None] = [None] * num_layers
        self.cross: list[KeyValue | None] = [None] * num_layers
        self.length = 0

    def keep_rows(self, rows: Tensor) -> None:
        """Keep only these rows of the batch (finished sentences leave); rows is a (B',) index."""
        self.own = [(k[rows], v[rows]) for k, v in self.own]
        self.cross = [
            pair and (pair[0][rows], pair[1][rows]) for pair in self.cross
        ]  # None without a memory


class FeedForward(nn.Module):
    """FFN(x) = max(0, x W₁ + b₁) W₂ + b₂, with x (…, D), W₁ (D, F), W₂ (F, D). Source: section
    3.3."""

    def __init__(self, d_model: int, dim_feedforward: int) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, dim_feedforward)
        self.outer = nn.Linear(dim_feedforward, d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(F.relu(self.inner(x)))  # (…, D)


class Sublayer(nn.Module):
    """The residual connection around a sublayer f: LayerNorm(x + f(x)), or x + f(LayerNorm(x)) with
    norm_first."""

    def __init__(self, d_model: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.dropout = Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: Tensor, f) -> Tensor:
        if self.norm_first:
            return x + self.dropout(f(self.norm(x)))
        return self.norm(x + self.dropout(f(x)))


class EncoderLayer(nn.Module):
    """Self-attention, then the feed-forward layer."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, nhead)
        self.feed_forward = FeedForward(d_model, dim_feedforward)
        self.around_attention = Sublayer(d_model, dropout, norm_first)
        self.around_feed_forward = Sublayer(d_model, dropout, norm_first)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        causal: bool = False,
        cache: KeyValueCache | None = None,
        index: int = 0,
    ) -> Tensor:
        x = self.around_attention(
            x,
            lambda y: self.self_attention(
                y, mask, causal=causal, past=_extend(cache, index, self.self_attention, y)
            ),
        )
        return self.around_feed_forward(x, self.feed_forward)  # (B, S, D)


class TransformerEncoder(nn.Module):
    """A stack of encoder layers over embedded tokens (B, S, D)."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        num_encoder_layers: int,
        dim_feedforward: int,
        *,
        dropout: float = 0.1,
        norm_first: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(d_model, nhead, dim_feedforward, dropout, norm_first)
            for _ in range(num_encoder_layers)
        )
        self.norm = nn.LayerNorm(d_model) if norm_first else nn.Identity()

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        *,
        causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """src (B, S, D); src_mask (S, S), True hides, or float; src_key_padding_mask (B, S), True =
        padding → (B, S, D).

        causal and cache as in `TransformerDecoder.forward`: they make the stack a language model's.
        """
        mask = _merge(src_mask, src_key_padding_mask)
        for index, layer in enumerate(self.layers):
            src = layer(src, mask, causal, cache, index)
        if cache is not None:
            cache.length += src.shape[1]
        return self.norm(src)


class DecoderLayer(nn.Module):
    """Masked self-attention, attention to the encoder's memory, then the feed-forward layer."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, nhead)
        self.cross_attention = MultiHeadAttention(d_model, nhead)
        self.feed_forward = FeedForward(d_model, dim_feedforward)
        self.around_self = Sublayer(d_model, dropout, norm_first)
        self.around_cross = Sublayer(d_model, dropout, norm_first)
        self.around_feed_forward = Sublayer(d_model, dropout, norm_first)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        own_mask: Tensor | None,
        memory_mask: Tensor | None,
        causal: bool,
        cache: KeyValueCache | None = None,
        index: int = 0,
    ) -> Tensor:
        x = self.around_self(
            x,
            lambda y: self.self_attention(
                y, own_mask, causal=causal, past=_extend(cache, index, self.self_attention, y)
            ),
        )
        x = self.around_cross(
            x,
            lambda y: self.cross_attention(
                y, memory_mask, memory, past=_once(cache, index, self.cross_attention, memory)
            ),
        )
        return self.around_feed_forward(x, self.feed_forward)  # (B, T, D)


class TransformerDecoder(nn.Module):
    """A stack of decoder layers over embedded target tokens (B, T, D) and the encoder's memory (B,
    S, D)."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        num_decoder_layers: int,
        dim_feedforward: int,
        *,
        dropout: float = 0.1,
        norm_first: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(d_model, nhead, dim_feedforward, dropout, norm_first)
            for _ in range(num_decoder_layers)
        )
        self.norm = nn.LayerNorm(d_model) if norm_first else nn.Identity()

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        *,
        causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """tgt (B, T, D), memory (B, S, D) → (B, T, D).

        tgt_mask (T, T) and memory_mask (T, S): True hides, or float; the padding masks (B, T) and
        (B, S): True = padding. causal: hide the future without building a mask. cache: tgt holds
        only the newest positions; earlier keys and values come from the cache, which is extended in
        place.
        """
        own, cross = (
            _merge(tgt_mask, tgt_key_padding_mask),
            _merge(memory_mask, memory_key_padding_mask),
        )
        for index, layer in enumerate(self.layers):
            tgt = layer(tgt, memory, own, cross, causal, cache, index)
        if cache is not None:
            cache.length += tgt.shape[1]
        return self.norm(tgt)


class Seq2SeqModel(nn.Module):
    """Encoder, decoder and generator: P(y_t | y_<t, x) = softmax(generator(decoder(y_<t,
    encoder(x)))).

    Embeddings are multiplied by √d_model (section 3.4). With ``shared_embeddings`` source, target
    and generator share one (V, D) matrix, as in the paper; it needs src_vocab_size ==
    tgt_vocab_size. Positions are sinusoidal, or, with ``max_positions``, learned for so many places
    on each side (table 3, row E): longer inputs are then a ValueError.
    """

    def __init__(
        self,
        src_vocab_size: int,
        tgt_vocab_size: int,
        d_model: int,
        nhead: int,
        num_encoder_layers: int,
        num_decoder_layers: int,
        dim_feedforward: int,
        *,
        dropout: float = 0.1,
        shared_embeddings: bool = False,
        norm_first: bool = False,
        max_positions: int | None = None,
    ) -> None:
        super().__init__()
        if shared_embeddings and src_vocab_size != tgt_vocab_size:
            raise ValueError(
                f"shared_embeddings needs one vocabulary; got src_vocab_size={src_vocab_size} and "
                f"tgt_vocab_size={tgt_vocab_size}"
            )
        self.d_model = d_model
        self.source_embedding = nn.Embedding(src_vocab_size, d_model)
        self.target_embedding = (
            self.source_embedding if shared_embeddings else nn.Embedding(tgt_vocab_size, d_model)
        )
        self.positions = (
            SinusoidalPositions(d_model)
            if max_positions is None
            else LearnedPositions(d_model, max_positions)
        )
        self.target_positions = (
            self.positions if max_positions is None else LearnedPositions(d_model, max_positions)
        )
        self.dropout = Dropout(dropout)
        self.encoder = TransformerEncoder(
            d_model,
            nhead,
            num_encoder_layers,
            dim_feedforward,
            dropout=dropout,
            norm_first=norm_first,
        )
        self.decoder = TransformerDecoder(
            d_model,
            nhead,
            num_decoder_layers,
            dim_feedforward,
            dropout=dropout,
            norm_first=norm_first,
        )
        self.generator = nn.Linear(d_model, tgt_vocab_size)
        self._initialise()
        if shared_embeddings:
            self.generator.weight = self.target_embedding.weight

    def _initialise(self) -> None:
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(
                embedding.weight, std=self.d_model**-0.5
            )  # times √D below: unit variance
        for positions in (self.positions, self.target_positions):
            if isinstance(positions, LearnedPositions):
                nn.init.normal_(positions.table, std=0.02)
        nn.init.zeros_(self.generator.bias)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
    ) -> Tensor:
        """Token ids src (B, S), tgt (B, T) → logits (B, T, V). Masks as in
        `TransformerDecoder.forward`.

        Without a tgt_mask the future is hidden; memory_key_padding_mask defaults to
        src_key_padding_mask.
        """
        return self.generator(
            self.features(
                src,
                tgt,
                src_mask,
                tgt_mask,
                memory_mask,
                src_key_padding_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
            )
        )  # (B, T, V)

    def features(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
    ) -> Tensor:
        """As `forward`, up to what the generator reads: (B, T, D)."""
        memory = self.encode(src, src_mask, src_key_padding_mask)
        padding = (
            src_key_padding_mask if memory_key_padding_mask is None else memory_key_padding_mask
        )
        return self.decoder(
            self._embed_target(tgt),
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            padding,
            causal=tgt_mask is None,
        )

    def encode(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
    ) -> Tensor:
        """Token ids (B, S) → the memory (B, S, D)."""
        return self.encoder(
            self._embed(self.source_embedding, self.positions, src), src_mask, src_key_padding_mask
        )

    def decode_step(
        self,
        tgt: Tensor,
        memory: Tensor,
        memory_key_padding_mask: Tensor | None,
        cache: KeyValueCache,
    ) -> Tensor:
        """The newest target ids (B, T) → logits of the next token (B, V); the cache holds what came
        before."""
        x = self._embed_target(tgt, cache.length)
        x = self.decoder(
            x, memory, memory_key_padding_mask=memory_key_padding_mask, causal=True, cache=cache
        )
        return self.generator(x[:, -1])  # (B, V)

    def new_cache(self) -> KeyValueCache:
        """An empty cache for `decode_step`."""
        return KeyValueCache(len(self.decoder.layers))

    def _embed_target(self, ids: Tensor, start: int = 0) -> Tensor:
        return self._embed(self.target_embedding, self.target_positions, ids, start)

    def _embed(
        self, embedding: nn.Embedding, positions: nn.Module, ids: Tensor, start: int = 0
    ) -> Tensor:
        return self.dropout(positions(embedding(ids) * math.sqrt(self.d_model), start))  # (B, T, D)


def _merge(mask: Tensor | None, padding: Tensor | None) -> Tensor | None:
    """One mask from (T, S), True hides or float, and (B, S), True = padding: broadcastable to (B,
    H, T, S)."""
    if padding is None:
        return mask
    padding = padding[:, None, None, :]  # (B, 1, 1, S)
    if mask is None:
        return padding
    return mask | padding if mask.dtype == torch.bool else mask.masked_fill(padding, -math.inf)


def _extend(
    cache: KeyValueCache | None, index: int, attention: MultiHeadAttention, y: Tensor
) -> KeyValue | None:
    """The keys and values of layer `index` with those of the newest positions `y` (B, T, D) behind
    them."""
    if cache is None:
        return None
    key, value = attention.project(y)
    past = cache.own[index]
    if past is not None:
        key, value = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)  # (B, H, S+T, K)
    cache.own[index] = (key, value)
    return key, value


def _once(
    cache: KeyValueCache | None, index: int, attention: MultiHeadAttention, memory: Tensor
) -> KeyValue | None:
    """The memory's keys and values of layer `index`, computed once."""
    if cache is None:
        return None
    if cache.cross[index] is None:
        cache.cross[index] = attention.project(memory)
    return cache.cross[index]
