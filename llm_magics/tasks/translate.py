"""Translation: sentences out of a text, through a model in batches, and back into the same layout."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llm_magics.display.parallel import SentencePair
from llm_magics.models.catalog import native_language
from llm_magics.tasks.align import align_words, find_tokens
from llm_magics.tasks.choose import open_model
from llm_magics.tasks.direction import Direction, direction_of
from llm_magics.tasks.plan import translators
from llm_magics.tasks.progress import TranslationProgress
from llm_magics.tasks.prompts import translate_prompt
from llm_magics.tasks.results import Translation
from llm_magics.tasks.segments import Document, segment
from llm_magics.tasks.work import account, answers, excess, readable, run

if TYPE_CHECKING:
    from llm_magics.models.loaded import LoadedModel
    from llm_magics.models.manager import ModelManager

__all__ = ["MAX_ALIGNED_SENTENCES", "glue_between", "translate"]

MAX_ALIGNED_SENTENCES = 40
"""Word links are worked out for this many sentences of a text; each costs one more pass through the model."""

_CUTS = 6
_MOST_PROMPT = 0.5
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
    align: bool = True,
    on_progress: Callable[[TranslationProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Translation:
    """Translate `text` from language `source` ("auto": detected) to `target`, codes or English names.

    `model` is a reference and is always used; `default` is the user's default; without either, see
    `llm_magics.tasks.choose`; `load_options` (dtype, device, allow_pickle, trust_remote_code) go to the lease.
    `target` may be left out when the model knows one pair only. With `align`, the
    first sentences tell which words go with which. `on_progress` is called while the model writes; once
    `stop()` is true the translation ends with what there is, marked as interrupted.

    Raises EmptyInput, TooLong, UnknownLanguage, or a ModelError from choosing and loading the model.
    """
    text = readable(text)
    choices, asked = translators(text, source=source, target=target, model=model, default=default)
    if asked is not None:
        source, target = asked.source, asked.target
    with open_model(choices, manager, load_options) as opened:
        started = time.perf_counter()  # loading the model is no part of the seconds, nor are word links
        direction = direction_of(opened.loaded, text, source, target)
        document = readable_document(opened.loaded, text, direction)
        progress = _progress(document, direction, str(opened.reference))
        tokens = _fill(progress, opened.loaded, direction, on_progress, stop=stop, num_beams=num_beams,
                       max_new_tokens=max_new_tokens)
        provenance = account(opened, started, tokens, {"num_beams": num_beams, "max_new_tokens": max_new_tokens})
        pairs, remark = _pairs(opened.loaded, progress, direction, align and not (stop and stop()))
    notes = (asked.note if asked else direction.note, *opened.notes, remark,
             "" if document.sentences else "there is no word to translate in it")
    return Translation(
        text=document.prefix(progress.targets, progress.finished, glue=glue_between(direction.target)), source_text=text,
        source_language=direction.source, target_language=direction.target, sentences=tuple(pairs),
        provenance=provenance, notes=tuple(note for note in notes if note), interrupted=not all(progress.finished),
    )


def readable_document(model: LoadedModel, text: str, direction: Direction) -> Document:
    """`text` taken apart so that the model can read every sentence: those too long for it are cut."""
    document = segment(text, direction.source)
    around = excess(model, [translate_prompt(model, "", direction.source, direction.target)])
    for _ in range(_CUTS):
        prompts = [translate_prompt(model, s.text, direction.source, direction.target) for s in document.sentences]
        times = excess(model, prompts)
        if times <= 1 or around > _MOST_PROMPT:  # where the request itself is too long, cutting cannot help
            break
        longest = max(len(sentence.text) for sentence in document.sentences)
        document = segment(text, direction.source, max(8, int(0.8 * longest / times)))
    return document


def glue_between(language: str) -> str:
    """What stands between two sentences that touched in the source."""
    return "" if language in ("zh", "ja") else " "


def _progress(document: Document, direction: Direction, model: str) -> TranslationProgress:
    count = len(document.sentences)
    return TranslationProgress(document, [""] * count, [False] * count, direction.source, direction.target, model)


def _fill(progress: TranslationProgress, model: LoadedModel, direction: Direction,
          on_progress: Callable[[TranslationProgress], None] | None, **options: object) -> int:
    """Translate the sentences into `progress.targets`; the number of tokens written.

    They are computed in batches of similar length, but window by window in the order of the text: what is read
    first is there first, and what was interrupted breaks off at one place.
    """
    sources = [sentence.text for sentence in progress.document.sentences]
    due, start, tokens = time.monotonic(), 0, 0

    def note(i: int, text: str, final: bool) -> None:
        nonlocal due
        i += start
        progress.targets[i] = answers(model, [text], sources[i:i + 1])[0]
        progress.finished[i] = progress.finished[i] or final
        if on_progress is not None and time.monotonic() >= due:  # not once for each of 30,000 sentences
            on_progress(progress)
            due = time.monotonic() + _PROGRESS_EVERY_S

    for start in range(0, len(sources), _WINDOW):
        window = slice(start, start + _WINDOW)
        outputs = translate_sentences(model, sources[window], direction, on_text=note, **options)
        progress.targets[window] = answers(model, [output.text for output in outputs], sources[window])
        progress.finished[window] = [output.finished for output in outputs]
        tokens += sum(output.n_new_tokens for output in {id(output): output for output in outputs}.values())
        if not all(progress.finished[window]):
            break
    if on_progress is not None and sources:
        on_progress(progress)
    return tokens


def translate_sentences(model: LoadedModel, sources: Sequence[str], direction: Direction, **options: object) -> list:
    """One Generation for each of `sources`; `options` go to `generate`."""
    prompts = [translate_prompt(model, text, direction.source, direction.target) for text in sources]
    if model.languages:  # a model of one pair needs no codes, and its sides may be no language ("digits")
        options |= {"source_language": direction.source, "target_language": direction.target}
    return run(model, prompts, **options)


def _pairs(model: LoadedModel, progress: TranslationProgress, direction: Direction,
           align: bool) -> tuple[list[SentencePair], str]:
    """Every sentence with its translation, the first ones aligned; and a remark when alignment failed."""
    pairs, remark = progress.pairs, ""
    if not align or model.kind != "seq2seq":
        return pairs, remark
    end = time.perf_counter() + _ALIGN_SECONDS
    for i, pair in enumerate(pairs[:MAX_ALIGNED_SENTENCES]):
        if time.perf_counter() > end or len(pair.source) + len(pair.target) > 2 * _MAX_ALIGNED_CHARACTERS:
            continue
        try:
            pairs[i] = _aligned(model, pair, direction)
        except Exception as error:  # noqa: BLE001 - links are an extra: whatever goes wrong, the translation stands
            return pairs, f"no word links for this model ({type(error).__name__})"
    return pairs, remark


def _aligned(model: LoadedModel, pair: SentencePair, direction: Direction) -> SentencePair:
    from llm_magics.attention import cross_attention

    if not pair.target:
        return pair
    prompt = translate_prompt(model, pair.source, direction.source, direction.target)
    with model.lock, model.using_tokenizer() as tokenizer:
        _set_languages(model, tokenizer, direction)
        seen = cross_attention(model, prompt, pair.target)
    same = seen.source_offsets is not None and prompt == pair.source
    source_tokens = seen.source_offsets if same else find_tokens(seen.source_tokens, pair.source)
    target_tokens = seen.target_offsets or find_tokens(seen.target_tokens, pair.target)
    words = align_words(seen.weights.tolist(), pair.source, pair.target, source_tokens, target_tokens)
    return SentencePair(pair.source, pair.target, *words)


def _set_languages(model: LoadedModel, tokenizer: object, direction: Direction) -> None:
    """Both languages for a tokenizer that writes marks for them; Marian's has one for each side already."""
    if model.languages and model.family != "marian":
        tokenizer.src_lang = native_language(direction.source, model.languages)
        tokenizer.tgt_lang = native_language(direction.target, model.languages)
