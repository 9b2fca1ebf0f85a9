"""Encoder-decoder models, one token at a time: the decoder layers of transformers, called without
their wrappers.

Letters as in `llm_magics.nn`: B sources, n of which go on, b beams of each (1 when greedy), S
source, T columns of the cache, H heads, K width of a head, D model width. Keys and values of the
source are computed once and shared by its beams, which are the queries of one attention; those of
the target go into buffers that grow by doubling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llm_magics.models.families import FAMILIES
from llm_magics.models.folder.linear import faster_linear, linear_of, linears_of
from llm_magics.models.generate.fast.ancestry import Ancestry
from llm_magics.models.generate.fast.attention import as_bias, attend

__all__ = ["STEPS", "BartSteps", "T5Steps"]

_FIRST_TOKENS = 64
_ENCODED_TOKENS = 512


class _Seq2SeqSteps:
    """What all encoder-decoder families share: buffers, masks, and rows that leave."""

    def __init__(
        self, module: Any, inputs: Any, mask: Any, most: int, start: int, beams: int = 1
    ) -> None:
        import torch

        self.module, self.n = module, len(inputs)
        self.t = 0
        """Tokens read by each row."""
        self.most, self.columns, self.most_columns = (
            most,
            0,
            most if beams == 1 else 1 + beams * (most - 1),
        )
        self._start = torch.full((len(inputs),), start, device=inputs.device)
        self.layers = self._layers(module)
        self.cross = self._sources(inputs, mask)
        """(keys, values) of the source for each layer, both (B, H, S, K)."""
        keys = self.cross[0][0]
        self.cross_bias = as_bias(
            mask.bool()[:, None, None, :], keys.dtype
        )  # (B, 1, 1, S), -inf = padding
        shape = (
            2,
            len(inputs),
            keys.shape[1],
            min(self.most_columns, _FIRST_TOKENS),
            keys.shape[3],
        )
        self.own = [keys.new_empty(shape) for _ in self.layers]
        self.ancestry = (
            None
            if beams == 1
            else Ancestry(mask.new_ones((len(inputs), 1)).bool(), beams, keys.dtype)
        )

    def _layers(self, module: Any) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _sources(self, inputs: Any, mask: Any) -> list[tuple[Any, Any]]:
        """What `cross` holds; on a CPU a few sources at a time, so that what is computed stays in
        its caches."""
        n, longest = inputs.shape
        step = max(1, _ENCODED_TOKENS // longest) if inputs.device.type == "cpu" else n
        cross: list[tuple[Any, Any]] = []
        for first in range(0, n, step):
            part = slice(first, first + step)
            end = int(mask[part].any(0).nonzero()[-1]) + 1  # behind it all of them are padding
            with faster_linear():
                read = self.module.get_encoder()(
                    input_ids=inputs[part, :end], attention_mask=mask[part, :end]
                )
            memory = read.last_hidden_state  # (part of B, end, D)
            for i, layer in enumerate(self.layers):
                if first == 0:
                    shape = (n, layer["heads"], longest, layer["width"])
                    cross.append((memory.new_zeros(shape), memory.new_zeros(shape)))
                for held, name in zip(cross[i], ("cross_k", "cross_v"), strict=True):
                    split = layer[name](memory).unflatten(
                        2, (layer["heads"], -1)
                    )  # (part of B, end, H, K)
                    held[part, :, :end] = split.transpose(1, 2)
        return cross

    def start(self) -> Any:
        """Logits (B, V) behind the token that starts a target."""
        return self._read(self._start, None)

    def step(self, tokens: Any) -> Any:
        """Logits (n b, V) behind the tokens (n b,), the beams of a source together."""
        return self._read(tokens, None if self.ancestry is None else self.ancestry.step(self.n))

    def _read(self, tokens: Any, bias: Any) -> Any:
        self.new = len(tokens) // self.n  # columns
        while self.columns + self.new > self.own[0].shape[3]:
            self._grow()
        logits = self._forward(tokens, bias)
        self.columns += self.new
        self.t += 1
        return logits

    def _forward(self, tokens: Any, bias: Any) -> Any:
        """Logits of tokens whose `bias` (n, 1, b, T), if any, says what they see of the T columns
        with their own."""
        raise NotImplementedError

    def follow(self, parents: Any) -> None:
        """Beam j of each source goes on from its beam `parents[:, j]`, (n, b)."""
        self.ancestry.follow(parents)

    def replace(self, slot: int, last: int) -> None:
        """Source `last` moves to `slot` and the batch ends before `last`."""
        self.n = last
        if slot == last:
            return
        for own in self.own:
            own[:, slot, :, : self.columns] = own[:, last, :, : self.columns]
        for keys, values in self.cross:
            keys[slot], values[slot] = keys[last], values[last]
        if self.cross_bias is not None:
            self.cross_bias[slot] = self.cross_bias[last]
        if self.ancestry is not None:
            self.ancestry.replace(slot, last)

    def _grow(self) -> None:
        size, end = min(2 * self.own[0].shape[3], self.most_columns), self.columns
        for i, own in enumerate(self.own):
            larger = own.new_empty((*own.shape[:3], size, own.shape[4]))
            larger[:, : self.n, :, :end] = own[:, : self.n, :, :end]
            self.own[i] = larger

    def _look_back(
        self, i: int, layer: dict[str, Any], hidden: Any, bias: Any, scale: float
    ) -> Any:
        """Self-attention of the newest tokens (n b, D) over all written ones: (n b, D)."""
        own, n, begin, end = self.own[i], self.n, self.columns, self.columns + self.new
        heads = (n, self.new, layer["heads"], -1)
        query, key, value = (
            part.view(heads).transpose(1, 2) for part in layer["qkv"](hidden)
        )  # (n, H, b, K) each
        own[0, :n, :, begin:end], own[1, :n, :, begin:end] = key, value
        seen = attend(query, own[0, :n, :, :end], own[1, :n, :, :end], bias, scale)  # (n, H, b, K)
        return layer["out"](seen.transpose(1, 2).reshape(len(hidden), -1))

    def _look_across(self, i: int, layer: dict[str, Any], hidden: Any, scale: float) -> Any:
        """Attention of the newest tokens (n b, D) over the source: (n b, D)."""
        keys, values = self.cross[i]
        n, bias = self.n, self.cross_bias
        query = (
            layer["cross_q"](hidden).view(n, self.new, layer["heads"], -1).transpose(1, 2)
        )  # (n, H, b, K)
        seen = attend(query, keys[:n], values[:n], None if bias is None else bias[:n], scale)
        return layer["cross_out"](seen.transpose(1, 2).reshape(len(hidden), -1))


class BartSteps(_Seq2SeqSteps):
    """Marian, BART, mBART, Pegasus and M2M-100 (NLLB): one layout, with the norms after or before
    each block."""

    def _layers(self, module: Any) -> list[dict[str, Any]]:
        decoder, fast = module.get_decoder(), _FAST[type(module).__name__]
        self.pre_norm, self.embed = fast.norm_first, decoder.embed_tokens
        self.embed_scale = decoder.embed_scale if fast.scales_outside else 1.0
        self.positions = _POSITIONS[fast.positions](decoder.embed_positions)
        self.embed_norm = getattr(decoder, "layernorm_embedding", None)
        self.final_norm = getattr(decoder, "layer_norm", None)
        self.head = linear_of(module.lm_head)
        bias = module.final_logits_bias if fast.has_logits_bias else None  # of most models all zero
        self.head_bias = None if bias is None or not bool(bias.any()) else bias
        return [_bart_layer(layer) for layer in decoder.layers]

    def _forward(self, tokens: Any, bias: Any) -> Any:
        hidden = self.embed(tokens) * self.embed_scale + self.positions(tokens, self.t)  # (n b, D)
        if self.embed_norm is not None:
            hidden = self.embed_norm(hidden)
        before, after = (_apply, _leave) if self.pre_norm else (_leave, _apply)
        for i, layer in enumerate(self.layers):
            norms, scale = layer["norms"], layer["scale"]
            hidden = after(
                norms[0], hidden + self._look_back(i, layer, before(norms[0], hidden), bias, scale)
            )
            hidden = after(
                norms[1], hidden + self._look_across(i, layer, before(norms[1], hidden), scale)
            )
            inner = layer["activation"](layer["fc1"](before(norms[2], hidden)))
            hidden = after(norms[2], hidden + layer["fc2"](inner))
        if self.final_norm is not None:
            hidden = self.final_norm(hidden)
        logits = self.head(hidden)
        return logits if self.head_bias is None else logits.add_(self.head_bias)


def _bart_layer(layer: Any) -> dict[str, Any]:
    own, cross = layer.self_attn, layer.encoder_attn
    return {
        "qkv": linears_of(own.q_proj, own.k_proj, own.v_proj),
        "out": linear_of(own.out_proj),
        "width": own.head_dim,
        "cross_q": linear_of(cross.q_proj),
        "cross_k": linear_of(cross.k_proj),
        "cross_v": linear_of(cross.v_proj),
        "cross_out": linear_of(cross.out_proj),
        "fc1": linear_of(layer.fc1),
        "fc2": linear_of(layer.fc2),
        "activation": layer.activation_fn,
        "heads": own.num_heads,
        "scale": own.scaling,
        "norms": (
            layer.self_attn_layer_norm,
            layer.encoder_attn_layer_norm,
            layer.final_layer_norm,
        ),
    }


def _apply(norm: Callable[[Any], Any], hidden: Any) -> Any:
    return norm(hidden)


def _leave(norm: Callable[[Any], Any], hidden: Any) -> Any:
    return hidden


def _by_row(embedding: Any) -> Callable[[Any, int], Any]:
    return lambda tokens, t: embedding.weight[t]


def _by_row_after_two(embedding: Any) -> Callable[[Any, int], Any]:
    return lambda tokens, t: embedding.weight[t + embedding.offset]


def _by_token(embedding: Any) -> Callable[[Any, int], Any]:
    return lambda tokens, t: embedding(tokens[:, None], None, t)[
        :, 0
    ]  # a padding token has no position


_POSITIONS = {"row": _by_row, "row after two": _by_row_after_two, "token": _by_token}
_FAST = {
    family.fast.architecture: family.fast for family in FAMILIES.values() if family.fast is not None
}
"""Class of transformers → how its decoder is computed."""


class T5Steps(_Seq2SeqSteps):
    """T5 and its 1.1 versions: relative positions as a bias of the scores, no scaling of them."""

    def _layers(self, module: Any) -> list[dict[str, Any]]:
        decoder, config = module.get_decoder(), module.config
        self.embed, self.final_norm, self.head = (
            decoder.embed_tokens,
            decoder.final_layer_norm,
            linear_of(module.lm_head),
        )
        self.out_scale = config.d_model**-0.5 if config.scale_decoder_outputs else None
        first = decoder.block[0].layer[0].SelfAttention
        # Of the last query over all keys, (1, H, 1, most); an earlier query has the end of it.
        self.bias = first.compute_bias(1, self.most, past_seen_tokens=self.most - 1)
        return [_t5_layer(block.layer) for block in decoder.block]

    def _forward(self, tokens: Any, bias: Any) -> Any:
        import torch

        hidden = self.embed(tokens)  # (n b, D)
        near = self.bias[..., self.most - 1 - self.t :]  # (1, H, 1, t + 1)
        if bias is not None:  # the first token has one column, each later one b
            near = (
                torch.cat([near[..., :1], near[..., 1:].repeat_interleave(self.new, -1)], -1) + bias
            )  # (n, H, b, T)
        for i, layer in enumerate(self.layers):
            norms = layer["norms"]
            hidden = hidden + self._look_back(i, layer, norms[0](hidden), near, 1.0)
            hidden = hidden + self._look_across(i, layer, norms[1](hidden), 1.0)
            with faster_linear():
                hidden = layer["forward"](hidden)  # with its norm and its residual
        hidden = self.final_norm(hidden)
        return self.head(hidden if self.out_scale is None else hidden * self.out_scale)


def _t5_layer(parts: Any) -> dict[str, Any]:
    own, cross = parts[0].SelfAttention, parts[1].EncDecAttention
    return {
        "qkv": linears_of(own.q, own.k, own.v),
        "out": linear_of(own.o),
        "width": own.key_value_proj_dim,
        "cross_q": linear_of(cross.q),
        "cross_k": linear_of(cross.k),
        "cross_v": linear_of(cross.v),
        "cross_out": linear_of(cross.o),
        "heads": own.n_heads,
        "forward": parts[2],
        "norms": (parts[0].layer_norm, parts[1].layer_norm),
    }


STEPS: dict[str, Callable[..., Any]] = {
    name: T5Steps if fast.steps == "t5" else BartSteps for name, fast in _FAST.items()
}
"""Class of transformers → how it is stepped."""
