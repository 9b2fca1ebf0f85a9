"""One batch through CTranslate2.

Greedy search writes what transformers' `generate` does, but for the last digits of its sums. Beam
search is that of `generate` with early_stopping and renormalize_logits: it ends once as many
hypotheses as beams have ended, and a token that may not come next gives its probability to the
others. Two things differ: the token before the first counts neither as repeated
(repetition_penalty) nor as part of an n-gram, and where authors force an ending at the limit
(forced_eos_token_id) hypotheses that reach it are compared without the forced token.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from llm_magics.errors import InputError, WrongTask
from llm_magics.models.backends.hf.decode import decode_texts, default_new_tokens, end_tokens
from llm_magics.models.folder.library_errors import boundary
from llm_magics.models.generate.types import DecodeRequest, Generation, Throttle, different

if TYPE_CHECKING:
    import ctranslate2

    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["decode_batch"]

_LOOK_EVERY_S = 0.002
_TAKEN = (
    "length_penalty",
    "repetition_penalty",
    "no_repeat_ngram_size",
    "bad_words_ids",
    "suppress_tokens",
    "min_length",
    "min_new_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
)
_IN_EFFECT = ("early_stopping", "renormalize_logits", "do_sample", "remove_invalid_values")
"""Settings that are as they are here whatever a model's authors set; see the module's docstring."""
_LACKING = (
    "begin_suppress_tokens",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "sequence_bias",
    "exponential_decay_length_penalty",
    "diversity_penalty",
    "guidance_scale",
    "penalty_alpha",
    "stop_strings",
)
_NEUTRAL = (None, 0, 1, 1.0, False, [], {})


def decode_batch(
    translator: ctranslate2.Translator,
    model: LoadedModel,
    ids: list[list[int]],
    positions: list[int],
    request: DecodeRequest,
) -> list[Generation]:
    """Texts for token lists; `positions` are the indices reported to `on_text`."""
    settings = _settings(model, request)
    ends, forced = end_tokens(model.generation_config), settings["forced_eos_token_id"]
    limit = _limit(model, max(map(len, ids)), request)
    watcher = _Watcher(model, positions, request)
    with boundary(str(model.reference), "run by CTranslate2"):
        results = _start(
            translator, model, ids, request, settings, limit - (forced is not None), watcher.rows
        )
    watcher.follow(results)
    with boundary(str(model.reference), "run by CTranslate2"):
        found = [result.result() for result in results]
    rows, texts = [], []
    for one in found:
        written = [[int(token) for token in tokens] for tokens in one.hypotheses]
        if (
            forced is not None and not watcher.was_stopped
        ):  # transformers ends every text at the limit so
            last = forced[0] if isinstance(forced, list) else forced
            written = [
                row if row and row[-1] in ends else [*row[: limit - 1], last] for row in written
            ]
        rows.append(written[0])
        texts.append(decode_texts(model, written, request.forced_bos))
    ended = [bool(row) and row[-1] in ends for row in rows]
    return [
        Generation(
            best,
            tuple(row[:-1] if at_end else row),
            len(read),
            len(row),
            at_end or not watcher.was_stopped,
            different(best, others),
        )
        for row, (best, *others), at_end, read in zip(rows, texts, ended, ids, strict=True)
    ]


def _start(
    translator: ctranslate2.Translator,
    model: LoadedModel,
    ids: list[list[int]],
    request: DecodeRequest,
    settings: dict[str, Any],
    limit: int,
    told: _Rows,
) -> list[Any]:
    """The batch under way: an AsyncTranslationResult for each of `ids`."""
    first = settings["forced_bos_token_id"] if request.forced_bos is None else request.forced_bos
    never = [
        *(settings["bad_words_ids"] or ()),
        *([token] for token in settings["suppress_tokens"] or ()),
    ]
    most = max(1, limit)
    asked = settings[
        "min_new_tokens"
    ]  # takes the place of min_length, which counts the token before the first
    least = min(most, max((settings["min_length"] or 1) - 1, 0) if asked is None else asked)
    return translator.translate_batch(
        [[str(token) for token in tokens] for tokens in ids],
        None if first is None else [[str(first)]] * len(ids),
        beam_size=request.num_beams,
        num_hypotheses=request.alternatives + 1,
        asynchronous=True,
        max_input_length=0,
        min_decoding_length=least,
        max_decoding_length=most,
        return_end_token=True,
        end_token=sorted(end_tokens(model.generation_config)) or None,
        length_penalty=_number(settings["length_penalty"]),
        repetition_penalty=_number(settings["repetition_penalty"]),
        no_repeat_ngram_size=settings["no_repeat_ngram_size"] or 0,
        suppress_sequences=[[str(token) for token in tokens] for tokens in never] or None,
        callback=told.add if request.num_beams == 1 else None,
    )


def _settings(model: LoadedModel, request: DecodeRequest) -> dict[str, Any]:
    """What the authors set, and what was asked for. Raises InputError or WrongTask for what
    CTranslate2 lacks."""
    authors = model.generation_config
    for name, value in request.extra.items():
        if name not in (*_TAKEN, *_IN_EFFECT) or (name == "do_sample" and value):
            raise InputError(
                f"the engine ctranslate2 has no setting {name}={value!r}: leave the engine out, "
                f"or use {', '.join(_TAKEN)}"
            )
    lacking = [name for name in _LACKING if getattr(authors, name, None) not in _NEUTRAL]
    if lacking:
        raise WrongTask(
            f"{model.reference} writes with {lacking[0]}, which the engine ctranslate2 does not "
            "have: leave the engine out"
        )
    settings = {name: request.extra.get(name, getattr(authors, name, None)) for name in _TAKEN}
    if request.min_new_tokens is not None:
        settings["min_new_tokens"] = request.min_new_tokens
    return settings


def _number(value: float | None) -> float:
    return 1.0 if value is None else float(value)


def _limit(model: LoadedModel, longest: int, request: DecodeRequest) -> int:
    """Tokens to write at most, the ending one included; positions there are none for are not asked
    for."""
    wanted = request.max_new_tokens or default_new_tokens(model, longest, model.generation_config)
    return min(wanted, model.max_source_tokens or wanted)


class _Rows:
    """The tokens written so far, as CTranslate2 tells of them in a thread of its own: in a greedy
    search only.

    It must not lead to the translator. CTranslate2's thread may be the last to hold it, and a
    translator that is freed in its own thread waits for itself, which ends the process.
    """

    def __init__(self, count: int) -> None:
        self.written: list[list[int]] = [[] for _ in range(count)]
        self.is_over = False

    def add(self, step: Any) -> bool:
        """Takes a token; whether its text is to end here."""
        self.written[step.batch_id].append(step.token_id)
        return self.is_over


class _Watcher:
    """Follows a batch in the caller's thread: reports the texts so far and asks whether to stop.

    With beams nothing is reported before the end, and the batch under way is finished when a stop
    is asked for.
    """

    def __init__(self, model: LoadedModel, positions: list[int], request: DecodeRequest) -> None:
        self.model, self.positions, self.request = model, positions, request
        self.rows, self.is_greedy = _Rows(len(positions)), request.num_beams == 1
        self.was_stopped = False
        self.throttle = Throttle()

    def follow(self, results: list[Any]) -> None:
        """Returns once all results are there."""
        try:
            while not all(result.done() for result in results):
                self._look()
                time.sleep(_LOOK_EVERY_S)
        finally:
            # after an interrupt too: what goes on in the background ends at its next token
            self.rows.is_over = True

    def _look(self) -> None:
        request = self.request
        if request.stopped():
            self.rows.is_over = True
            self.was_stopped = self.is_greedy
        elif request.on_text is not None and self.is_greedy and self.throttle.due():
            texts = decode_texts(
                self.model, [list(row) for row in self.rows.written], request.forced_bos
            )
            for position, text in zip(self.positions, texts, strict=True):
                request.on_text(position, text, False)
            self.throttle.spent()
