"""`%%ask`: questions about a text."""

from __future__ import annotations

from typing import Any

from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import MODEL, PRECISION, Box
from llm_magics.magics.core.objects import text_of
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.rows import EACH
from llm_magics.magics.split_cell import SEPARATOR, split_at_rule
from llm_magics.magics.task import ENGINE, LANGUAGE, TaskCommand

__all__ = ["AskMagic"]


class AskMagic(TaskCommand):
    """`%ask --context VAR QUESTION`, or in a cell a text, a line of three dashes, and questions."""

    name = "ask"
    summary = "Answer questions about a text."
    details = (
        "In a cell the text stands above a line of three dashes and the questions below it, one "
        "a line; with --context every line is a question, and they are worked on together. "
        "Models with a head for answers give places in the text with their probability, others "
        "write an answer and the sentences it rests on are marked."
    )
    text = "QUESTION"
    cell = "TEXT, --- and questions; with --context only questions, one a line"
    options = (
        Option(
            "--context",
            "a notebook variable or a text file that holds the text",
            "VAR|FILE",
            completes="variable",
        ),
        Option(
            "--count",
            "how many places to find for each question",
            "N",
            whole(1, 50),
            default=3,
            argument="count",
        ),
        LANGUAGE,
        MODEL,
        PRECISION,
        ENGINE,
        Option(
            "--in",
            "take the questions from this notebook variable or file",
            "EXPR|FILE",
            completes="variable",
        ),
        EACH,
    )
    examples = (
        "%%ask\nThe Danube rises in the Black Forest.\n---\nWhere does the Danube rise?",
        "%ask --context article Who wrote it?",
        "%ask --each df.question --context article --out answers",
    )

    python_result = "answers"
    boxes = (
        Box("context", "Text", option="--context"),
        Box("text", "Questions, one a line", option="--in"),
    )

    def texts(self, call: Call) -> tuple[str | list[str], str]:
        questions, context = _parts(call)
        return (questions[0] if len(questions) == 1 else questions), context

    def more_arguments(self, call: Call) -> dict[str, Any]:
        """With --each the questions are the rows, and the text is an option."""
        return {"context": _context(call) if call["each"] else None}


def _parts(call: Call) -> tuple[list[str], str]:
    """(questions, text)."""
    asked, context = call.body(), _context(call)
    if context is None:
        context, below = split_at_rule(asked)
        if below is None:
            raise call.wrong(
                "which text is it about? name one with --context, or put it above a line "
                f"{SEPARATOR} and the questions below"
            )
        asked = below
    questions = [line.strip() for line in asked.splitlines() if line.strip()]
    if not context.strip() or not questions:
        missing = "text above" if questions else "question below"
        raise call.wrong(
            f"--context {call['context']} is empty"
            if call["context"] and questions
            else f"there is no {missing} the line {SEPARATOR}"
        )
    return questions, context


def _context(call: Call) -> str | None:
    """The text that --context names."""
    return text_of(call, "context") if call["context"] else None
