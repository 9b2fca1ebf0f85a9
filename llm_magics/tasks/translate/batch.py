"""Many texts at once: the sentences of many rows go through the model together, window by
window."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from llm_magics.display.parallel import SentencePair
from llm_magics.errors import InputError
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.run import Keep, readable_rows, settings_of, work_through
from llm_magics.rows.scores import TranslationScores, with_references, with_scores
from llm_magics.rows.source import text_of
from llm_magics.tasks.choose import Opened, open_model
from llm_magics.tasks.model_choice import translators
from llm_magics.tasks.provenance import account, answers, check_alternatives
from llm_magics.tasks.references import translation_scores
from llm_magics.tasks.results import Translation
from llm_magics.tasks.translate.back import open_back, translated_back
from llm_magics.tasks.translate.direction import Direction, direction_of
from llm_magics.tasks.translate.sentences import (
    glue_between,
    keepers,
    readable_document,
    translate_sentences,
)
from llm_magics.text.clean import clean_text
from llm_magics.text.terms import Term, keep_terms, terms_of

if TYPE_CHECKING:
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["WINDOW_ROWS", "translate_each"]

WINDOW_ROWS = 512
"""Rows that are in work at once: enough to sort sentences by length, few enough for memory to stay
constant."""

_SAMPLE_CHARACTERS = 20_000

Row = Translation | RowError
Stop = Callable[[], bool] | None


def translate_each(
    rows: Iterable[str] | str | Path,
    *,
    manager: ModelManager,
    target: str | None = None,
    source: str = "auto",
    model: object = None,
    default: object = None,
    load_options: dict[str, object] | None = None,
    num_beams: int = 1,
    max_new_tokens: int | None = None,
    alternatives: int = 0,
    keep: str | Sequence[str] = (),
    glossary: Mapping[str, str] | None = None,
    back_translate: bool | str = False,
    reference: object = None,
    column: str | None = None,
    on_row: Callable[[int, Row], None] | None = None,
    stop: Stop = None,
    out_file: str | Path | None = None,
    resume: bool = False,
) -> Rows:
    """One Translation, or one RowError with the reason, for each row, in order; see `work_through`
    for batches.

    Options as in `translate`. A source of "auto" is detected once, in the first rows: a column is
    taken to be of one language. A row that is no text, empty or too long does not stop the others;
    a model that fails does. `on_row(index, result)` is called as rows are finished, not in order
    within a window of WINDOW_ROWS. Words are not aligned, and seconds are not told apart. With
    `back_translate` both models are held until the end.

    `reference`: a column of the rows' file or table, or the references themselves, see
    `with_references`. With it, or with `back_translate`, what comes back has `scores` over all
    rows: BLEU and chrF as sacrebleu gives them for two files.
    """
    options = {
        "num_beams": num_beams,
        "max_new_tokens": max_new_tokens,
        "alternatives": alternatives,
    }
    terms = terms_of(keep, glossary)
    check_alternatives(alternatives)
    ask = {"source": source, "target": target, "model": model, "default": default}
    settings = settings_of(
        "translate",
        {
            **options,
            "source": source,
            "target": target,
            "model": model or default,
            "terms": [str(term) for term in terms],
            "load_options": load_options,
            "back_translate": back_translate or None,
            "scored": (reference is not None) or None,
        },
    )
    with contextlib.ExitStack() as stack:
        models = _Models(stack, manager, load_options, ask, back_translate)

        def work(window: dict[int, object], keep_row: Keep) -> None:
            texts = readable_rows(window, keep_row)
            if texts:
                _Window(texts, models, options, terms).translate(keep_row, stop)

        if reference is not None:
            rows, column = with_references(rows, reference, column), None
        return work_through(
            rows,
            work if reference is None else with_scores(work, translation_scores),
            prepare=models.open,
            window_rows=WINDOW_ROWS,
            column=column,
            on_row=on_row,
            stop=stop,
            out_file=out_file,
            resume=resume,
            settings=settings,
            tally=TranslationScores() if reference is not None or back_translate else None,
        )


class _Models:
    """The model of a batch, and the one that translates back, opened at the first row that is a
    text."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        manager: ModelManager,
        load_options: dict[str, object] | None,
        ask: dict[str, object],
        back_translate: bool | str,
    ) -> None:
        self._stack, self._manager, self._load_options, self._ask = (
            stack,
            manager,
            load_options,
            ask,
        )
        self._back_translate = back_translate
        self.forth: Opened | None = None
        self.back: Opened | None = None
        self.direction: Direction | None = None

    def open(self, window: dict[int, object]) -> None:
        """Open what is not open yet. Raises what choosing and loading a model raises."""
        texts = [text for text in map(_text, window.values()) if text]
        if not texts or self.forth is not None:
            return
        sample = "\n".join(texts)[:_SAMPLE_CHARACTERS]
        choices, asked = translators(sample, **self._ask)
        languages = (
            (asked.source, asked.target)
            if asked is not None
            else (self._ask["source"], self._ask["target"])
        )
        forth = self._stack.enter_context(open_model(choices, self._manager, self._load_options))
        direction = direction_of(forth.loaded, sample, *languages)
        self.direction = replace(direction, note=asked.note) if asked is not None else direction
        if self._back_translate:
            named = None if self._back_translate is True else self._back_translate
            self.back = self._stack.enter_context(
                open_back(self.direction, self._manager, named, self._load_options)
            )
            direction_of(
                self.back.loaded, sample, self.direction.target, self.direction.source
            )  # or all rows would fail
        self.forth = forth


def _text(row: object) -> str:
    try:
        return clean_text(text_of(row))
    except InputError:
        return ""


class _Window:
    """The sentences of some rows, in one list for the model."""

    def __init__(
        self, texts: dict[int, str], models: _Models, options: dict, terms: tuple[Term, ...]
    ) -> None:
        self.texts, self.options, self.terms = texts, options, terms
        self.opened, self.direction, self.back = models.forth, models.direction, models.back
        self.documents = {
            i: readable_document(self.opened.loaded, text, self.direction)
            for i, text in texts.items()
        }
        self.places = [
            (i, k) for i, document in self.documents.items() for k in range(len(document.sentences))
        ]
        self.sources = [self.documents[i].sentences[k].text for i, k in self.places]
        self.targets = {i: [""] * len(document.sentences) for i, document in self.documents.items()}
        self.others: dict[tuple[int, int], tuple[str, ...]] = {}
        self.missing = {i: len(document.sentences) for i, document in self.documents.items()}

    def translate(self, keep: Keep, stop: Stop) -> None:
        """Each row is kept once its last sentence is done, or all together once they have come
        back."""
        if self.back is None:
            self._translate(keep, stop)
            return
        done: dict[int, Translation] = {}
        self._translate(done.__setitem__, stop)
        if done and not (stop is not None and stop()):
            came = translated_back(
                self.back, [done[i].sentences for i in done], self.direction, stop=stop
            )
            for i, back in zip(done, came, strict=True):
                if not back.interrupted:
                    keep(i, replace(done[i], back_translation=back))

    def _translate(self, keep: Keep, stop: Stop) -> None:
        for i in [i for i, count in self.missing.items() if count == 0]:
            keep(i, self._row(i))  # smileys and rules only

        done: set[int] = set()
        late = bool(
            self.terms or self.options["alternatives"]
        )  # a row is done when its terms are looked after

        def fill(index: int, text: str, others: tuple[str, ...] = ()) -> None:
            i, k = self.places[index]
            done.add(index)
            if others:
                self.others[i, k] = tuple(
                    answers(self.opened.loaded, others, [self.sources[index]] * len(others))
                )
            self.targets[i][k] = answers(
                self.opened.loaded, [text], self.sources[index : index + 1]
            )[0]
            self.missing[i] -= 1
            if self.missing[i] == 0:
                keep(i, self._row(i))

        def note(index: int, text: str, final: bool) -> None:
            if (
                final and not late and not (stop is not None and stop())
            ):  # once stopped, the end may be that of half a sentence
                fill(index, text)

        if self.sources:
            outputs = translate_sentences(
                self.opened.loaded,
                self.sources,
                self.direction,
                on_text=note,
                stop=stop,
                **self.options,
            )
            for index, output in enumerate(outputs):
                if output.finished and index not in done:
                    fill(index, output.text, output.alternatives)

    def _row(self, i: int) -> Translation:
        document, targets, uses = self.documents[i], self.targets[i], ()
        pairs = [
            SentencePair(s.text, t, alternatives=self.others.get((i, k), ()))
            for k, (s, t) in enumerate(zip(document.sentences, targets, strict=True))
        ]
        if self.terms:
            options = {
                name: value for name, value in self.options.items() if name != "alternatives"
            }
            pairs, uses = keep_terms(
                pairs, self.terms, *keepers(self.opened.loaded, self.direction, options)
            )
            targets = [pair.target for pair in pairs]
        return Translation(
            text=document.join(targets, glue=glue_between(self.direction.target)),
            source_text=self.texts[i],
            source_language=self.direction.source,
            target_language=self.direction.target,
            sentences=tuple(pairs),
            provenance=account(self.opened, None, 0, self.options),
            notes=tuple(note for note in (self.direction.note, *self.opened.notes) if note),
            terms=uses,
        )
