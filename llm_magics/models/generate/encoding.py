"""Sources -> token ids of a tokenizer of transformers, with the language codes and prefixes that
each family of models wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_magics.errors import TooLong, UnknownLanguage, WrongTask, printable
from llm_magics.models.catalog import language_name, native_language
from llm_magics.models.families import family_of
from llm_magics.models.folder.library_errors import boundary
from llm_magics.models.generate.types import Source

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["check_pair", "check_source_lengths", "encode_sources", "forced_bos"]


def encode_sources(
    model: LoadedModel,
    sources: Sequence[Source],
    source_language: str | None,
    target_language: str | None,
    *,
    check_length: bool = True,
) -> list[list[int]]:
    """Token ids of every source, special tokens included; languages are codes of the catalogue.

    Raises UnknownLanguage (not a language of this model), TooLong, WrongTask (messages for what is
    no chat model).
    """
    check_pair(model, source_language, target_language)
    if any(not isinstance(source, str) for source in sources):
        ids = _encode_chat(model, sources)
    else:
        texts = [printable(source) for source in sources]
        prefix = _target_prefix(model, target_language) if check_length else ""
        with (
            model.using_tokenizer() as tokenizer,
            boundary(f"the tokenizer of {model.reference}", "used"),
        ):
            _set_source_language(model, tokenizer, source_language)
            ids = _token_ids(tokenizer, [prefix + text for text in texts], add_special_tokens=True)
    if check_length:
        check_source_lengths(model, ids)
    return ids


def _token_ids(tokenizer: Any, texts: list[str], *, add_special_tokens: bool) -> list[list[int]]:
    if not texts:
        return []
    # No padding and no truncation here: both would change the state of a tokenizer that threads
    # share.
    coded = tokenizer(
        texts,
        add_special_tokens=add_special_tokens,
        padding=False,
        truncation=False,
        verbose=False,
        return_attention_mask=False,
    )
    return [list(ids) for ids in coded["input_ids"]]


def _encode_chat(model: LoadedModel, sources: Sequence[Source]) -> list[list[int]]:
    from llm_magics.models.generate.chat import render_chats

    if not model.is_chat:
        raise WrongTask(f"{model.reference} has no chat template: give it plain text")
    chats = [
        [{"role": "user", "content": item}] if isinstance(item, str) else list(item)
        for item in sources
    ]
    texts = render_chats(model, chats)
    with (
        model.using_tokenizer() as tokenizer,
        boundary(f"the tokenizer of {model.reference}", "used"),
    ):
        return _token_ids(
            tokenizer, texts, add_special_tokens=False
        )  # the template has written them


def check_source_lengths(model: LoadedModel, ids: list[list[int]]) -> None:
    """Raises TooLong for a source with more tokens than the model reads."""
    limit = model.max_source_tokens
    if limit is None:
        return
    for number, tokens in enumerate(ids, 1):
        if len(tokens) > limit - (model.kind == "causal"):
            raise TooLong(
                f"text {number} of {len(ids)} has {len(tokens):,} tokens, {model.reference} "
                f"reads {limit:,} at once: split it into shorter sentences"
            )


def check_pair(model: LoadedModel, source: str | None, target: str | None) -> None:
    """Raises UnknownLanguage where the model reads or writes another language than asked for."""
    for given, made_for, verb in (
        (source, model.source_language, "reads"),
        (target, model.target_language, "writes"),
    ):
        if given and made_for and given != made_for:
            raise UnknownLanguage(
                f"{model.reference} {verb} {language_name(made_for)}, not {language_name(given)}: "
                f"it translates {model.source_language} to {model.target_language} only"
            )


def _native(model: LoadedModel, language: str) -> str:
    code = native_language(language, model.languages)
    if code is None:
        raise UnknownLanguage(
            f"{model.reference} does not know {language_name(language)}; "
            f"it knows {len(model.languages)} languages, such as {', '.join(model.languages[:6])}"
        )
    return code


def _by_prefix(model: LoadedModel) -> bool:
    return family_of(model.family).languages == "prefix"


def _target_prefix(model: LoadedModel, target: str | None) -> str:
    """The word a Marian model with several target languages wants at the start of its input."""
    if not _by_prefix(model) or not model.languages:
        return ""
    if target is None:
        raise UnknownLanguage(
            f"{model.reference} writes several languages: say which, "
            f"{', '.join(model.languages[:6])}"
        )
    return f">>{_native(model, target)}<< "


def _set_source_language(model: LoadedModel, tokenizer: Any, source: str | None) -> None:
    if source and model.languages and not _by_prefix(model):
        tokenizer.src_lang = _native(model, source)


def forced_bos(model: LoadedModel, target: str | None) -> int | None:
    """The token that tells a model of many languages which one to write, None where the input says
    it."""
    if not model.languages or _by_prefix(model):
        return None
    if target is None:
        raise UnknownLanguage(
            f"{model.reference} writes {len(model.languages)} languages: say which one"
        )
    code = _native(model, target)
    with model.using_tokenizer() as tokenizer:
        if hasattr(tokenizer, "get_lang_id"):
            return tokenizer.get_lang_id(code)
        return tokenizer.convert_tokens_to_ids(code)
