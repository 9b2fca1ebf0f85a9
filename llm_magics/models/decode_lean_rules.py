"""What a GenerationConfig says about the next token, as far as the lean loop repeats it exactly.

A setting that is not known here to be honoured, neutral or without effect on greedy decoding means: use `generate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Rules", "rules_of"]

_HONOURED = {
    "max_length", "max_new_tokens", "min_length", "min_new_tokens", "eos_token_id", "decoder_start_token_id",
    "forced_bos_token_id", "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens", "bad_words_ids",
    "no_repeat_ngram_size",
}  # fmt: skip
_WITHOUT_EFFECT = {  # on the tokens of one greedy hypothesis
    "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff", "early_stopping",
    "length_penalty", "renormalize_logits", "bos_token_id", "pad_token_id", "transformers_version", "_from_model_config",
    "output_attentions", "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate",
    "cache_implementation", "cache_config", "max_cache_len", "compile_config", "disable_compile", "low_memory",
    "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_lookbehind",
    "target_lookbehind", "max_matching_ngram_size",
}  # fmt: skip
_NEUTRAL = {
    "use_cache": (True,), "num_beams": (1,), "num_beam_groups": (1,), "num_return_sequences": (1,),
    "repetition_penalty": (1.0,), "encoder_repetition_penalty": (1.0,), "guidance_scale": (1, 1.0),
}  # fmt: skip
_SINGLE = ("forced_bos_token_id", "forced_eos_token_id", "decoder_start_token_id")
_NOTHING = (None, False, 0, 0.0)


class Rules:
    """The settings of one batch; `done` counts the tokens written so far in every row that goes on."""

    def __init__(self, settings: dict[str, Any], start: int, device: Any) -> None:
        self.start, self.done = start, 0
        self.ends = frozenset(_listed(settings.get("eos_token_id")))
        self.decoder_start: int | None = settings.get("decoder_start_token_id", settings.get("bos_token_id"))
        new = settings.get("min_new_tokens") or 0
        self._least = start + new if new else settings.get("min_length") or 0
        self._forced_bos, self._forced_eos = settings.get("forced_bos_token_id"), settings.get("forced_eos_token_id")
        self._ngram = settings.get("no_repeat_ngram_size") or 0
        banned = [word[0] for word in settings.get("bad_words_ids") or [] if word[0] not in self.ends]
        self._banned = _indices(banned, device)
        self._suppressed = _indices(settings.get("suppress_tokens"), device)
        self._suppressed_first = _indices(settings.get("begin_suppress_tokens"), device)
        self._first = start + (start == 1 and self._forced_bos is not None)
        self._eos = _indices(sorted(self.ends), device)

    def history(self, prompts: Any, most: int) -> Any:
        """A buffer (B, start + most) for the tokens of every row, where a rule looks back at them; else None."""
        if not self._ngram:
            return None
        held = prompts.new_zeros((len(prompts), prompts.shape[1] + most))
        held[:, : prompts.shape[1]] = prompts
        return held

    def scores(self, logits: Any, left: Sequence[int], history: Any) -> Any:
        """`logits` (n, V) with what may not come now at -inf; `left` is how many tokens each row may still write.

        The order is that of `generate`. The logits may be changed in place.
        """
        import torch

        scores, length = logits.float(), self.start + self.done
        if self._ngram:
            from transformers import NoRepeatNGramLogitsProcessor

            scores = NoRepeatNGramLogitsProcessor(self._ngram)(history[: len(scores), :length], scores)
        if self._banned is not None:
            scores[:, self._banned] = -torch.inf
        if length < self._least and self._eos is not None:
            scores[:, self._eos] = -torch.inf
        if self._forced_bos is not None and length == 1:
            _force(scores, slice(None), self._forced_bos)
        if self._forced_eos is not None and min(left) == 1:
            _force(scores, [slot for slot, count in enumerate(left) if count == 1], self._forced_eos)
        if self._suppressed is not None:
            scores[:, self._suppressed] = -torch.inf
        if self._suppressed_first is not None and length == self._first:
            scores[:, self._suppressed_first] = -torch.inf
        self.done += 1
        return scores


def rules_of(module: Any, config: Any, *, start: int) -> Rules | None:
    """The rules of `config`, its gaps filled from the model's own; None when one of its settings is beyond them.

    `start` is how many tokens stand before the first one written, padding included.
    """
    held = {name: value for name, value in module.generation_config.to_dict().items() if value is not None}
    held |= {name: value for name, value in config.to_dict().items() if value is not None}
    for name, value in held.items():
        if name in _HONOURED or name in _WITHOUT_EFFECT:
            continue
        if value not in _NEUTRAL.get(name, _NOTHING):
            return None
    if any(len(word) != 1 for word in held.get("bad_words_ids") or []):
        return None
    if any(len(_listed(held.get(name))) > 1 for name in _SINGLE):
        return None
    return Rules(held, start, module.device)


def _force(scores: Any, rows: Any, token: int | list[int]) -> None:
    import torch

    scores[rows] = -torch.inf
    scores[rows, _listed(token)[0]] = 0.0


def _listed(value: Any) -> list[int]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _indices(tokens: Any, device: Any) -> Any:
    import torch

    return torch.tensor(list(tokens), device=device) if tokens else None
