"""Translation: sentences out of a text, through a model in batches, and back into the same
layout."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from llm_magics.display.parallel import SentencePair
from llm_magics.errors import LLMMagicsError
from llm_magics.tasks.choose import open_model
from llm_magics.tasks.model_choice import translators
from llm_magics.tasks.progress import TranslationProgress
from llm_magics.tasks.provenance import account, answers, check_alternatives
from llm_magics.tasks.references import translation_scores
from llm_magics.tasks.results import Translation
from llm_magics.tasks.translate.back import translate_back
from llm_magics.tasks.translate.direction import Direction, direction_of
from llm_magics.tasks.translate.sentences import (
    glue_between,
    keepers,
    linked,
    readable_document,
    translate_sentences,
)
from llm_magics.text.clean import clean_text
from llm_magics.text.segments import Document
from llm_magics.text.terms import Term, TermUse, keep_terms, terms_of

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["MAX_ALIGNED_SENTENCES", "translate"]

MAX_ALIGNED_SENTENCES = 40
"""Word links are worked out for this many sentences of a text; each costs one more pass through the
model."""

_PROGRESS_EVERY_S = 0.1
_WINDOW = 256
_MAX_ALIGNED_CHARACTERS = 600
_ALIGN_SECONDS = 10.0


def translate(
    text: str,
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
    reference: str | None = None,
    align: bool = True,
    on_progress: Callable[[TranslationProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Translation:
    """Translate `text` from language `source` ("auto": detected) to `target`, codes or English
    names.

    `model` is a reference and is always used; `default` is the user's default; without either, see
    `llm_magics.tasks.choose`; `load_options` (dtype, engine, device, allow_pickle,
    trust_remote_code) go to the lease. `target` may be left out when the model knows one pair only.
    With `align`, the first sentences tell which words go with which. `on_progress` is called while
    the model writes; once `stop()` is true the translation ends with what there is, marked as
    interrupted.

    `alternatives` N: up to N other translations of each sentence, by a beam search of N + 1 beams
    or more. Terms of `keep` stand unchanged in the translation, those of `glossary` as it says (see
    `llm_magics.text.terms`); which could not be kept is in the result. `back_translate`: True or a
    model that translates back, to see which sentences changed; why it could not is in the notes.
    `reference`: a translation to score this one by (BLEU, chrF).

    Raises EmptyInput, TooLong, UnknownLanguage, or a ModelError from choosing and loading the
    model.
    """
    text, terms = clean_text(text), terms_of(keep, glossary)
    check_alternatives(alternatives)
    choices, asked = translators(text, source=source, target=target, model=model, default=default)
    if asked is not None:
        source, target = asked.source, asked.target
    with open_model(choices, manager, load_options) as opened:
        started = (
            time.perf_counter()
        )  # loading the model is no part of the seconds, nor are word links
        direction = direction_of(opened.loaded, text, source, target)
        document = readable_document(opened.loaded, text, direction)
        progress = _progress(document, direction, str(opened.reference))
        options = {"num_beams": num_beams, "max_new_tokens": max_new_tokens, "stop": stop}
        tokens = _fill(
            progress, opened.loaded, direction, on_progress, alternatives=alternatives, **options
        )
        shown = {"num_beams": max(num_beams, alternatives + 1), "max_new_tokens": max_new_tokens}
        whole = all(progress.finished)
        uses = _keep(opened.loaded, progress, direction, terms, options) if whole and terms else ()
        provenance = account(opened, started, tokens, shown)
        pairs, remark = _pairs(opened.loaded, progress, direction, align and not (stop and stop()))
    notes = (
        asked.note if asked else direction.note,
        *opened.notes,
        remark,
        "" if document.sentences else "there is no word to translate in it",
        "it was stopped before the terms were looked after" if terms and not whole else "",
    )
    result = Translation(
        text=document.prefix(
            progress.targets, progress.finished, glue=glue_between(direction.target)
        ),
        source_text=text,
        source_language=direction.source,
        target_language=direction.target,
        sentences=tuple(pairs),
        provenance=provenance,
        notes=tuple(note for note in notes if note),
        interrupted=not whole,
        terms=uses,
    )
    if back_translate and whole:
        result = _with_back(
            result,
            direction,
            None if back_translate is True else back_translate,
            manager,
            load_options,
            stop,
        )
    return (
        result
        if reference is None
        else replace(result, scores=translation_scores(result, reference))
    )


def _with_back(
    result: Translation,
    direction: Direction,
    model: str | None,
    manager: ModelManager | None,
    load_options: Mapping[str, object] | None,
    stop: Callable[[], bool] | None,
) -> Translation:
    """The translation with what comes back of it, or a note why nothing does: the translation
    itself is there."""
    how = {
        name: value for name, value in (load_options or {}).items() if name != "engine"
    }  # asked for the other model
    try:
        back = translate_back(
            result.sentences, direction, manager=manager, load_options=how, stop=stop, model=model
        )
    except LLMMagicsError as error:
        return replace(result, notes=(*result.notes, f"it was not translated back: {error}"))
    return replace(result, back_translation=back)


def _keep(
    model: LoadedModel,
    progress: TranslationProgress,
    direction: Direction,
    terms: tuple[Term, ...],
    options: dict[str, object],
) -> tuple[TermUse, ...]:
    """See to the terms in what was translated; what became of them."""
    pairs, uses = keep_terms(progress.pairs, terms, *keepers(model, direction, options))
    progress.targets = [pair.target for pair in pairs]
    progress.alternatives = {i: pair.alternatives for i, pair in enumerate(pairs)}
    return uses


def _progress(document: Document, direction: Direction, model: str) -> TranslationProgress:
    count = len(document.sentences)
    return TranslationProgress(
        document, [""] * count, [False] * count, direction.source, direction.target, model
    )


def _fill(
    progress: TranslationProgress,
    model: LoadedModel,
    direction: Direction,
    on_progress: Callable[[TranslationProgress], None] | None,
    **options: object,
) -> int:
    """Translate the sentences into `progress.targets`; the number of tokens written.

    They are computed in batches of similar length, but window by window in the order of the text:
    what is read first is there first, and what was interrupted breaks off at one place.
    """
    sources = [sentence.text for sentence in progress.document.sentences]
    due, start, tokens = time.monotonic(), 0, 0

    def note(i: int, text: str, final: bool) -> None:
        nonlocal due
        i += start
        progress.targets[i] = answers(model, [text], sources[i : i + 1])[0]
        progress.finished[i] = progress.finished[i] or final
        if (
            on_progress is not None and time.monotonic() >= due
        ):  # not once for each of 30,000 sentences
            on_progress(progress)
            due = time.monotonic() + _PROGRESS_EVERY_S

    for start in range(0, len(sources), _WINDOW):
        window = slice(start, start + _WINDOW)
        outputs = translate_sentences(model, sources[window], direction, on_text=note, **options)
        progress.targets[window] = answers(
            model, [output.text for output in outputs], sources[window]
        )
        progress.finished[window] = [output.finished for output in outputs]
        for i, output in enumerate(outputs, start):
            if output.alternatives:
                progress.alternatives[i] = tuple(
                    answers(model, output.alternatives, [sources[i]] * len(output.alternatives))
                )
        tokens += sum(
            output.n_new_tokens for output in {id(output): output for output in outputs}.values()
        )
        if not all(progress.finished[window]):
            break
    if on_progress is not None and sources:
        on_progress(progress)
    return tokens


def _pairs(
    model: LoadedModel, progress: TranslationProgress, direction: Direction, align: bool
) -> tuple[list[SentencePair], str]:
    """Every sentence with its translation, the first ones aligned; and a remark when alignment
    failed."""
    pairs, remark = progress.pairs, ""
    if (
        not align or model.kind != "seq2seq" or not model.backend.capabilities.module
    ):  # which alone shows its attention
        return pairs, remark
    end = time.perf_counter() + _ALIGN_SECONDS
    for i, pair in enumerate(pairs[:MAX_ALIGNED_SENTENCES]):
        if (
            time.perf_counter() > end
            or len(pair.source) + len(pair.target) > 2 * _MAX_ALIGNED_CHARACTERS
        ):
            continue
        try:
            pairs[i] = linked(model, pair, direction)
        except Exception as error:  # noqa: BLE001 - links are an extra: whatever goes wrong, the translation stands
            return pairs, f"no word links for this model ({type(error).__name__})"
    return pairs, remark
