"""`%%ask`: questions about a text."""

from __future__ import annotations

from pathlib import Path

from llm_magics.magics.core.command import MODEL, PRECISION, Box, Call, python_call
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.parts import SEPARATOR, split_at_rule
from llm_magics.magics.rows import EACH, each_code, run_each
from llm_magics.magics.settings import settings_of
from llm_magics.magics.stream import stream
from llm_magics.magics.task import ENGINE, TaskCommand

__all__ = ["AskMagic"]

_MOST_BYTES = 4_000_000


class AskMagic(TaskCommand):
    """`%ask --context VAR QUESTION`, or in a cell a text, a line of three dashes, and questions."""

    name = "ask"
    summary = "Answer questions about a text."
    details = (
        "In a cell the text stands above a line of three dashes and the questions below it, one "
        "a line; with "
        "--context every line is a question, and they are worked on together. Models with a head "
        "for answers give "
        "places in the text with their probability, others write an answer and the sentences it "
        "rests on are marked."
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
            "--count", "how many places to find for each question", "N", whole(1, 50), default=3
        ),
        Option(
            "--language",
            "language of the text, code or name; auto finds out",
            "LANGUAGE",
            default="auto",
            completes="source language",
        ),
        MODEL,
        PRECISION,
        ENGINE,
        Option(
            "--in", "take the questions from this notebook variable", "EXPR", completes="variable"
        ),
        EACH,
    )
    examples = (
        "%%ask\nThe Danube rises in the Black Forest.\n---\nWhere does the Danube rise?",
        "%ask --context article Who wrote it?",
        "%ask --each df.question --context article --out answers",
    )

    boxes = (
        Box("context", "Text", option="--context"),
        Box("text", "Questions, one a line", option="--in"),
    )

    def arguments(self, call: Call) -> dict[str, object]:
        """Arguments of `Session.ask` besides questions and context, those at their default left
        out."""
        model = call.model()
        given = {
            "count": call["count"] if call["count"] != 3 else None,
            "language": call["language"] if call["language"] != "auto" else None,
            "model": model,
            "load_options": call.load_options(),
            "default": None if model else settings_of(call.shell).ask_model or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def named_text(self, call: Call, option: str) -> str:
        return (_context(call) or "") if option == "--context" else super().named_text(call, option)

    def run(self, call: Call) -> object:
        arguments = self.arguments(call)
        if call["each"]:
            return run_each(call, call.session.ask_each, {**arguments, "context": _context(call)})
        return stream(call, call.session.ask, *_parts(call), **arguments)

    def plan(self, call: Call) -> object:
        from llm_magics.magics.models import plan_table

        context = (_context(call) or "") if call["each"] else _parts(call)[1]
        return plan_table(call.session.plan("ask", text=context, **self.arguments(call)))

    def code(self, call: Call) -> str:
        if call["each"]:
            return each_code(call, "ask_each", {**self.arguments(call), "context": _context(call)})
        questions, context = _parts(call)
        return python_call(
            "from llm_magics import ask",
            "ask",
            questions[0] if len(questions) == 1 else questions,
            context,
            assign="answers",
            **self.arguments(call),
        )


def _parts(call: Call) -> tuple[list[str], str]:
    """(questions, text)."""
    asked, context = call.body(), _context(call)
    if context is None:
        context, below = split_at_rule(asked)
        if below is None:
            raise call.wrong(
                "which text is it about? name one with --context, or put it above a line "
                f"{SEPARATOR} and the "
                "questions below"
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
    """The text that --context names: a variable of the notebook, else a file."""
    named = call["context"]
    if not named:
        return None
    path = Path(str(named)).expanduser()
    if str(named).split(".")[0].split("[")[0] not in call.scope and path.is_file():
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise call.wrong(
                f"{path.name} has {size:,} bytes, more than the {_MOST_BYTES:,} that are "
                "read at "
                "once"
            )
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise call.wrong(f"{path.name} cannot be read as UTF-8 text: {error}") from None
    value = call.look_up(str(named))
    if not isinstance(value, str):
        raise call.wrong(f"--context {named} is of type {type(value).__name__}, expected text")
    return value
