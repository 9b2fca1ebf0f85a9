"""Summaries: sentences picked by the embedded summariser, or written by a model, part by part when
it is long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from llm_magics.errors import InputError
from llm_magics.models.backends.base import EXTRACTIVE
from llm_magics.models.catalog import language_name
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.run import one_by_one, settings_of, work_through
from llm_magics.rows.scores import SummaryScores, with_references, with_scores
from llm_magics.tasks.choose import candidates, open_model
from llm_magics.tasks.provenance import account, check_alternatives
from llm_magics.tasks.references import summary_scores
from llm_magics.tasks.results import Summary
from llm_magics.tasks.summarize.writer import MAX_WORDS, OnProgress, Stop, Writer
from llm_magics.text.clean import clean_text
from llm_magics.text.extractive import count_words, pick_sentences, scores, shorten
from llm_magics.text.language import check_language, detect
from llm_magics.text.segments import segment

if TYPE_CHECKING:
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["STYLES", "summarize", "summarize_each"]

STYLES = ("paragraph", "bullets")


def summarize(
    text: str,
    *,
    manager: ModelManager | None = None,
    max_words: int = 100,
    style: str = "paragraph",
    language: str = "auto",
    model: object = None,
    default: object = None,
    load_options: dict[str, object] | None = None,
    num_beams: int = 1,
    alternatives: int = 0,
    reference: str | None = None,
    on_progress: OnProgress = None,
    stop: Stop = None,
) -> Summary:
    """Summarise `text` in at most `max_words` words (Chinese and Japanese: characters).

    `style` is "paragraph" or "bullets"; `language` a code, a name, or "auto" to detect it. `model`
    is a reference and is always used, `default` the user's default; without either, see
    `llm_magics.tasks.choose`; `load_options` go to the manager's lease. The embedded summariser,
    `embedded:extractive`, needs no `manager`. Once `stop()` is true, the summary ends with what
    there is, marked as interrupted. A text longer than the model reads at once is read in parts,
    whose summaries are summarised again. `alternatives` N: up to N other summaries, by a beam
    search. `reference`: a summary to score this one by (ROUGE, chrF).

    Raises EmptyInput, TooLong, InputError, UnknownLanguage, or a ModelError from choosing and
    loading a model.
    """
    text = clean_text(text)
    _check(max_words, style)
    check_alternatives(alternatives)
    language, note = _language(text, language)
    if manager is None and model is None and default is None:
        default = "embedded:extractive"
    choices = candidates("summarize", model=model, default=default, source=language)
    with open_model(choices, manager, load_options) as opened:
        started = time.perf_counter()  # loading the model is no part of the seconds
        sources = [sentence.text for sentence in segment(text, language).sentences]
        if opened.loaded.backend.kind == EXTRACTIVE:
            sentences, positions, remark = _extract(sources, max_words)
            tokens, interrupted, others, parts = 0, False, (), 1
            only = "sentences are picked in one way only: no alternatives" if alternatives else ""
            remark = "; ".join(filter(None, (remark, only)))
        else:
            writer = Writer(opened, language, style, num_beams, on_progress, stop, alternatives)
            sentences, remark = _trimmed(writer.sentences(sources, max_words), max_words)
            others = tuple(
                _written(_trimmed(other, max_words)[0], style, language)
                for other in writer.alternatives
            )
            positions, tokens, interrupted, parts = (
                (),
                writer.tokens,
                writer.interrupted,
                writer.parts_read,
            )
            remark = "; ".join(filter(None, (remark, _reading(writer))))
        parameters = {"max_words": max_words, "style": style, "num_beams": num_beams}
        provenance = account(opened, started, tokens, parameters)
    notes = tuple(part for part in (note, *opened.notes, remark) if part)
    result = Summary(
        text=_written(sentences, style, language),
        sentences=tuple(sentences),
        extractive=opened.loaded.backend.kind == EXTRACTIVE,
        source_text=text,
        source_words=count_words(text),
        language=language,
        style=style,
        provenance=provenance,
        positions=tuple(positions),
        source_sentences=len(sources),
        notes=notes,
        interrupted=interrupted,
        alternatives=others,
        parts=parts,
    )
    return (
        result if reference is None else replace(result, scores=summary_scores(result, reference))
    )


def summarize_each(
    rows: Iterable[str] | str | Path,
    *,
    reference: object = None,
    column: str | None = None,
    out_file: str | Path | None = None,
    resume: bool = False,
    on_row: Callable[[int, Summary | RowError], None] | None = None,
    stop: Stop = None,
    **options: object,
) -> Rows:
    """One Summary, or one RowError with the reason, for each row, in order; `options` as in
    `summarize`.

    A row that is no text, empty or too long does not stop the others; a model that fails does. For
    `rows`, `column`, `out_file` and `resume` see `llm_magics.rows.run.work_through`. `reference`:
    a column of the rows' file or table, or the references themselves, see `with_references`; what
    comes back then has `scores`, the means of the rows' ROUGE and chrF.
    """
    _check(options.get("max_words", 100), options.get("style", "paragraph"))
    if options.get("language", "auto") != "auto":
        check_language(options["language"])
    work = one_by_one(lambda row: summarize(row, stop=stop, **options))
    if reference is not None:
        rows, column, work = (
            with_references(rows, reference, column),
            None,
            with_scores(work, summary_scores),
        )
    settings = settings_of("summarize", {**options, "scored": (reference is not None) or None})
    return work_through(
        rows,
        work,
        column=column,
        on_row=on_row,
        stop=stop,
        out_file=out_file,
        resume=resume,
        settings=settings,
        tally=SummaryScores() if reference is not None else None,
    )


def _reading(writer: Writer) -> str:
    """What the reader should know of how a long text was read."""
    if writer.parts_read == 1:
        return ""
    cut = (
        ", and of these only one sentence a stretch, as they did not get shorter"
        if writer.cut_short
        else ""
    )
    return f"read in {writer.parts_read:,} parts and summarised from their summaries{cut}"


def _check(max_words: object, style: object) -> None:
    if (
        isinstance(max_words, bool)
        or not isinstance(max_words, int)
        or not 1 <= max_words <= MAX_WORDS
    ):
        raise InputError(
            f"max_words must be a whole number from 1 to {MAX_WORDS:,}, not {max_words!r}"
        )
    if style not in STYLES:
        raise InputError(f"style must be {' or '.join(STYLES)}, not {style!r}")


def _language(text: str, language: str) -> tuple[str, str]:
    if language != "auto":
        return check_language(language), ""
    code, probability = detect(text)
    return (
        code,
        "" if probability > 0.9 else f"taken to be in {language_name(code)} ({probability:.0%})",
    )


def _extract(sources: list[str], max_words: int) -> tuple[list[str], list[int], str]:
    """(sentences, their positions, remark). Where none is short enough, the best one is cut."""
    positions = pick_sentences(sources, max_words)
    if positions or not sources:
        return [sources[i] for i in positions], positions, ""
    relevance = scores(sources)
    best = max(range(len(sources)), key=relevance.__getitem__)
    remark = f"no sentence has {max_words} words or fewer: the best one was cut"
    return [shorten(sources[best], max_words)], [best], remark


def _trimmed(sentences: list[str], max_words: int) -> tuple[list[str], str]:
    """As many whole sentences as `max_words` allows; of the first at least a part."""
    kept, left = [], max_words
    for sentence in sentences:
        words = count_words(sentence)
        if words > left:
            break
        kept.append(sentence)
        left -= words
    if not kept and sentences:
        return [shorten(sentences[0], max_words)], f"cut after {max_words} words"
    return kept, f"ended after {len(kept)} of {len(sentences)} sentences" if len(kept) < len(
        sentences
    ) else ""


def _written(sentences: Sequence[str], style: str, language: str) -> str:
    if style == "bullets":
        return "\n".join(f"- {sentence}" for sentence in sentences)
    return ("" if language in ("zh", "ja") else " ").join(sentences)
