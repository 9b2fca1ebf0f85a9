"""`%%generate`: how a text goes on, or what a chat model answers."""

from __future__ import annotations

import ast
import re

from llm_magics.magics.core.command import MODEL, PRECISION, Call, Source, python_call
from llm_magics.magics.core.options import Option, number, whole
from llm_magics.magics.rows import EACH, each_code
from llm_magics.magics.settings import settings_of
from llm_magics.magics.task import TaskCommand

__all__ = ["GenerateMagic"]

_DEFAULT_TOKENS = 256
_ESCAPED = re.compile(r"\\[nt\\]")
_MEANT = {r"\n": "\n", r"\t": "\t", "\\\\": "\\"}


class GenerateMagic(TaskCommand):
    """`%generate [options] TEXT`, or the text below `%%generate`."""

    name = "generate"
    summary = (
        "Let a language model write: it answers if it has a chat format, else it goes on with "
        "the text."
    )
    details = (
        "Tokens are chosen as the model's authors set it; where they set nothing, a causal model "
        "draws at temperature "
        "0.8 from the tokens that make up 0.95, any other takes the most probable ones, as "
        "--temperature 0 always does. "
        "The result says how it was drawn and with which seed, and with --seed it comes out the "
        "same again."
    )
    text = "TEXT"
    cell = "TEXT"
    options = (
        Option(
            "--temperature",
            "0 takes the most probable tokens, above 0 they are drawn",
            "T",
            number(0, 10),
        ),
        Option(
            "--top-p",
            "draw from the likeliest tokens whose probabilities add up to P",
            "P",
            number(1e-6, 1),
        ),
        Option(
            "--top-k", "draw from the K likeliest tokens; 0 from all", "K", whole(0, 10_000_000)
        ),
        Option("--seed", "the same seed gives the same text", "N", whole(0, 2**31 - 1)),
        Option(
            "--max-tokens",
            "write at most so many tokens",
            "N",
            whole(1, 1_000_000),
            default=_DEFAULT_TOKENS,
        ),
        Option(
            "--stop",
            "end before this string, or before one of a list of them; \\n is a line break",
            "STRING",
        ),
        Option("--n", "so many candidates, side by side", "N", whole(1, 64), default=1),
        Option("--system", "the system message of a chat", "TEXT"),
        Option(
            "--reply-to",
            "go on with the conversation, or the text, of this result",
            "VAR",
            completes="variable",
        ),
        Option("--raw", "go on with the text as it stands, also with a chat model"),
        MODEL,
        PRECISION,
        Option("--in", "take the text from this notebook variable", "EXPR", completes="variable"),
        EACH,
    )
    examples = (
        "%generate --model Qwen/Qwen2.5-0.5B-Instruct What is attention, in one sentence?",
        "%%generate --n 3 --temperature 0.9 --seed 1\nOnce upon a time",
        (
            "%%generate --max-tokens 60 --stop \"['\\n\\n', 'THE END']\" --out story\nThe old "
            "king "
            "had three sons."
        ),
        "%generate --reply-to story Then the youngest",
    )

    def arguments(self, call: Call) -> dict[str, object]:
        """Arguments of `Session.generate`, those at their default left out."""
        model = call.model()
        given = {
            "temperature": call["temperature"],
            "top_p": call["top-p"],
            "top_k": call["top-k"],
            "seed": call["seed"],
            "max_tokens": call["max-tokens"] if call["max-tokens"] != _DEFAULT_TOKENS else None,
            "stop_strings": _stop_strings(call) or None,
            "n": call["n"] if call["n"] != 1 else None,
            "system": call["system"],
            "reply_to": call.look_up(str(call["reply-to"])) if call["reply-to"] else None,
            "raw": call["raw"] or None,
            "model": model,
            "load_options": call.load_options(),
            "default": None if model else settings_of(call.shell).generate_model or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def code(self, call: Call) -> str:
        arguments = self.arguments(call)
        if call["reply-to"]:
            arguments["reply_to"] = Source(str(call["reply-to"]))
        if call["each"]:
            return each_code(call, "generate_each", arguments)
        return python_call("from llm_magics import generate", "generate", call.body(), **arguments)


def _stop_strings(call: Call) -> list[str]:
    r"""The strings of --stop: one, with \n, \t and \\ as in Python, or a list as Python writes
    it."""
    text = call["stop"]
    if text is None:
        return []
    if str(text).startswith("["):
        try:
            found = ast.literal_eval(str(text))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found = None
        if (
            not isinstance(found, list)
            or not found
            or not all(isinstance(one, str) and one for one in found)
        ):
            raise call.wrong(
                f"--stop {text}: a list of strings expected, such as ['\\n\\n', 'END']"
            )
        return found
    return [_ESCAPED.sub(lambda found: _MEANT[found[0]], str(text))]
