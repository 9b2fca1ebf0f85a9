"""The aspects of many texts, one after the other, each by the best model there is for it or without
one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_magics.display.result import Provenance
from llm_magics.errors import InputError, ModelError, WrongTask
from llm_magics.models.backends.base import EXTRACTIVE
from llm_magics.models.catalog import language_name
from llm_magics.models.read.classify import is_sequence_classifier
from llm_magics.tasks.chat_reading import ReadText, chat_answers
from llm_magics.tasks.choose import Opened, candidates, open_model
from llm_magics.tasks.provenance import account
from llm_magics.tasks.understand.annotations import KeyPhrase, Language
from llm_magics.tasks.understand.entities import asked_entities, labelled_entities
from llm_magics.tasks.understand.labels import (
    asked_labels,
    check_labels,
    classified_labels,
    nearest_labels,
)
from llm_magics.tasks.understand.prompts import locate, parse_phrases, phrases_prompt
from llm_magics.tasks.understand.result import ASPECTS, Understanding
from llm_magics.tasks.understand.sentiment import (
    asked_sentiment,
    classified_sentiment,
    lexicon_sentiment,
    load_lexicon,
)
from llm_magics.tasks.understand.similarity import compared
from llm_magics.tasks.understand.sources import (
    MODELLED,
    capabilities,
    sources,
    unknown_to,
    weightless_provenance,
    without_weights,
)
from llm_magics.text.keyphrases import key_phrases
from llm_magics.text.language import check_language, detect

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["Asked", "Work", "check_show"]

Stop = Callable[[], bool] | None


def check_show(show: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The aspects named, in the order in which they are shown; None for none. Raises InputError for
    what is none."""
    if show is None or not show:
        return None
    named = [one.strip().lower() for one in (show.split(",") if isinstance(show, str) else show)]
    unknown = next((one for one in named if one not in ASPECTS), None)
    if unknown is not None:
        raise InputError(f"there is no {unknown!r} to show; there is {', '.join(ASPECTS)}")
    return tuple(aspect for aspect in ASPECTS if aspect in named)


@dataclass(frozen=True)
class Asked:
    """What is asked of a text; see `understand`. Raises InputError or UnknownLanguage for what
    cannot be asked."""

    show: tuple[str, ...] | None
    labels: tuple[str, ...]
    multi_label: bool
    count: int
    language: str
    model: object
    defaults: dict[str, object]

    @classmethod
    def of(
        cls,
        show: str | Sequence[str] | None = None,
        labels: str | Sequence[str] = (),
        multi_label: bool = False,
        count: int = 8,
        language: str = "auto",
        model: object = None,
        defaults: object = None,
    ) -> Asked:
        """The arguments of `understand`, checked."""
        shown, told = check_show(show), check_labels(labels) if labels else ()
        preferred = dict(defaults or {})
        check_show(list(preferred))
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 100:
            raise InputError(f"count must be a whole number from 1 to 100, not {count!r}")
        if shown and "labels" in shown and not told and model is None and "labels" not in preferred:
            raise InputError("which labels? say them with labels (--labels a,b,c)")
        if told and shown and "labels" not in shown:
            raise InputError(
                f"labels are given, but {', '.join(shown)} is to be shown; add labels to it"
            )
        return cls(
            shown,
            told,
            multi_label,
            count,
            language if language == "auto" else check_language(language),
            model,
            preferred,
        )

    def settings(self) -> dict[str, object]:
        """What decides the findings, as plain values."""
        return {
            "show": self.show,
            "labels": self.labels,
            "multi_label": self.multi_label,
            "count": self.count,
            "language": self.language,
            "model": self.model and str(self.model),
            "defaults": {aspect: str(model) for aspect, model in self.defaults.items()} or None,
        }


@dataclass
class _Found:
    """One aspect of every text."""

    values: list[object]
    by: Provenance
    notes: list[str] = field(default_factory=list)


class Work:
    """Everything that is asked of texts, and the models that do it."""

    def __init__(
        self,
        manager: ModelManager | None,
        asked: Asked,
        load_options: dict[str, object] | None = None,
        stop: Stop = None,
    ) -> None:
        self.manager, self.load_options, self.stop = manager, load_options or {}, stop
        self.multi_label, self.count, self.model, self.defaults = (
            asked.multi_label,
            asked.count,
            asked.model,
            asked.defaults,
        )
        self.show, self.labels, self.language = asked.show, asked.labels, asked.language
        self.refusal: ModelError | None = None
        """The first reason why something could not be done, raised where nothing could."""

    def aspects(self) -> tuple[str, ...]:
        """What to do where no model was named."""
        return self.show or tuple(aspect for aspect in ASPECTS if aspect != "labels" or self.labels)

    def read(self, text: str) -> ReadText:
        """The text with its language; English where it has no letters to tell it by."""
        try:
            spoken = self.language if self.language != "auto" else detect(text)[0]
        except InputError:
            spoken = "en"
        return ReadText(text, spoken)

    def understood(self, texts: Sequence[str]) -> list[Understanding]:
        """Each aspect of all texts, one after the other."""
        reads = [self.read(text) for text in texts]
        found: dict[str, _Found] = {}
        notes: list[str] = []
        stopped = self._by_model(reads, found, notes) if self.model is not None else False
        alone = (
            self.aspects()
            if self.model is None
            else tuple(aspect for aspect in self.show or ("language",) if aspect not in found)
        )
        for aspect in alone:
            stopped = stopped or (self.stop is not None and self.stop())
            if not stopped:
                self._alone(aspect, reads, found, notes)
        if not found and not stopped:
            raise self.refusal or WrongTask(
                "there is nothing to show of this text: one line is not alike to anything"
            )
        return [
            _understanding(read.text, number, found, notes, stopped)
            for number, read in enumerate(reads)
        ]

    def _by_model(self, reads: list[ReadText], found: dict[str, _Found], notes: list[str]) -> bool:
        """What the model asked for can do; True when it was stopped."""
        with open_model(
            candidates("understand", model=self.model), self.manager, self.load_options
        ) as opened:
            if (
                opened.loaded.backend.kind == EXTRACTIVE
            ):  # embedded:extractive: whatever needs no model
                able = {aspect: True for aspect in ("sentiment", "phrases")}
            else:
                able = capabilities(opened.loaded)
            wanted = [
                aspect
                for aspect, unasked in able.items()
                if (aspect in self.show if self.show else self._unasked(opened, aspect, unasked))
            ]
            if not wanted and set(self.show or ASPECTS) - {"language", "phrases"}:
                raise WrongTask(
                    f"{opened.reference} cannot do {', '.join(self.show or ('any of it',))}; it "
                    f"does {', '.join(able) or 'none of ' + ', '.join(ASPECTS)}"
                )
            for aspect in wanted:
                if self.stop is not None and self.stop():
                    return True
                if opened.loaded.backend.kind == EXTRACTIVE:
                    self._weightless(aspect, reads, found, notes)
                else:
                    found[aspect] = self._read(aspect, opened, reads)
        return False

    def _unasked(self, opened: Opened, aspect: str, unasked: bool) -> bool:
        if aspect != "labels":
            return unasked
        own = (
            opened.loaded.backend.kind != EXTRACTIVE
            and is_sequence_classifier(opened.loaded)
            and unasked
        )
        return bool(self.labels) or (own and "sentiment" in capabilities(opened.loaded))

    def _alone(
        self, aspect: str, reads: list[ReadText], found: dict[str, _Found], notes: list[str]
    ) -> None:
        """One aspect by the best model there is, or without one."""
        if (
            aspect == "similarity"
            and self.show is None
            and all(_is_one_line(read.text) for read in reads)
        ):
            return
        asked = self.show is not None and self.model is None
        ways = sources(aspect, reads[0].language, default=self.defaults.get(aspect), fetch=asked)
        if ways.models:
            try:
                with open_model(list(ways.models), self.manager, self.load_options) as opened:
                    found[aspect] = self._read(aspect, opened, reads)
                return
            except ModelError as error:
                if aspect in self.defaults or isinstance(error, WrongTask):
                    raise
                notes.append(f"{aspect}: {error}")
                self.refusal = self.refusal or error.with_traceback(None)
        if ways.lacking:
            notes.append(ways.lacking)
            self.refusal = self.refusal or ways.refusal(ways.lacking)
        if ways.weightless:
            self._weightless(aspect, reads, found, notes)

    def _weightless(
        self, aspect: str, reads: list[ReadText], found: dict[str, _Found], notes: list[str]
    ) -> None:
        if aspect == "sentiment":
            load_lexicon()
        started = time.perf_counter()  # reading the lexicon is no part of the seconds
        if aspect == "language":
            values: list[object] = [self._language_of(read) for read in reads]
        elif aspect == "sentiment":
            values = [lexicon_sentiment(read) for read in reads]
        else:
            values = [
                [
                    KeyPhrase(text=one.text, score=one.score, places=one.places)
                    for one in key_phrases(read.text, read.language, self.count)
                ]
                for read in reads
            ]
        found[aspect] = _Found(
            values, weightless_provenance(aspect, time.perf_counter() - started, reads[0].language)
        )
        lacking = {read.language for read in reads if not without_weights(aspect, read.language)}
        if lacking:
            found[aspect].notes.append(unknown_to(aspect, lacking))

    def _language_of(self, read: ReadText) -> Language | None:
        if self.language != "auto":
            return Language(code=read.language, name=language_name(read.language), probability=None)
        try:
            code, probability = detect(read.text)
        except InputError:
            return None
        return Language(code=code, name=language_name(code), probability=probability)

    def _read(self, aspect: str, opened: Opened, reads: list[ReadText]) -> _Found:
        """One aspect of every text by the model that was opened."""
        model, started = (
            opened.loaded,
            time.perf_counter(),
        )  # loading the model is no part of the seconds
        if aspect not in capabilities(model):
            raise WrongTask(
                f"{opened.reference} ({model.family}) cannot do {aspect}; choose another model "
                "for it"
            )
        values, tokens, notes = (self._asked if model.is_chat else self._computed)(
            aspect, model, reads
        )
        used = {"labels": ", ".join(self.labels)} if aspect == "labels" and self.labels else {}
        return _Found(
            values,
            account(opened, started, tokens, used),
            [*opened.notes, *(f"{aspect}: {note}" for note in notes)],
        )

    def _computed(
        self, aspect: str, model: LoadedModel, reads: list[ReadText]
    ) -> tuple[list, int, list[str]]:
        """(findings, tokens written, notes) from the scores of an encoder."""
        if aspect == "sentiment":
            return classified_sentiment(model, reads), 0, []
        if aspect == "entities":
            return labelled_entities(model, reads), 0, []
        if aspect == "labels":
            by = classified_labels if is_sequence_classifier(model) else nearest_labels
            return by(model, reads, self.labels, self.multi_label), 0, []
        found, shortened = compared(model, reads)
        note = (
            f"{shortened} lines were longer than the model reads and are judged by their beginning"
        )
        return found, 0, [note] * bool(shortened)

    def _asked(
        self, aspect: str, model: LoadedModel, reads: list[ReadText]
    ) -> tuple[list, int, list[str]]:
        """(findings, tokens written, notes) from the answers of a chat model."""
        if aspect == "sentiment":
            moods, tokens = asked_sentiment(model, reads, self.stop)
            return moods, tokens, ["the model gave no answer that says it"] * (None in moods)
        if aspect == "labels":
            chosen, tokens = asked_labels(model, reads, self.labels, self.multi_label, self.stop)
            return chosen, tokens, ["the model chose none of the labels"] * (None in chosen)
        if aspect == "entities":
            entities, missing, tokens = asked_entities(model, reads, self.stop)
            return (
                entities,
                tokens,
                [f"{missing} names that the model gave are not in the text"] * bool(missing),
            )
        answered, tokens = chat_answers(
            model,
            reads,
            lambda text: phrases_prompt(text, self.count),
            max_new_tokens=256,
            stop=self.stop,
        )
        phrases = [
            _phrases(read.text, [answer for _, answer in parts], self.count)
            for read, parts in zip(reads, answered, strict=True)
        ]
        return (
            phrases,
            tokens,
            ["the model gave no phrase that is in the text"] * (not all(phrases)),
        )


def _phrases(text: str, answers: list[str], count: int) -> list[KeyPhrase]:
    """The phrases of the answers that stand in the text, the first of each answer before the
    second."""
    ranked = sorted(
        (rank, number, phrase)
        for number, answer in enumerate(answers)
        for rank, phrase in enumerate(parse_phrases(answer))
    )
    places = {phrase: tuple(locate(text, phrase)) for _, _, phrase in ranked}
    kept = list(dict.fromkeys(phrase for _, _, phrase in ranked if places[phrase]))[:count]
    return [
        KeyPhrase(
            text=text[slice(*places[phrase][0])], score=1 - i / len(kept), places=places[phrase]
        )
        for i, phrase in enumerate(kept)
    ]


def _is_one_line(text: str) -> bool:
    return sum(1 for line in text.splitlines() if line.strip()) < 2


def _understanding(
    text: str, number: int, found: dict[str, _Found], notes: list[str], stopped: bool
) -> Understanding:
    values = {aspect: one.values[number] for aspect, one in found.items()}
    moods = values.get("sentiment") or []
    by = {aspect: found[aspect].by for aspect in ASPECTS if aspect in found}
    models = dict.fromkeys(
        one.model for aspect, one in by.items() if aspect in MODELLED or len(by) == 1 or one.tokens
    )
    whole = Provenance(
        model=", ".join(models or dict.fromkeys(one.model for one in by.values())),
        seconds=sum(one.seconds for one in by.values()),
        tokens=sum(one.tokens for one in by.values()),
    )
    return Understanding(
        source_text=text,
        language=values.get("language"),
        sentiment=moods[0] if moods else None,
        sentences=tuple(moods[1:]),
        labels=tuple(values.get("labels") or ()),
        entities=tuple(values.get("entities") or ()),
        phrases=tuple(values.get("phrases") or ()),
        similarity=values.get("similarity"),
        provenance=whole,
        by=by,
        notes=tuple(
            dict.fromkeys([*notes, *(note for one in found.values() for note in one.notes)])
        ),
        interrupted=stopped,
    )
