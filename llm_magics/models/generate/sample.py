"""Prompts -> texts that go on from them: drawn or most probable tokens, several candidates, until a
stop string.

What `models.generate.generate` does for translations and summaries, one best text each, is done
here for text that is open: every candidate has its own stream of random numbers, ends by itself,
and says why it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from llm_magics.errors import DoesNotFit, InputError, WrongTask
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.backends.openai.sample import continue_remote
from llm_magics.models.generate.batches import bucketed
from llm_magics.models.generate.encoding import Source, encode_sources
from llm_magics.models.generate.generate import Throttle
from llm_magics.models.generate.sampling import Dice, Drawing
from llm_magics.models.generate.stop_strings import first_stop, held_back

__all__ = [
    "INTERRUPTED",
    "LENGTH",
    "MODEL_END",
    "STOP_STRING",
    "Continuation",
    "Row",
    "Wanted",
    "Watch",
    "check_writes",
    "continue_texts",
]

MODEL_END, LENGTH, STOP_STRING, INTERRUPTED = "end", "length", "stop string", "interrupted"
_TOKEN_BUDGET = 4096
_CONTEXT = 6
"""Tokens of the prompt that decide how the first token after it is written."""
_TRANSLATORS = ("marian", "m2m_100", "mbart", "fsmt")

OnText = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Wanted:
    """What `continue_texts` is asked for, the same for all prompts."""

    drawing: Drawing = field(default_factory=Drawing)
    max_new_tokens: int = 256
    stops: tuple[str, ...] = ()
    """The text ends before the first of these."""
    count: int = 1
    """Candidates for each prompt."""


@dataclass(frozen=True)
class Continuation:
    """One candidate."""

    text: str
    """What was written, without the prompt and without the stop string."""
    finish: str
    """Why it ended: "end" (the model said so), "length", "stop string" or "interrupted"."""
    n_tokens: int
    """Tokens computed, an ending one and those of a stop string included."""
    stopped_by: str = ""
    """The stop string."""


class Row:
    """A candidate while it is written; token by token through `take`."""

    def __init__(
        self,
        source: int,
        candidate: int,
        prompt: Sequence[int],
        limit: int,
        wanted: Wanted,
        written: Callable[[Sequence[int]], str],
        ends: frozenset[int],
    ) -> None:
        self.source, self.candidate = source, candidate
        self.tokens: list[int] = []
        self.finish = ""
        self.prompt = list(prompt)
        self.limit = limit
        self._stops, self._written, self._ends = wanted.stops, written, ends
        self._n_ending = 0
        # A token is a character or a byte at least, but for special ones, which few texts hold.
        self._tail = (
            max((len(stop.encode("utf-8", "replace")) for stop in wanted.stops), default=0) + 8
        )

    def take(self, token: int) -> bool:
        """Add a token; whether the text goes on."""
        if self.finish:
            return False
        if token in self._ends:
            self.finish, self._n_ending = MODEL_END, 1
            return False
        self.tokens.append(token)
        if self._stops and self._may_stop() and first_stop(self._written(self.tokens), self._stops):
            self.finish = STOP_STRING
        elif len(self.tokens) >= self.limit:
            self.finish = LENGTH
        return not self.finish

    def _may_stop(self) -> bool:
        """Looks at the last tokens only: the whole text is read again when they hold a stop
        string."""
        return (
            len(self.tokens) <= self._tail
            or first_stop(self._written(self.tokens[-self._tail :]), self._stops) is not None
        )

    def so_far(self) -> str:
        """What may be shown while it is written: it only grows."""
        text = self._written(self.tokens)
        found = first_stop(text, self._stops)
        return text[: found[0]] if found else held_back(text, self._stops)

    def result(self) -> Continuation:
        """The candidate as it is now; one that was not finished was interrupted."""
        text = self._written(self.tokens)
        found = first_stop(text, self._stops)
        if found:
            text = text[: found[0]]
        elif self.finish != MODEL_END:
            text = text.rstrip("\ufffd")  # a character cut in the middle
        finish = STOP_STRING if found else self.finish or INTERRUPTED
        return Continuation(
            text, finish, len(self.tokens) + self._n_ending, found[1] if found else ""
        )


def continue_texts(
    model: LoadedModel,
    sources: Sequence[Source],
    wanted: Wanted,
    *,
    seeds: Sequence[int],
    on_text: OnText | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[list[Continuation]]:
    """The candidates of every source, in their order. A source is a text, or messages for a chat
    model.

    `seeds` has a seed for each source; candidate c of a source is the same however many candidates
    or sources are written beside it (but for the rounding of a batch). `on_text(source, candidate,
    text so far)` is called about ten times a second; `stop()` is asked before every token, and what
    there is then comes back as "interrupted".

    Raises WrongTask for encoders and translators, TooLong, InputError, or DoesNotFit.
    """
    if model.is_remote:
        return continue_remote(model, sources, wanted, seeds=seeds, on_text=on_text, stop=stop)
    check_writes(model)
    ids = _prompts(model, sources)
    ends, limit = _ends(model), model.context_tokens
    rows = []
    for source, prompt in enumerate(ids):
        most = wanted.max_new_tokens
        if limit is not None and not model.is_house and model.kind == "causal":
            most = min(most, limit - len(prompt))
        chat = not isinstance(sources[source], str)
        written = partial(_written, model, () if chat or model.kind == "seq2seq" else prompt)
        rows += [
            Row(source, candidate, prompt, most, wanted, written, ends)
            for candidate in range(wanted.count)
        ]
    streams = [(seeds[row.source], row.candidate) for row in rows]
    pending = bucketed([len(row.prompt) + wanted.max_new_tokens for row in rows], _TOKEN_BUDGET)
    while pending and not (stop is not None and stop()):
        batch = pending.pop(0)
        chosen = [rows[i] for i in batch]
        watch = Watch(chosen, on_text, stop)
        if not _attempt(model, chosen, wanted.drawing, Dice([streams[i] for i in batch]), watch):
            pending[:0] = _halves(model, batch)
    found: list[list[Continuation]] = [[] for _ in ids]
    for row in rows:
        found[row.source].append(row.result())
    return found


class Watch:
    """Tells of the texts of a batch while they grow, and asks whether to stop."""

    def __init__(
        self, rows: list[Row], on_text: OnText | None, stop: Callable[[], bool] | None
    ) -> None:
        self.rows, self._on_text, self._stop = rows, on_text, stop
        self._throttle = Throttle()

    def stopped(self) -> bool:
        """Whether the caller wants no more."""
        return self._stop is not None and self._stop()

    def take(self, tokens: Sequence[int], places: Sequence[int] | None = None) -> list[bool]:
        """A token for each row, or for each at `places`; which of them go on."""
        rows = self.rows if places is None else [self.rows[place] for place in places]
        alive = [row.take(token) for row, token in zip(rows, tokens, strict=True)]
        if self._on_text is not None and self._throttle.due():
            for row in self.rows:
                self._on_text(row.source, row.candidate, row.so_far())
        return alive


def check_writes(model: LoadedModel) -> None:
    """Raises WrongTask for a model that writes no open text."""
    if model.kind == "encoder":
        raise WrongTask(
            f"{model.reference} ({model.family}) encodes text, it does not write any; choose "
            "a "
            "causal model"
        )
    translates = model.family in _TRANSLATORS or (model.is_house and model.task == "translate")
    if model.kind == "seq2seq" and (
        translates or (model.source_language and model.target_language)
    ):
        raise WrongTask(
            f"{model.reference} translates, it does not go on with a text: use %%translate, or "
            "choose a causal "
            "model"
        )


def _prompts(model: LoadedModel, sources: Sequence[Source]) -> list[list[int]]:
    ids = encode_sources(model, sources, None, None)
    if model.is_house and model.kind == "causal":
        # It learnt from pieces cut anywhere out of a stream of text: no mark stands before a
        # prompt, none behind it.
        ids = [tokens[:-1] for tokens in ids]
    if not all(ids):
        raise InputError(f"nothing in the text is a token of {model.reference}")
    return ids


def _ends(model: LoadedModel) -> frozenset[int]:
    """The tokens that end a text."""
    if model.is_house:
        return frozenset([model.tokenizer.special["eos"]])
    end = model.module.generation_config.eos_token_id
    return frozenset(end if isinstance(end, list | tuple) else [] if end is None else [end])


def _written(model: LoadedModel, prompt: Sequence[int], tokens: Sequence[int]) -> str:
    """`tokens` as they would be appended to the prompt."""
    with model.using_tokenizer() as tokenizer:
        if model.is_house:
            decode: Callable[[list[int]], str] = tokenizer.decode_target
        else:
            decode = partial(_decoded, tokenizer)
        before = list(prompt[-_CONTEXT:])
        if not before:
            return decode(list(tokens))
        base, whole = decode(before), decode([*before, *tokens])
        return whole[len(base) :] if whole.startswith(base) else decode(list(tokens))


def _decoded(tokenizer: Any, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def _attempt(
    model: LoadedModel, rows: list[Row], drawing: Drawing, dice: Dice, watch: Watch
) -> bool:
    """Write the rows; False when memory ran out, and then the rows are as they were."""
    from llm_magics.models.backends import hf_sample as continue_transformers
    from llm_magics.models.backends import native_sample as continue_house
    from llm_magics.models.folder.library_errors import is_out_of_memory

    write = (
        continue_house.write_rows
        if model.is_house and model.kind == "causal"
        else continue_transformers.write_rows
    )
    try:
        with model.lock:
            write(model, rows, drawing, dice, watch)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        for row in rows:
            row.tokens, row.finish = [], ""
        return False
    return True


def _halves(model: LoadedModel, batch: list[int]) -> list[list[int]]:
    from llm_magics.models.manager.device import empty_cache

    if len(batch) == 1:
        raise DoesNotFit(
            f"{model.device} has too little memory left for one text alone: unload other models "
            "with %models, "
            "write fewer tokens, or use a smaller model"
        )
    empty_cache(model.device)
    middle = (len(batch) + 1) // 2
    return [batch[:middle], batch[middle:]]
