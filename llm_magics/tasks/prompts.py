"""How a model is asked for a task, and what of its answer is the result.

Marian, M2M100, NLLB, BART, Pegasus and this project's own models take the text as it is. T5 wants a
prefix. Chat models get one plain request; whatever they put around the answer is taken off again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_magics.models.catalog import language_name
from llm_magics.models.families import family_of

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = [
    "NOT_IN_TEXT",
    "answer_prompt",
    "parse_answer",
    "parse_bullets",
    "parse_cited",
    "says_no_answer",
    "summarize_prompt",
    "translate_prompt",
]

_THINKING = r"(?:think|thinking|thought|thoughts|reasoning|reflection)"
_THOUGHT = re.compile(rf"<{_THINKING}>.*?(?:</{_THINKING}>|\Z)", re.DOTALL | re.IGNORECASE)
_END_OF_THOUGHT = re.compile(
    rf"\A.*(?:</{_THINKING}>|<\|channel\|>\s*final\s*<\|message\|>)", re.DOTALL | re.IGNORECASE
)
_SPECIAL = re.compile(r"(?:<\|[\w ]{1,40}\|>|</s>|<(?:end|start)_of_turn>|<eos>|\[/?INST\])")
_FENCE = re.compile(r"^```[\w-]*[ \t]*\n(.*?)\n?^```[ \t]*$", re.DOTALL | re.MULTILINE)
_SURE = r"(?:(?:sure|certainly|of course|okay|ok|absolutely)(?:\s+thing)?[,.!:]*\s+)?"
_THING = r"(?:translation|translated text|text translated|summary|answer|output|response)"
_LABEL = re.compile(
    rf"\A{_SURE}[*_#\s]*(?:here(?:'s|’s| is| are)\s+)?(?:the\s+|a\s+|your\s+)?(?:[\w-]+\s+){{0,2}}?{_THING}"  # noqa: E501  a table or a pattern
    r"(?:\s+(?:in|into|to|of|from|for)\s+[^:\n]{1,60})?[*_\s]*:[*_]*\s*",
    re.IGNORECASE,
)
_TITLE = re.compile(rf"\A[#*_ \t]+(?:the\s+)?(?:\w+\s+)?{_THING}[#*_ \t]*\n+", re.IGNORECASE)
_ASSISTANT = re.compile(r"\Aassistant\s*(?::|\n)\s*", re.IGNORECASE)
_LABEL_CHARACTERS = 300
_EARLY_COLON = re.compile(r"[^\n]{0,40}[:：]")
_AFTERWORD = re.compile(
    r"[ (\[*_]*(note|notes|explanation|please note|let me know|i hope|hope this|feel free|is there anything|"  # noqa: E501  a table or a pattern
    r"if you (?:need|have|want|would))\b",
    re.IGNORECASE,
)
_AFTERWORDS = 3
_QUOTES = (
    ('"', '"'),
    ("“", "”"),
    ("„", "“"),
    ("„", "”"),
    ("«", "»"),
    ("‘", "’"),
    ("'", "'"),
    ("`", "`"),
)
_WRAPPED_IN = ("translation", "translated_text", "summary", "answer", "output", "result")
"""The keys under which a model that answers in JSON unasked puts its answer."""
NOT_IN_TEXT = "not in the text"
"""What a chat model is asked to say when there is no answer."""
_NO_ANSWER = re.compile(
    r"\A\W*(?:(?:this|that|it|the answer|the information) is )?not in the text\W*\Z|"
    r"\b(?:text|passage|context|article|document)\b.{0,20}\b(?:does not|doesn['’]t|do not)\s+(?:\w+\s+)?"  # noqa: E501  a table or a pattern
    r"(?:say|mention|state|provide|contain|specify|answer|tell|give|include)\b|"
    r"\bnot\s+(?:\w+\s+)?(?:mentioned|stated|specified|provided|given|found|said|answered)\s+in\s+the\s+"
    r"(?:\w+\s+)?(?:text|passage|context|article|document)\b|"
    r"\A\W*(?:i (?:do not|don['’]t) know|unknown|n/a|none|no answer|not mentioned|not stated|not specified)\W*\Z",  # noqa: E501  a table or a pattern
    re.IGNORECASE,
)
_NO_ANSWER_WORDS = 30
# Only where no white space stands before it: a run of spaces would otherwise be tried from each of
# its places.
_CITED = re.compile(
    r"(?<!\s)\s*[\[(（【]{1,2}(?:(?:see|sentences?|sources?|numbers?|nos?\.?|lines?)[ :]{0,3}|[#^])?"  # noqa: E501  a table or a pattern
    r"(\d{1,3}(?: ?(?:[,;–-]|and|&) ?#?\d{1,3})*)(?:†[^\])）】\n]{0,40})?[\])）】]{1,2}",
    re.IGNORECASE,
)
_RANGE = re.compile(r"(\d{1,3})(?:\s*[–-]\s*(\d{1,3}))?")
_MOST_IN_RANGE = 20
_BULLET = re.compile(r"[ \t]*(?:[-*+•–▪◦‣]|\d{1,2}[.)])\s+")


def translate_prompt(model: LoadedModel, text: str, source: str, target: str) -> str:
    """What to give `model` so that it translates `text` between two languages (codes)."""
    if model.kind == "causal" and not model.is_chat:
        return f"{language_name(source)}: {text}\n\n{language_name(target)}:"
    if model.kind == "causal":
        return (
            f"Translate the following text from {language_name(source)} to "
            f"{language_name(target)}. Answer with the translation only.\n\n{text}"
        )
    if family_of(model.family).prompt == "task words":
        prefix = _task_prefix(model, f"translation_{source}_to_{target}")
        if prefix is None:
            prefix = f"translate {language_name(source)} to {language_name(target)}: "
        return prefix + text
    return text


def summarize_prompt(
    model: LoadedModel, text: str, *, max_words: int, style: str, language: str
) -> str:
    """What to give `model` so that it summarises `text` in at most `max_words` words."""
    if model.kind == "causal":
        if not model.is_chat:
            return f"{text}\n\nSummary:"
        form = (
            "a list of short points, each on its own line after a dash"
            if style == "bullets"
            else "one paragraph"
        )
        return (
            f"Summarise the following text in {language_name(language)} as {form}, "
            f"with at most {max_words} words. Answer with the summary only.\n\n{text}"
        )
    if family_of(model.family).prompt == "task words":
        prefix = _task_prefix(model, "summarization")
        return ("summarize: " if prefix is None else prefix) + text
    return text


def answer_prompt(model: LoadedModel, question: str, sentences: Sequence[str]) -> str:
    """What to give `model` so that it answers `question` from the numbered `sentences` of a
    text."""
    context = " ".join(sentences)
    if family_of(model.family).prompt == "task words":
        return f"question: {question} context: {context}"
    if model.kind != "causal":
        return f"{question}\n{context}"
    if not model.is_chat:
        return f"{context}\n\nQuestion: {question}\nAnswer:"
    numbered = "\n".join(f"[{number}] {sentence}" for number, sentence in enumerate(sentences, 1))
    return (
        "Answer the question from the text below, in the language of the question, briefly. "
        "After the answer, give the numbers of the sentences that it rests on in square "
        "brackets, such as [2]. If the text does not say, answer: "
        f"{NOT_IN_TEXT}.\n\nText:\n{numbered}\n\nQuestion: {question}"
    )


def parse_cited(answer: str) -> tuple[str, tuple[int, ...]]:
    """(text of an answer, the sentences it cites, from 1): "Paris [2, 4-6]." gives ("Paris.", (2,
    4, 5, 6))."""
    numbers: list[int] = []
    for found in _CITED.findall(answer):
        for first, last in _RANGE.findall(found):
            end = int(last or first)
            numbers += (
                range(int(first), min(end, int(first) + _MOST_IN_RANGE) + 1)
                if end > int(first)
                else [int(first)]
            )
            numbers += [end] if end < int(first) else []
    return _CITED.sub("", answer).strip(), tuple(dict.fromkeys(numbers))


def says_no_answer(text: str) -> bool:
    """Whether an answer says that there is none, in the words that were asked for or in those that
    models use."""
    words = text.split()
    return not words or (
        len(words) <= _NO_ANSWER_WORDS and bool(_NO_ANSWER.search(" ".join(words)))
    )


def parse_answer(answer: str, source: str = "") -> str:
    """The result within a chat model's answer: without thoughts, "Here is the translation:",
    fences, quotes and afterwords.

    What the source text has itself stays: its fence, its quotes, a note at its end. An answer that
    holds nothing else is "".
    """
    text = answer
    if not _END_OF_THOUGHT.match(source):
        text = _END_OF_THOUGHT.sub("", _THOUGHT.sub("", text), count=1)
    text = (text if _SPECIAL.search(source) else _SPECIAL.sub("", text)).strip()
    text = text if _ASSISTANT.match(source) else _ASSISTANT.sub("", text, count=1)
    text = _without_fence(_without_label(text, source), source)
    text = _unwrapped(_without_label(text, source), source)
    for _ in range(_AFTERWORDS):
        text = _without_afterword(text, source)
    return _unquoted(text, source)


def _without_label(text: str, source: str) -> str:
    """Without a label before the answer. Where the source begins with one, in any language, the
    answer's is its translation."""
    if _EARLY_COLON.match(source) or _TITLE.match(source):
        return text
    for label in (_TITLE, _LABEL):
        found = label.match(text, 0, _LABEL_CHARACTERS)
        text = text[found.end() :].strip() if found else text
    return text


def _without_fence(text: str, source: str) -> str:
    """What stands in the one fence of the answer; one that was not closed ends where the answer
    does."""
    fences = 0 if "```" in source else text.count("```")
    found = _FENCE.search(text) if fences == 2 else None
    if found:
        return found[1].strip()
    return (
        text.lstrip("`").partition("\n")[2].strip()
        if fences == 1 and text.startswith("```")
        else text
    )


def _without_afterword(text: str, source: str) -> str:
    """Without a last paragraph that is about the answer; a word that the source has too begins one
    of its own."""
    lines = text.splitlines()
    blank = next((i for i in range(len(lines) - 1, 0, -1) if not lines[i].strip()), None)
    after = _AFTERWORD.match(lines[blank + 1], 0, _LABEL_CHARACTERS) if blank is not None else None
    if after is None or after[1].lower() in source.lower():
        return text
    return "\n".join(lines[:blank]).rstrip()


def _unwrapped(text: str, source: str) -> str:
    """What stands in an answer in JSON that has one of the usual keys, whatever follows it."""
    if not text.startswith("{") or source.lstrip().startswith("{"):
        return text
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return text
    given = [value[key] for key in _WRAPPED_IN if isinstance(value.get(key), str)]
    return given[0].strip() if len(given) == 1 else text


def _unquoted(text: str, source: str) -> str:
    if source[:1] in {quote for pair in _QUOTES for quote in pair} - {""}:
        return text
    for opening, closing in _QUOTES:
        inside = text[1:-1]
        if (
            len(text) > 2
            and text[0] == opening
            and text[-1] == closing
            and opening not in inside
            and closing not in inside
        ):
            return inside.strip()
    return text


def parse_bullets(answer: str) -> list[str]:
    """The points of an answer that is a list, each with the lines that go on with it; empty when it
    is not one.

    What stands before the first point is an introduction. One point alone is a list when nothing
    else stands there.
    """
    points: list[list[str]] = []
    begins = others = 0
    for line in answer.splitlines():
        if _BULLET.match(line):
            points.append([_BULLET.sub("", line, count=1).strip()])
            begins += 1
        elif line.strip() and points and line[:1] in " \t":
            points[-1].append(line.strip())
        elif line.strip():
            others += 1
    found = [" ".join(point).strip() for point in points]
    return [point for point in found if point] if begins >= 2 or (begins and not others) else []


def _task_prefix(model: LoadedModel, task: str) -> str | None:
    """The prefix that the checkpoint itself names for a task, None when it names none."""
    tasks = getattr(model.config, "task_specific_params", None)
    entry = tasks.get(task) if isinstance(tasks, dict) else None
    return str(entry.get("prefix", "")) if isinstance(entry, dict) else None
