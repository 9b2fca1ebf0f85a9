"""Sentences through a translator: cut so that it can read them, written in one batch, their words
linked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llm_magics.display.parallel import SentencePair
from llm_magics.models.catalog import native_language
from llm_magics.models.families import family_of
from llm_magics.tasks.prompts import translate_prompt
from llm_magics.tasks.provenance import answers, excess, run
from llm_magics.tasks.translate.direction import Direction
from llm_magics.text.align import align_words, find_tokens
from llm_magics.text.segments import Document, segment

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.generate.generate import Generation

__all__ = ["glue_between", "keepers", "linked", "readable_document", "translate_sentences"]

_CUTS = 6
_MOST_PROMPT = 0.5


def readable_document(model: LoadedModel, text: str, direction: Direction) -> Document:
    """`text` taken apart so that the model can read every sentence: those too long for it are
    cut."""
    document = segment(text, direction.source)
    around = excess(model, [translate_prompt(model, "", direction.source, direction.target)])
    for _ in range(_CUTS):
        prompts = [
            translate_prompt(model, s.text, direction.source, direction.target)
            for s in document.sentences
        ]
        times = excess(model, prompts)
        if (
            times <= 1 or around > _MOST_PROMPT
        ):  # where the request itself is too long, cutting cannot help
            break
        longest = max(len(sentence.text) for sentence in document.sentences)
        document = segment(text, direction.source, max(8, int(0.8 * longest / times)))
    return document


def glue_between(language: str) -> str:
    """What stands between two sentences that touched in the source."""
    return "" if language in ("zh", "ja") else " "


def translate_sentences(
    model: LoadedModel, sources: Sequence[str], direction: Direction, **options: object
) -> list[Generation]:
    """One Generation for each of `sources`; `options` go to `generate`."""
    prompts = [
        translate_prompt(model, text, direction.source, direction.target) for text in sources
    ]
    if (
        model.languages
    ):  # a model of one pair needs no codes, and its sides may be no language ("digits")
        options |= {"source_language": direction.source, "target_language": direction.target}
    return run(model, prompts, **options)


def keepers(
    model: LoadedModel,
    direction: Direction,
    options: dict[str, object],
) -> tuple[Callable[[list[str]], list[str]], Callable[[SentencePair], SentencePair] | None]:
    """(write, link) for `keep_terms`: how sentences are translated and how their words are
    linked."""

    def write(sources: list[str]) -> list[str]:
        outputs = translate_sentences(model, sources, direction, **options)
        return answers(model, [output.text for output in outputs], sources)

    def link(pair: SentencePair) -> SentencePair:
        try:
            return linked(model, pair, direction)
        except Exception:  # noqa: BLE001 - a family whose attention cannot be captured; the term is then said to be lost
            return pair

    return write, link if model.kind == "seq2seq" else None


def linked(model: LoadedModel, pair: SentencePair, direction: Direction) -> SentencePair:
    """`pair` with its words and which of them go with which, by cross-attention; one more pass
    through the model."""
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
    words = align_words(
        seen.weights.tolist(), pair.source, pair.target, source_tokens, target_tokens
    )
    return SentencePair(pair.source, pair.target, *words, alternatives=pair.alternatives)


def _set_languages(model: LoadedModel, tokenizer: object, direction: Direction) -> None:
    """Both languages for a tokenizer that writes marks for them; Marian's has one for each side
    already."""
    if model.languages and family_of(model.family).languages != "prefix":
        tokenizer.src_lang = native_language(direction.source, model.languages)
        tokenizer.tgt_lang = native_language(direction.target, model.languages)
