"""A summary written by a model: a text longer than its window is written part by part, then from
those summaries."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from llm_magics.errors import WrongTask
from llm_magics.tasks.choose import Opened
from llm_magics.tasks.progress import WrittenProgress
from llm_magics.tasks.prompts import parse_bullets, summarize_prompt
from llm_magics.tasks.provenance import answers, excess, run
from llm_magics.text.extractive import count_words, scores, shorten
from llm_magics.text.segments import segment

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["MAX_WORDS", "OnProgress", "Stop", "Writer", "window_characters"]

_TOKENS_PER_WORD = 2
_LEAST_PART_WORDS = 25
_CHARACTERS_PER_TOKEN = 3
_ROUNDS = 8
_MOST_PROMPT = 0.5  # of what the model can read
MAX_WORDS = 10_000

OnProgress = Callable[[WrittenProgress], None] | None
Stop = Callable[[], bool] | None


class Writer:
    """One summary by one model. Raises WrongTask for a model that translates."""

    def __init__(
        self,
        opened: Opened,
        language: str,
        style: str,
        num_beams: int,
        on_progress: OnProgress,
        stop: Stop,
        alternatives: int = 0,
    ) -> None:
        if opened.loaded.source_language and opened.loaded.target_language:
            raise WrongTask(
                f"{opened.reference} translates {opened.loaded.source_language} to "
                f"{opened.loaded.target_language} and cannot summarise; choose another model, or "
                "embedded:extractive"
            )
        self.model, self.name, self.language, self.style = (
            opened.loaded,
            str(opened.reference),
            language,
            style,
        )
        self.num_beams, self.on_progress, self.stop = num_beams, on_progress, stop
        self.tokens, self.interrupted = 0, False
        self.wanted, self.parts_read, self.cut_short = alternatives, 1, False
        self.alternatives: list[list[str]] = []
        """The sentences or points of each further summary."""

    def sentences(self, sources: list[str], max_words: int) -> list[str]:
        """The sentences or points of the summary, not yet cut to `max_words`.

        What is too long for one reading is read in parts, and then their summaries, until those can
        be read at once: map and reduce, as recursive summarisation (Wu et al. 2021, section 2.2).
        Every part counts, the last one too.
        """
        parts = self._parts(sources)
        self.parts_read = len(parts)
        for _ in range(_ROUNDS):
            if len(parts) <= 1 or self.interrupted:
                break
            share = max(_LEAST_PART_WORDS, max_words // len(parts))
            summaries = self._write(parts, share, "paragraph")
            sources = [
                sentence
                for part, summary in zip(parts, summaries, strict=True)
                for sentence in self._split(
                    shorten(summary, min(2 * share, count_words(part) // 2))
                )
            ]
            parts = self._parts(sources)
        if len(parts) > 1 and not self.interrupted:
            self.cut_short, parts = True, self._spread(sources, len(sources) // len(parts))
        if not parts or self.interrupted:
            return sources
        return self._pointed(self._write(parts, max_words, self.style, self.wanted)[0])

    def _spread(self, sources: list[str], count: int) -> list[str]:
        """For a model that does not make a text shorter: the most telling sentence of each of
        `count` stretches, or fewer."""
        relevance = scores(sources)
        while True:
            ends = [len(sources) * i // max(1, count) for i in range(max(1, count) + 1)]
            chosen = [
                max(range(start, end), key=relevance.__getitem__) for start, end in pairwise(ends)
            ]
            parts = self._parts([sources[i] for i in chosen])
            if len(parts) <= 1 or count <= 1:
                return parts[:1]
            count //= 2

    def _pointed(self, answer: str) -> list[str]:
        points = parse_bullets(answer)  # some models write a list whatever was asked for
        if points and self.style != "bullets":
            return [sentence for point in points for sentence in self._split(point)]
        return points or self._split(answer)

    def _parts(self, sources: list[str]) -> list[str]:
        """The sentences in parts that the model can read."""
        if excess(self.model, [self._prompt("", MAX_WORDS, self.style)]) > _MOST_PROMPT:
            raise WrongTask(
                f"{self.name} reads {self.model.max_source_tokens} tokens at once, too few to be "
                "asked for a summary; choose another model, or embedded:extractive"
            )
        characters = window_characters(self.model, self.language)
        for _ in range(_ROUNDS):
            parts = _parts(sources, characters)
            times = excess(
                self.model, [self._prompt(part, MAX_WORDS, self.style) for part in parts]
            )
            if times <= 1:
                break
            characters = max(16, int(0.9 * max(map(len, parts)) / times))
        return parts

    def _prompt(self, part: str, max_words: int, style: str) -> str:
        return summarize_prompt(
            self.model, part, max_words=max_words, style=style, language=self.language
        )

    def _split(self, text: str) -> list[str]:
        flat = " ".join(text.replace("<n>", " ").split())  # Pegasus writes its line breaks as <n>
        return [sentence.text for sentence in segment(flat, self.language).sentences]

    def _write(
        self, parts: list[str], max_words: int, style: str, alternatives: int = 0
    ) -> list[str]:
        prompts = [self._prompt(part, max_words, style) for part in parts]
        final: set[int] = set()

        def note(i: int, text: str, is_final: bool) -> None:
            final.update([i] if is_final else [])
            if self.on_progress is not None:
                self.on_progress(WrittenProgress(text, len(final), len(parts), self.name))

        languages = (
            dict.fromkeys(("source_language", "target_language"), self.language)
            if self.model.languages
            else {}
        )
        outputs = run(
            self.model,
            prompts,
            on_text=note,
            stop=self.stop,
            num_beams=self.num_beams,
            **languages,
            max_new_tokens=_TOKENS_PER_WORD * max_words + 16,
            alternatives=alternatives,
        )
        if alternatives:
            others = outputs[0].alternatives
            self.alternatives = [
                self._pointed(text)
                for text in answers(self.model, others, [parts[0]] * len(others))
            ]
        self.interrupted = self.interrupted or not all(output.finished for output in outputs)
        self.tokens += sum(output.n_new_tokens for output in outputs)
        return answers(self.model, [output.text for output in outputs], parts)


def window_characters(model: LoadedModel, language: str) -> int:
    """About how many characters of `language` the model can read at once, with room for a prompt
    and an answer."""
    tokens = model.max_source_tokens or 512
    tokens = min(tokens, 4096) // (2 if model.kind == "causal" else 1)
    return max(64, int(0.8 * tokens * (1 if language in ("zh", "ja") else _CHARACTERS_PER_TOKEN)))


def _parts(sentences: list[str], characters: int) -> list[str]:
    """Neighbouring sentences together, in parts of at most `characters`; a longer sentence is cut
    anywhere."""
    parts: list[list[str]] = []
    room = 0
    short = (
        sentence[i : i + characters]
        for sentence in sentences
        for i in range(0, len(sentence), characters)
    )
    for sentence in short:
        if not parts or len(sentence) > room:
            parts.append([])
            room = characters
        parts[-1].append(sentence)
        room -= len(sentence) + 1
    return [" ".join(part) for part in parts]
