"""Decoder-only models, one token at a time: their own forward pass over a cache that is allocated
once."""

from __future__ import annotations

from typing import Any

from llm_magics.models.families import FAST_CAUSAL
from llm_magics.models.folder.linear import faster_linear
from llm_magics.models.generate.fast.ancestry import Ancestry

__all__ = ["CausalSteps", "causal_fits"]

_LENGTH_FREE = {"default", "linear", "llama3", "yarn"}
"""Rotary positions that are the same whatever the longest row of the batch is; "dynamic" and
"longrope" are not."""
_FIRST_TOKENS = 64


def causal_fits(module: Any, most: int) -> bool:
    """Whether the cache here serves the model for `most` tokens, prompt included: every layer sees
    all of them."""
    config = module.config
    if type(module).__name__ not in FAST_CAUSAL or config._attn_implementation != "sdpa":
        return False
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if rope.get("rope_type", rope.get("type", "default")) not in _LENGTH_FREE:
        return False
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (window is None or most <= window) and kinds <= {"full_attention", "sliding_attention"}


class CausalSteps:
    """A batch of prompts (B, P), padded on the left; n of them go on, each in b beams; T columns
    with the prompt.

    The beams of a prompt are so many tokens read at once, at one position, each of which sees its
    own past alone.
    """

    def __init__(self, module: Any, inputs: Any, mask: Any, most: int, beams: int = 1) -> None:
        self.module, self.inputs, self.n, self.mask = module, inputs, len(inputs), mask
        self.room = _Room(self.n, inputs.shape[1] + beams * most)
        self.cache = _cache(self.room, module.config.num_hidden_layers)
        self.ancestry = None if beams == 1 else Ancestry(mask.bool(), beams, module.dtype)
        self.real = None  # (B, 1, 1, T), True = real, where it matters
        if beams == 1 and not bool(mask.all()):
            self.real = mask.new_ones((self.n, 1, 1, self.room.most)).bool()
            self.real[:, 0, 0, : inputs.shape[1]] = mask.bool()
        self.next = mask.sum(1, keepdim=True)  # (B, 1), the position of the next token

    def start(self) -> Any:
        """Logits (B, V) behind the prompts."""
        positions = (self.mask.cumsum(1) - 1).clamp_(min=0)
        return self._forward(self.inputs, positions, self.mask, 1)[:, -1]

    def step(self, tokens: Any) -> Any:
        """Logits (n b, V) behind the tokens (n b,), the beams of a prompt together."""
        n = self.n
        tokens = tokens.view(n, -1)  # (n, b)
        if self.ancestry is not None:
            mask = self.ancestry.step(n)
        else:
            mask = None if self.real is None else self.real[:n, :, :, : self.room.t + 1]
        logits = self._forward(
            tokens, self.next[:n].expand_as(tokens), mask, tokens.shape[1]
        )  # (n, b, V)
        self.next += 1
        return logits.flatten(0, 1)

    def _forward(self, tokens: Any, positions: Any, mask: Any, keep: int) -> Any:
        with faster_linear():
            out = self.module(
                input_ids=tokens,
                position_ids=positions,
                attention_mask=mask,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=keep,
                return_dict=True,
            )
        self.room.t += tokens.shape[1]
        return out.logits

    def follow(self, parents: Any) -> None:
        """Beam j of each prompt goes on from its beam `parents[:, j]`, (n, b)."""
        self.ancestry.follow(parents)

    def replace(self, slot: int, last: int) -> None:
        """Prompt `last` moves to `slot` and the batch ends before `last`."""
        self.n = self.room.n = last
        if slot == last:
            return
        for layer in self.cache.layers:
            for held in (layer.keys, layer.values):
                held[slot, :, : self.room.t] = held[last, :, : self.room.t]
        self.next[slot] = self.next[last]
        if self.ancestry is not None:
            self.ancestry.replace(slot, last)
        elif self.real is not None:
            self.real[slot] = self.real[last]


class _Room:
    """What all layers of a cache share: rows that go on, columns held, columns at most."""

    def __init__(self, n: int, most: int) -> None:
        self.n, self.t, self.most = n, 0, most


def _cache(room: _Room, layers: int) -> Any:
    """A cache of transformers whose layers write into buffers that grow by doubling."""
    from transformers.cache_utils import Cache, CacheLayerMixin

    class Held(CacheLayerMixin):
        is_sliding = False

        def lazy_initialization(self, key_states: Any, value_states: Any = None) -> None:
            size = min(room.most, room.t + key_states.shape[2] + _FIRST_TOKENS)
            self.keys, self.values = (
                _larger(key_states, room, size),
                _larger(value_states, room, size),
            )
            self.is_initialized = True

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            end = room.t + key_states.shape[2]
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            elif end > self.keys.shape[2]:
                size = min(room.most, max(end, 2 * self.keys.shape[2]))
                self.keys, self.values = (
                    _larger(self.keys, room, size),
                    _larger(self.values, room, size),
                )
            self.keys[: room.n, :, room.t : end] = key_states
            self.values[: room.n, :, room.t : end] = value_states
            return self.keys[: room.n, :, :end], self.values[: room.n, :, :end]

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            return room.t + query_length, 0

        def get_seq_length(self) -> int:
            return room.t

        def get_max_length(self) -> int:
            return -1

        get_max_cache_shape = get_max_length  # its name before transformers 5.20

    return Cache(layers=[Held() for _ in range(layers)])


def _larger(held: Any, room: _Room, size: int) -> Any:
    """A buffer (n, H, size, K) that begins with the tokens of `held` (at least n rows) that are
    kept."""
    larger = held.new_empty((room.n, held.shape[1], size, held.shape[3]))
    larger[:, :, : room.t] = held[: room.n, :, : room.t]
    return larger
