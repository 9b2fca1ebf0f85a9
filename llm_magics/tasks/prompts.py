"""How a model is asked for a task, and what of its answer is the result.

Marian, M2M100, NLLB, BART, Pegasus and this project's own models take the text as it is. T5 wants a prefix.
Chat models get one plain request; whatever they put around the answer is taken off again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llm_magics.models.catalog import language_name

if TYPE_CHECKING:
    from llm_magics.models.loaded import LoadedModel

__all__ = ["parse_answer", "parse_bullets", "summarize_prompt", "translate_prompt"]

_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_FENCE = re.compile(r"\A```[\w-]*\n(.*?)\n?```\Z", re.DOTALL)
_LABEL = re.compile(
    r"\A(?:(?:sure|certainly|of course|okay|ok)[,.!]?\s+)?"
    r"(?:here(?:'s| is)\s+)?(?:the\s+|a\s+)?(?:\w+\s+)?(?:translation|translated text|summary|answer|output)"
    r"(?:\s+(?:in|into|to|of)\s+[^:\n]{1,40})?\s*:\s*", re.IGNORECASE)
_QUOTES = (("\"", "\""), ("“", "”"), ("„", "“"), ("«", "»"), ("'", "'"), ("`", "`"))
_BULLET = re.compile(r"[ \t]*(?:[-*+•–]|\d{1,2}[.)])\s+")


def translate_prompt(model: LoadedModel, text: str, source: str, target: str) -> str:
    """What to give `model` so that it translates `text` between two languages (codes)."""
    if model.kind == "causal" and not model.is_chat:
        return f"{language_name(source)}: {text}\n\n{language_name(target)}:"
    if model.kind == "causal":
        return (f"Translate the following text from {language_name(source)} to {language_name(target)}. "
                f"Answer with the translation only.\n\n{text}")
    if model.family == "t5":
        prefix = _task_prefix(model, f"translation_{source}_to_{target}")
        if prefix is None:
            prefix = f"translate {language_name(source)} to {language_name(target)}: "
        return prefix + text
    return text


def summarize_prompt(model: LoadedModel, text: str, *, max_words: int, style: str, language: str) -> str:
    """What to give `model` so that it summarises `text` in at most `max_words` words."""
    if model.kind == "causal":
        if not model.is_chat:
            return f"{text}\n\nSummary:"
        form = "a list of short points, each on its own line after a dash" if style == "bullets" else "one paragraph"
        return (f"Summarise the following text in {language_name(language)} as {form}, "
                f"with at most {max_words} words. Answer with the summary only.\n\n{text}")
    if model.family == "t5":
        prefix = _task_prefix(model, "summarization")
        return ("summarize: " if prefix is None else prefix) + text
    return text


def parse_answer(answer: str, source: str = "") -> str:
    """The result within a chat model's answer: without thoughts, "Here is the translation:", fences and quotes.

    Quotes stay when the source text has them too.
    """
    text = _THOUGHT.sub("", answer).strip()
    text = _LABEL.sub("", text, count=1).strip()
    fenced = _FENCE.match(text)
    if fenced and not source.lstrip().startswith("```"):
        text = fenced.group(1).strip()
    for opening, closing in _QUOTES:
        inside = text[1:-1]
        if (len(text) > 2 and text[0] == opening and text[-1] == closing
                and opening not in inside and closing not in inside and source[:1] not in [q for q, _ in _QUOTES]):
            return inside.strip()
    return text


def parse_bullets(answer: str) -> list[str]:
    """The points of an answer that is a list; empty when it is not one."""
    lines = [line for line in answer.splitlines() if line.strip()]
    points = [_BULLET.sub("", line, count=1).strip() for line in lines if _BULLET.match(line)]
    return [point for point in points if point] if len(points) >= 2 else []


def _task_prefix(model: LoadedModel, task: str) -> str | None:
    """The prefix that the checkpoint itself names for a task, None when it names none."""
    tasks = getattr(getattr(model.module, "config", None), "task_specific_params", None)
    entry = tasks.get(task) if isinstance(tasks, dict) else None
    return str(entry.get("prefix", "")) if isinstance(entry, dict) else None
