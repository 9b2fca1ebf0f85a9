"""Looking inside: one text through one model, or several to compare, as what an attention explorer
shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from llm_magics.attention import check_text, explore, generated
from llm_magics.attention.capture import Head
from llm_magics.attention.predict import predict
from llm_magics.attention.source import Rerun, StoreSource
from llm_magics.errors import AttentionError, InputError
from llm_magics.models.generate.generate import generate
from llm_magics.text.clean import clean_text

if TYPE_CHECKING:
    from llm_magics.attention.store import AttentionStore
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["Exploration", "explore_attention", "explore_steps"]

_CANDIDATES = 10


@dataclass(frozen=True)
class Exploration:
    """What an explorer is made of."""

    title: str
    sources: list[StoreSource]
    """One forward pass each; several are steps of a training, models or texts to compare."""
    step_names: list[str]
    """What the sources are called on the slider; empty where their titles say it."""
    predict: Callable[[Collection[Head]], dict[str, Any]]
    """What the model of the last source says with these heads silenced, as plain values."""


def explore_attention(
    text: str,
    second: str | None = None,
    *,
    manager: ModelManager,
    model: object,
    against: object = None,
    against_text: str | None = None,
    write: int = 0,
) -> Exploration:
    """The attention of every head of `model` on `text`.

    `second` is what an encoder-decoder model is taken to have written (None: its own output), or
    the other text of a pair for an encoder. `write`: let the model go on from the text for so many
    tokens, and look at that too. `against` is another model for the same text, `against_text`
    another text for the same model, to compare with.

    Raises InputError, AttentionError and what loading a model raises.
    """
    text, second = clean_text(text), second and clean_text(second)
    if against is not None and against_text:
        raise InputError("another model or another text to compare with, not both")
    wanted = [(model, text, second)]
    if against is not None:
        wanted.append((against, text, second))
    if against_text:
        wanted.append((model, clean_text(against_text), None))
    sources = [
        _source(partial(_with_model, manager, one), read, other, write)
        for one, read, other in wanted
    ]
    names = [] if not against_text else ["first text", "second text"]
    return Exploration(sources[0].title, sources, names, _predictor(sources[-1]))


def explore_steps(
    text: str, second: str | None, steps: Sequence[tuple[str, LoadedModel]]
) -> Exploration:
    """The same text through one model at several steps of its training: (name of the step, model).

    Every step is given what the last one writes, unless `second` says what, so that the maps can be
    subtracted.
    """
    text, second = clean_text(text), second and clean_text(second)
    last = steps[-1][1]
    if last.kind == "seq2seq" and second is None:
        check_text(last, text)
        second = _written(last, text)
    sources = [_source(partial(_with_loaded, loaded), text, second, 0) for _, loaded in steps]
    return Exploration(
        sources[-1].title, sources, [name for name, _ in steps], _predictor(sources[-1])
    )


def _with_model(
    manager: ModelManager, reference: object, work: Callable[[LoadedModel], Any]
) -> Any:
    with manager.lease(reference) as loaded:
        return _with_loaded(loaded, work)


def _with_loaded(loaded: LoadedModel, work: Callable[[LoadedModel], Any]) -> Any:
    with loaded.lock, loaded.using_tokenizer():
        return work(loaded)


def _source(rerun: Rerun, text: str, second: str | None, write: int) -> StoreSource:
    store, target = rerun(lambda loaded: _captured(loaded, text, second, write))
    return StoreSource(store, text=text, second=target, rerun=rerun)


def _captured(
    loaded: LoadedModel, text: str, second: str | None, write: int
) -> tuple[AttentionStore, str | None]:
    """(attention, what the decoder wrote or the second text)."""
    check_text(
        loaded, text
    )  # before the model begins to translate what is too long to be looked at
    if write and loaded.kind != "encoder":
        return generated(loaded, text, write), second
    if loaded.kind != "seq2seq":
        return explore(loaded, text, pair=second), second
    target = second or _written(loaded, text)
    return explore(loaded, text, target), target


def _written(loaded: LoadedModel, text: str) -> str:
    """What the model makes of the text. Raises AttentionError where that is nothing."""
    target = generate(loaded, [text])[0].text
    if not target.strip():
        raise AttentionError(
            f"{loaded.reference} writes nothing for this text; say what it is taken to have "
            "written with --target, or below --- in the cell"
        )
    return target


def _predictor(source: StoreSource) -> Callable[[Collection[Head]], dict[str, Any]]:
    return lambda heads: source.rerun(
        partial(_said, text=source.text, second=source.second, heads=heads)
    )


def _said(
    loaded: LoadedModel, text: str, second: str | None, heads: Collection[Head]
) -> dict[str, Any]:
    """A prediction as an explorer shows it: a score alone becomes its one entry."""
    target, pair = (second, None) if loaded.kind == "seq2seq" else (None, second)
    found = predict(loaded, text, target, heads, _CANDIDATES, pair=pair)
    entries = found.entries or (
        [(found.score_name, found.score)] if found.score is not None else []
    )
    return {
        "kind": found.kind,
        "entries": entries,
        "score": found.score,
        "score_name": found.score_name,
    }
