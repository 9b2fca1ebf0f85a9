"""Many texts at once: the sentences of many rows go through the model together, window by window."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from llm_magics.display.parallel import SentencePair
from llm_magics.errors import InputError
from llm_magics.tasks.choose import Opened, open_model
from llm_magics.tasks.direction import Direction, direction_of
from llm_magics.tasks.plan import translators
from llm_magics.tasks.results import RowError, Translation
from llm_magics.tasks.translate import glue_between, readable_document, translate_sentences
from llm_magics.tasks.work import account, answers, readable

if TYPE_CHECKING:
    from llm_magics.models.manager import ModelManager

__all__ = ["WINDOW_ROWS", "translate_each"]

WINDOW_ROWS = 512
"""Rows that are in work at once: enough to sort sentences by length, few enough for memory to stay constant."""

_SAMPLE_CHARACTERS = 20_000

Row = Translation | RowError
Stop = Callable[[], bool] | None


def translate_each(
    rows: Iterable[str],
    *,
    manager: ModelManager,
    target: str | None = None,
    source: str = "auto",
    model: object = None,
    default: object = None,
    load_options: dict[str, object] | None = None,
    num_beams: int = 1,
    max_new_tokens: int | None = None,
    on_row: Callable[[int, Row], None] | None = None,
    stop: Stop = None,
) -> list[Row]:
    """One Translation, or one RowError with the reason, for each row, in order.

    Options as in `translate`. A source of "auto" is detected once, in the first rows: a column is taken to be
    of one language. A row that is no text, empty or too long does not stop the others; a model that fails
    does. `on_row(index, result)` is called as rows are finished, not in order within a window. Once `stop()` is
    true, the list ends with the last row that is done; rows before it that are not are RowErrors. Words are not
    aligned, and seconds are not told apart.
    """
    results: dict[int, Row] = {}

    def keep(i: int, row: Row) -> None:
        results[i] = row
        if on_row is not None:
            on_row(i, row)

    opened = direction = None
    with contextlib.ExitStack() as stack:
        for window in _windows(rows):
            texts = _read(window, keep)
            if texts and opened is None:
                opened, direction = _open(stack, texts, manager, source, target, model, default, load_options)
            if texts:
                work = _Window(texts, opened, direction, {"num_beams": num_beams, "max_new_tokens": max_new_tokens})
                work.translate(keep, stop)
            if stop is not None and stop():
                break
    unfinished = "it was stopped before this row was done"
    return [results.get(i) or RowError(row=i, reason=unfinished) for i in range(max(results, default=-1) + 1)]


def _windows(rows: Iterable[str]) -> Iterator[list[tuple[int, object]]]:
    numbered = enumerate(rows)
    while window := list(itertools.islice(numbered, WINDOW_ROWS)):
        yield window


def _read(window: list[tuple[int, object]], keep: Callable[[int, Row], None]) -> dict[int, str]:
    """Row number -> text, for the rows that are texts; the others are kept as errors."""
    texts = {}
    for i, row in window:
        try:
            texts[i] = readable(row)
        except InputError as error:
            keep(i, RowError(row=i, reason=str(error)))
    return texts


def _open(stack: contextlib.ExitStack, texts: dict[int, str], manager: ModelManager, source: str,
          target: str | None, model: object, default: object, load_options: dict[str, object] | None,
          ) -> tuple[Opened, Direction]:
    sample = "\n".join(texts.values())[:_SAMPLE_CHARACTERS]
    choices, asked = translators(sample, source=source, target=target, model=model, default=default)
    if asked is not None:
        source, target = asked.source, asked.target
    opened = stack.enter_context(open_model(choices, manager, load_options))
    direction = direction_of(opened.loaded, sample, source, target)
    return opened, replace(direction, note=asked.note) if asked is not None else direction


class _Window:
    """The sentences of some rows, in one list for the model."""

    def __init__(self, texts: dict[int, str], opened: Opened, direction: Direction, options: dict) -> None:
        self.texts, self.opened, self.direction, self.options = texts, opened, direction, options
        self.documents = {i: readable_document(opened.loaded, text, direction) for i, text in texts.items()}
        self.places = [(i, k) for i, document in self.documents.items() for k in range(len(document.sentences))]
        self.sources = [self.documents[i].sentences[k].text for i, k in self.places]
        self.targets = {i: [""] * len(document.sentences) for i, document in self.documents.items()}
        self.missing = {i: len(document.sentences) for i, document in self.documents.items()}

    def translate(self, keep: Callable[[int, Row], None], stop: Stop) -> None:
        """Each row is kept once its last sentence is done."""
        for i in [i for i, count in self.missing.items() if count == 0]:
            keep(i, self._row(i))  # smileys and rules only

        done: set[int] = set()

        def fill(index: int, text: str) -> None:
            i, k = self.places[index]
            done.add(index)
            self.targets[i][k] = answers(self.opened.loaded, [text], self.sources[index:index + 1])[0]
            self.missing[i] -= 1
            if self.missing[i] == 0:
                keep(i, self._row(i))

        def note(index: int, text: str, final: bool) -> None:
            if final and not (stop is not None and stop()):  # once stopped, the end may be that of half a sentence
                fill(index, text)

        if self.sources:
            outputs = translate_sentences(self.opened.loaded, self.sources, self.direction, on_text=note, stop=stop,
                                          **self.options)
            for index, output in enumerate(outputs):
                if output.finished and index not in done:
                    fill(index, output.text)

    def _row(self, i: int) -> Translation:
        document, targets = self.documents[i], self.targets[i]
        pairs = (SentencePair(s.text, t) for s, t in zip(document.sentences, targets, strict=True))
        return Translation(
            text=document.join(targets, glue=glue_between(self.direction.target)), source_text=self.texts[i],
            source_language=self.direction.source, target_language=self.direction.target, sentences=tuple(pairs),
            provenance=account(self.opened, None, 0, self.options),
            notes=tuple(note for note in (self.direction.note, *self.opened.notes) if note))
