"""What a GenerationConfig says about the next token, as far as the lean loop repeats it exactly.

A setting that is not known here to be honoured, neutral or without effect means: use `generate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["History", "Rules", "rules_of"]

_HONOURED = {
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_new_tokens",
    "eos_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "suppress_tokens",
    "begin_suppress_tokens",
    "bad_words_ids",
    "no_repeat_ngram_size",
    "repetition_penalty",
    "num_beams",
    "num_return_sequences",
    "length_penalty",
    "early_stopping",
}
_WITHOUT_EFFECT = {  # unless one samples
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "top_h",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "bos_token_id",
    "pad_token_id",
    "transformers_version",
    "_from_model_config",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "output_logits",
    "return_dict_in_generate",
    "cache_implementation",
    "cache_config",
    "max_cache_len",
    "compile_config",
    "disable_compile",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "assistant_confidence_threshold",
    "assistant_lookbehind",
    "target_lookbehind",
    "max_matching_ngram_size",
}
_GREEDY_ONLY = {"renormalize_logits", "low_memory"}
"""Without effect on the tokens of one greedy hypothesis."""
_NEUTRAL = {
    "use_cache": (True,),
    "num_beam_groups": (1,),
    "encoder_repetition_penalty": (1.0,),
    "guidance_scale": (1, 1.0),
}
_SINGLE = ("forced_bos_token_id", "forced_eos_token_id", "decoder_start_token_id")
_NOTHING = (None, False, 0, 0.0)


@dataclass
class History:
    """The tokens of each row, where a rule looks back at them."""

    tokens: Any
    """(rows, start + most); what is not written yet is anything."""
    padding: Any
    """(rows,): how many tokens at the front of each are padding."""

    def write(self, column: int, chosen: Any) -> None:
        """The first rows have `chosen` as their token in `column`."""
        self.tokens[: len(chosen), column] = chosen

    def move(self, slot: int, last: int) -> None:
        """Row `last` moves to `slot`."""
        self.tokens[slot], self.padding[slot] = self.tokens[last], self.padding[last]


class Rules:
    """The settings of one batch; `done` counts the tokens written so far in every row that goes
    on."""

    def __init__(self, settings: dict[str, Any], start: int, device: Any) -> None:
        self.start, self.done = start, 0
        self.ends = frozenset(_listed(settings.get("eos_token_id")))
        self.decoder_start: int | None = settings.get(
            "decoder_start_token_id", settings.get("bos_token_id")
        )
        new = settings.get("min_new_tokens") or 0
        self._least = start + new if new else settings.get("min_length") or 0
        self._forced_bos, self._forced_eos = (
            settings.get("forced_bos_token_id"),
            settings.get("forced_eos_token_id"),
        )
        self._ngram = settings.get("no_repeat_ngram_size") or 0
        self._penalty: float = settings.get("repetition_penalty", 1.0)
        self.beams: int = settings.get("num_beams", 1)
        self.wanted: int = settings.get("num_return_sequences", 1)
        self.length_penalty: float = settings.get("length_penalty", 1.0)
        self.early_stopping: bool | str = settings.get("early_stopping", False)
        banned = [
            word[0] for word in settings.get("bad_words_ids") or [] if word[0] not in self.ends
        ]
        self._banned = _indices(banned, device)
        self._suppressed = _indices(settings.get("suppress_tokens"), device)
        self._suppressed_first = _indices(settings.get("begin_suppress_tokens"), device)
        self._first = start + (start == 1 and self._forced_bos is not None)
        self._eos = _indices(sorted(self.ends), device)

    def history(self, prompts: Any, mask: Any, most: int) -> History:
        """The tokens of every row, `prompts` (B, start) with `mask` (1 = real) and room for `most`
        more."""
        held = prompts.new_zeros((len(prompts), prompts.shape[1] + most))
        held[:, : prompts.shape[1]] = prompts
        return History(held, mask.argmax(1))

    @property
    def looks_back(self) -> bool:
        """Whether `scores` needs the history."""
        return bool(self._ngram) or self._penalty != 1.0

    def scores(self, logits: Any, left: Sequence[int], history: History | None) -> Any:
        """`logits` (n, V) with what may not come now at -inf; `left` is how many tokens each row
        may still write.

        The order is that of `generate`. The logits may be changed in place; a beam search gives
        logarithms of probabilities, as `generate` does.
        """
        import torch

        scores, length = logits.float(), self.start + self.done
        if history is not None and self.looks_back:
            scores = self._looking_back(
                scores, history.tokens[: len(scores), :length], history.padding[: len(scores)]
            )
        if self._banned is not None:
            scores[:, self._banned] = -torch.inf
        if length < self._least and self._eos is not None:
            scores[:, self._eos] = -torch.inf
        if self._forced_bos is not None and length == 1:
            _force(scores, slice(None), self._forced_bos)
        if self._forced_eos is not None and min(left) == 1:
            _force(
                scores, [slot for slot, count in enumerate(left) if count == 1], self._forced_eos
            )
        if self._suppressed is not None:
            scores[:, self._suppressed] = -torch.inf
        if self._suppressed_first is not None and length == self._first:
            scores[:, self._suppressed_first] = -torch.inf
        self.done += 1
        return scores

    def _looking_back(self, scores: Any, tokens: Any, padding: Any) -> Any:
        from transformers import NoRepeatNGramLogitsProcessor

        if self._penalty != 1.0:
            scores = _penalised(scores, tokens, padding, self._penalty)
        return NoRepeatNGramLogitsProcessor(self._ngram)(tokens, scores) if self._ngram else scores


def rules_of(module: Any, config: Any, *, start: int) -> Rules | None:
    """The rules of `config`, its gaps filled from the model's own; None when one of its settings is
    beyond them.

    `start` is how many tokens stand before the first one written, padding included.
    """
    held = {
        name: value
        for name, value in module.generation_config.to_dict().items()
        if value is not None
    }
    held |= {name: value for name, value in config.to_dict().items() if value is not None}
    one = held.get("num_beams", 1) == 1
    for name, value in held.items():
        if name in _HONOURED or name in _WITHOUT_EFFECT or (one and name in _GREEDY_ONLY):
            continue
        if value not in _NEUTRAL.get(name, _NOTHING):
            return None
    if any(len(word) != 1 for word in held.get("bad_words_ids") or []):
        return None
    if any(len(_listed(held.get(name))) > 1 for name in _SINGLE):
        return None
    penalty = held.get("repetition_penalty", 1.0)
    if (
        not isinstance(penalty, float)
        or penalty <= 0
        or held.get("num_return_sequences", 1) > held.get("num_beams", 1)
    ):
        return None  # an error, which `generate` explains
    return Rules(held, start, module.device)


def _penalised(scores: Any, tokens: Any, padding: Any, penalty: float) -> Any:
    """Scores (n, V) of tokens (n, T) that a row already has, its padding not counted, made smaller:
    a fresh tensor."""
    import torch
    from torch.nn.functional import pad

    vocabulary = scores.shape[1]
    places = torch.arange(tokens.shape[1], device=tokens.device)
    outside = (places < padding[:, None]) | (tokens > vocabulary)
    tokens = tokens.masked_fill(outside, vocabulary)  # a column more takes what does not count
    scores = pad(scores, (0, 1))  # (n, V + 1)
    had = scores.gather(1, tokens)
    return scores.scatter_(1, tokens, torch.where(had < 0, had * penalty, had / penalty))[
        :, :vocabulary
    ]


def _force(scores: Any, rows: Any, token: int | list[int]) -> None:
    import torch

    scores[rows] = -torch.inf
    scores[rows, _listed(token)[0]] = 0.0


def _listed(value: Any) -> list[int]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _indices(tokens: Any, device: Any) -> Any:
    import torch

    return torch.tensor(list(tokens), device=device) if tokens else None
