"""Candidates while they are written, token by token, on a model that is computed here; smaller
batches when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from llm_magics.errors import InputError
from llm_magics.models.folder.library_errors import is_out_of_memory
from llm_magics.models.generate.batches import bucketed, halves
from llm_magics.models.generate.sampling import RandomStreams, SamplingParams
from llm_magics.models.generate.stop_strings import first_stop, held_back
from llm_magics.models.generate.types import (
    INTERRUPTED,
    LENGTH,
    MODEL_END,
    STOP_STRING,
    Continuation,
    SampleRequest,
    SamplingOptions,
    Throttle,
)

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["Row", "SampleWatcher", "WriteRows", "appended", "sample_in_batches"]

_TOKEN_BUDGET = 4096
_CONTEXT = 6
"""Tokens of the prompt that decide how the first token after it is written."""


class Row:
    """A candidate while it is written; token by token through `take`."""

    def __init__(
        self,
        source: int,
        candidate: int,
        prompt: Sequence[int],
        limit: int,
        options: SamplingOptions,
        written: Callable[[Sequence[int]], str],
        ends: frozenset[int],
    ) -> None:
        self.source, self.candidate = source, candidate
        self.tokens: list[int] = []
        self.finish = ""
        self.prompt = list(prompt)
        self.limit = limit
        self._stops, self._written, self._ends = options.stops, written, ends
        self._n_ending = 0
        # A token is a character or a byte at least, but for special ones, which few texts hold.
        self._tail = (
            max((len(stop.encode("utf-8", "replace")) for stop in options.stops), default=0) + 8
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


class SampleWatcher:
    """Tells of the texts of a batch while they grow, and asks whether to stop."""

    def __init__(self, rows: list[Row], request: SampleRequest) -> None:
        self.rows, self._request = rows, request
        self._throttle = Throttle()

    def stopped(self) -> bool:
        """Whether the caller wants no more."""
        return self._request.stopped()

    def take(self, tokens: Sequence[int], places: Sequence[int] | None = None) -> list[bool]:
        """A token for each row, or for each at `places`; which of them go on."""
        rows = self.rows if places is None else [self.rows[place] for place in places]
        alive = [row.take(token) for row, token in zip(rows, tokens, strict=True)]
        on_text = self._request.on_text
        if on_text is not None and self._throttle.due():
            for row in self.rows:
                on_text(row.source, row.candidate, row.so_far())
        return alive


WriteRows = Callable[["LoadedModel", list[Row], SamplingParams, RandomStreams, SampleWatcher], None]
"""Goes on with each row of a batch until it has ended."""


def sample_in_batches(
    model: LoadedModel,
    request: SampleRequest,
    ids: list[list[int]],
    *,
    ends: frozenset[int],
    decode: Callable[[list[int]], str],
    write_rows: WriteRows,
    window: int | None = None,
) -> list[list[Continuation]]:
    """The candidates of every source; `ids` are the token ids of the prompts.

    `ends` are the tokens that end a text, `decode` turns tokens into text, and `window` is how many
    tokens a prompt and what follows it may have together (None: no limit).
    """
    if not all(ids):
        raise InputError(f"nothing in the text is a token of {model.reference}")
    options, rows = request.options, []
    for source, prompt in enumerate(ids):
        most = (
            options.max_new_tokens
            if window is None
            else min(options.max_new_tokens, window - len(prompt))
        )
        is_chat = not isinstance(request.sources[source], str)
        before = () if is_chat or model.kind == "seq2seq" else prompt
        written = partial(appended, decode, before)
        rows += [
            Row(source, candidate, prompt, most, options, written, ends)
            for candidate in range(options.count)
        ]
    pending = bucketed([len(row.prompt) + options.max_new_tokens for row in rows], _TOKEN_BUDGET)
    while pending and not request.stopped():
        batch = pending.pop(0)
        chosen = [rows[i] for i in batch]
        streams = RandomStreams([(request.seeds[row.source], row.candidate) for row in chosen])
        if not _attempt(model, chosen, options.params, streams, request, write_rows):
            pending[:0] = halves(model, batch, "one text alone")
    found: list[list[Continuation]] = [[] for _ in ids]
    for row in rows:
        found[row.source].append(row.result())
    return found


def appended(
    decode: Callable[[list[int]], str], prompt: Sequence[int], tokens: Sequence[int]
) -> str:
    """`tokens` as they would be appended to the prompt."""
    before = list(prompt[-_CONTEXT:])
    if not before:
        return decode(list(tokens))
    base, whole = decode(before), decode([*before, *tokens])
    return whole[len(base) :] if whole.startswith(base) else decode(list(tokens))


def _attempt(
    model: LoadedModel,
    rows: list[Row],
    params: SamplingParams,
    streams: RandomStreams,
    request: SampleRequest,
    write_rows: WriteRows,
) -> bool:
    """Write the rows; False when memory ran out, and then the rows are as they were."""
    try:
        with model.lock:
            write_rows(model, rows, params, streams, SampleWatcher(rows, request))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        for row in rows:
            row.tokens, row.finish = [], ""
        return False
    return True
