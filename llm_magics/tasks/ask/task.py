"""Questions about a text: spans of it found by a model with a head for answers, sentences picked
without any model, or answers that a model writes from the passages the question is about.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_magics.errors import EmptyInput, InputError, WrongTask
from llm_magics.models.backends.base import EXTRACTIVE
from llm_magics.models.read.spans import Inquiry, answer_spans
from llm_magics.rows.results_file import fingerprint
from llm_magics.rows.rows import RowError, Rows
from llm_magics.rows.run import one_by_one, settings_of, work_through
from llm_magics.tasks.ask.result import Answer, Answers, Evidence
from llm_magics.tasks.ask.semantic import SemanticSearch
from llm_magics.tasks.choose import Opened, candidates, open_model
from llm_magics.tasks.progress import WrittenProgress
from llm_magics.tasks.prompts import answer_prompt, parse_cited, says_no_answer
from llm_magics.tasks.provenance import account, answers, excess, run
from llm_magics.text.clean import clean_text
from llm_magics.text.extractive import terms
from llm_magics.text.language import check_language, detect
from llm_magics.text.passages import (
    Passage,
    answer_sentences,
    bm25,
    fused,
    passages,
    sentence_passages,
)

if TYPE_CHECKING:
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["ask", "ask_each"]

_SEARCHED_CHARACTERS = 12_000
"""A longer text is searched by passage first, and only the best passages are read."""
_PASSAGES = 12
_ANSWER_TOKENS = 160
_WRITTEN_PASSAGES = 6
_CUTS = 6
_SHARED_TERMS = 0.5
"""Of an answer's terms, how many a sentence must have to be taken for what it rests on."""

Stop = Callable[[], bool] | None


def ask(
    questions: str | Sequence[str],
    context: str,
    *,
    manager: ModelManager | None = None,
    language: str = "auto",
    count: int = 3,
    model: object = None,
    default: object = None,
    load_options: dict[str, object] | None = None,
    num_beams: int = 1,
    on_progress: Callable[[WrittenProgress], None] | None = None,
    stop: Stop = None,
) -> Answers:
    """Answer each of `questions` (one, or several that are worked on together) from the text
    `context`.

    A model with a head for answers gives spans with their probability, `count` for each question; a
    model that writes gives answers in its own words and the sentences they rest on;
    `embedded:extractive`, which needs no `manager`, picks the sentence that answers best.
    `language` is that of the text; other options are those of `summarize`.

    Raises EmptyInput, InputError, TooLong, UnknownLanguage, WrongTask for a model that cannot
    answer, or a ModelError from choosing and loading a model.
    """
    asked, context = _questions(questions), clean_text(context)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 50:
        raise InputError(f"count must be a whole number from 1 to 50, not {count!r}")
    language = check_language(language) if language != "auto" else detect(context)[0]
    if manager is None and model is None and default is None:
        default = "embedded:extractive"
    with open_model(
        candidates("ask", model=model, default=default, source=language), manager, load_options
    ) as opened:
        started = time.perf_counter()  # loading the model is no part of the seconds
        text = _Text(context, language, manager)
        extractive = opened.loaded.backend.kind == EXTRACTIVE or opened.loaded.kind == "encoder"
        tokens, interrupted = 0, False
        if opened.loaded.backend.kind == EXTRACTIVE:
            found = [_picked(question, text, count) for question in asked]
        elif extractive:
            found = _spans(opened, asked, text, count)
        else:
            writing = _Writing(opened, asked, text, num_beams, on_progress, stop)
            found, tokens, interrupted = writing.answers, writing.tokens, writing.interrupted
        provenance = account(
            opened, started, tokens, {"count": count} if extractive else {"num_beams": num_beams}
        )
    return Answers(
        text="\n".join(answer.text for answer in found),
        answers=tuple(found),
        context=context,
        language=language,
        extractive=extractive,
        provenance=provenance,
        notes=(*opened.notes, *text.notes),
        interrupted=interrupted,
    )


def ask_each(
    rows: Iterable[object] | str | Path,
    *,
    context: str | None = None,
    column: str | None = None,
    out_file: str | Path | None = None,
    resume: bool = False,
    stop: Stop = None,
    on_row: Callable[[int, Answers | RowError], None] | None = None,
    **options: object,
) -> Rows:
    """One Answers, or one RowError with the reason, for each row, in order; `options` as in `ask`.

    A row is a question about `context`, or a mapping with "question" and "context". A row that
    cannot be answered does not stop the others; a model that fails does. For `rows`, `column`,
    `out_file` and `resume` see `llm_magics.rows.run.work_through`.
    """
    settings = settings_of("ask", {**options, "context": context and fingerprint(context)})
    return work_through(
        rows,
        one_by_one(lambda row: ask(*_row(row, context), stop=stop, **options)),
        column=column,
        whole=True,
        on_row=on_row,
        stop=stop,
        out_file=out_file,
        resume=resume,
        settings=settings,
    )


def _row(row: object, context: str | None) -> tuple[str, str]:
    if isinstance(row, Mapping):
        missing = [
            name
            for name in ("question", "context")
            if name not in row and not (name == "context" and context)
        ]
        if missing:
            raise InputError(
                f"a row needs {' and '.join(missing)}; it has "
                f"{', '.join(map(str, row)) or 'nothing'}"
            )
        return row["question"], row.get("context", context)
    if context is None:
        raise InputError(
            "which text is the question about? give context=, or rows with question and context"
        )
    return row, context  # type: ignore[return-value]  # `readable` says what is no text


def _questions(questions: str | Sequence[str]) -> list[str]:
    given = list(questions) if isinstance(questions, (list, tuple)) else [questions]
    if not given:
        raise EmptyInput("there is no question")
    return [" ".join(clean_text(question).split()) for question in given]


class _Text:
    """The context with its sentences, and what of it a question should be answered from."""

    def __init__(self, context: str, language: str, manager: ModelManager | None = None) -> None:
        self.context, self.language, self.manager = context, language, manager
        self.searched_by = ""
        """What the passages were searched by, where they were."""
        self.sentences = sentence_passages(context, language)
        self._passages: list[Passage] | None = None

    def best(self, question: str, count: int) -> list[Passage]:
        """The `count` passages that the question is about, in the order of the text."""
        if self._passages is None:
            self._passages = passages(self.context, self.language)
        texts = [passage.text for passage in self._passages]
        scores, self.searched_by = bm25(question, texts), "BM25"
        search = SemanticSearch.of(self.manager, self.language)
        alike = search.scores(self.manager, question, texts) if search is not None else None
        if alike is not None:
            scores, self.searched_by = fused(scores, alike), "BM25 and package:minilm"
        order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count]
        return [self._passages[i] for i in sorted(order)]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know: that only the best passages were read."""
        return (
            (f"of this long text the best passages were read, found by {self.searched_by}",)
            if self.searched_by
            else ()
        )

    def pieces(self, question: str) -> tuple[tuple[int, str], ...]:
        """(where it begins, text) of what a model with a head for answers reads."""
        if len(self.context) <= _SEARCHED_CHARACTERS:
            return ((0, self.context),)
        return tuple((passage.start, passage.text) for passage in self.best(question, _PASSAGES))

    def sentences_of(self, question: str, count: int) -> list[Passage]:
        """The sentences of the best passages."""
        chosen = self.best(question, count)
        return [
            sentence
            for sentence in self.sentences
            if any(
                passage.start <= sentence.start and sentence.end <= passage.end
                for passage in chosen
            )
        ]


def _picked(question: str, text: _Text, count: int) -> Answer:
    ranked = answer_sentences(question, [sentence.text for sentence in text.sentences])[:count]
    evidence = tuple(
        Evidence(
            start=text.sentences[i].start, end=text.sentences[i].end, text=text.sentences[i].text
        )
        for _, i in ranked
    )
    return Answer(question=question, text=evidence[0].text if evidence else "", evidence=evidence)


def _spans(opened: Opened, asked: list[str], text: _Text, count: int) -> list[Answer]:
    readings = answer_spans(
        opened.loaded, [Inquiry(question, text.pieces(question)) for question in asked], count=count
    )
    found = []
    for question, reading in zip(asked, readings, strict=True):
        evidence = tuple(
            Evidence(
                start=span.start,
                end=span.end,
                text=text.context[span.start : span.end],
                probability=span.probability,
            )
            for span in reading.spans
        )
        none = not evidence or reading.no_answer > evidence[0].probability
        found.append(
            Answer(
                question=question,
                text="" if none else evidence[0].text,
                evidence=evidence,
                probability=reading.no_answer if none else evidence[0].probability,
            )
        )
    return found


class _Writing:
    """Answers that a model writes, all questions in one batch."""

    def __init__(
        self,
        opened: Opened,
        asked: list[str],
        text: _Text,
        num_beams: int,
        on_progress: Callable[[WrittenProgress], None] | None,
        stop: Stop,
    ) -> None:
        self.model = opened.loaded
        if self.model.source_language and self.model.target_language:
            raise WrongTask(
                f"{opened.reference} translates {self.model.source_language} to "
                f"{self.model.target_language} and answers no questions; choose another model, "
                "or embedded:extractive"
            )
        self.read = [self._fitting(question, text) for question in asked]
        prompts = [
            self._prompt(question, read) for question, read in zip(asked, self.read, strict=True)
        ]
        drafts, final = [""] * len(asked), set()

        def note(i: int, written: str, is_final: bool) -> None:
            drafts[i] = written
            final.update([i] if is_final else [])
            if on_progress is not None:
                lines = [
                    f"{question} {draft}".strip()
                    for question, draft in zip(asked, drafts, strict=True)
                    if draft
                ]
                on_progress(
                    WrittenProgress("\n".join(lines), len(final), len(asked), str(opened.reference))
                )

        languages = (
            dict.fromkeys(("source_language", "target_language"), text.language)
            if self.model.languages
            else {}
        )
        outputs = run(
            self.model,
            prompts,
            on_text=note,
            stop=stop,
            num_beams=num_beams,
            max_new_tokens=_ANSWER_TOKENS,
            **languages,
        )
        self.interrupted = not all(output.finished for output in outputs)
        self.tokens = sum(output.n_new_tokens for output in outputs)
        written = answers(self.model, [output.text for output in outputs], prompts)
        self.answers = [_written(*one) for one in zip(asked, written, self.read, strict=True)]

    def _prompt(self, question: str, read: list[Passage]) -> str:
        return answer_prompt(
            self.model, question, [" ".join(sentence.text.split()) for sentence in read]
        )

    def _fitting(self, question: str, text: _Text) -> list[Passage]:
        """The sentences to answer from: all of a short text, else those of as many passages as the
        model can read."""
        if (
            len(text.context) <= _SEARCHED_CHARACTERS
            and excess(self.model, [self._prompt(question, text.sentences)]) <= 1
        ):
            return text.sentences
        read: list[Passage] = []
        for count in range(_WRITTEN_PASSAGES, 0, -1):
            read = text.sentences_of(question, count)
            if excess(self.model, [self._prompt(question, read)]) <= 1:
                return read
        for _ in range(_CUTS):
            read = read[: max(1, len(read) // 2)]
            if excess(self.model, [self._prompt(question, read)]) <= 1:
                break
        return read  # what is still too long is refused by `generate`, which says the limit


def _written(question: str, answer: str, read: list[Passage]) -> Answer:
    text, cited = parse_cited(answer)
    if says_no_answer(text):
        return Answer(question=question, text="")
    chosen = [read[number - 1] for number in cited if 1 <= number <= len(read)] or _supporting(
        text, read
    )
    evidence = tuple(Evidence(start=one.start, end=one.end, text=one.text) for one in chosen)
    return Answer(question=question, text=text, evidence=evidence)


def _supporting(answer: str, read: list[Passage]) -> list[Passage]:
    """Where the model cites nothing: the sentence that shares most terms with its answer, if it has
    half of them."""
    wanted = set(terms(answer))
    if not wanted:
        return []
    share, best = max(
        ((len(wanted & set(terms(one.text))) / len(wanted), -i) for i, one in enumerate(read)),
        default=(0.0, 0),
    )
    return [read[-best]] if share >= _SHARED_TERMS else []
