"""`%%generate`: how a text goes on, or what a chat model answers."""

from __future__ import annotations

import ast
import re

from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import MODEL, PRECISION
from llm_magics.magics.core.options import Option, number, whole
from llm_magics.magics.core.python_source import Source
from llm_magics.magics.rows import EACH
from llm_magics.magics.task import IN, TaskCommand

__all__ = ["GenerateMagic"]

_ESCAPED = re.compile(r"\\[nt\\]")
_MEANT = {r"\n": "\n", r"\t": "\t", "\\\\": "\\"}


def _earlier(call: Call, as_source: bool) -> object:
    """The result that --reply-to names."""
    named = str(call["reply-to"])
    return Source(named) if as_source else call.look_up(named)


def _stop_strings(call: Call, as_source: bool) -> list[str]:
    r"""The strings of --stop: one, with \n, \t and \\ as in Python, or a list as Python writes
    it."""
    text = str(call["stop"])
    if text.startswith("["):
        try:
            found = ast.literal_eval(text)
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
    return [_ESCAPED.sub(lambda found: _MEANT[found[0]], text)]


class GenerateMagic(TaskCommand):
    """`%generate [options] TEXT`, or the text below `%%generate`."""

    name = "generate"
    summary = (
        "Let a language model write: it answers if it has a chat format, else it goes on with "
        "the text."
    )
    details = (
        "Tokens are chosen as the model's authors set it; where they set nothing, a causal model "
        "draws at temperature 0.8 from the tokens that make up 0.95, any other takes the most "
        "probable ones, as --temperature 0 always does. The result says how it was drawn and "
        "with which seed, and with --seed it comes out the same again."
    )
    text = "TEXT"
    cell = "TEXT"
    options = (
        Option(
            "--temperature",
            "0 takes the most probable tokens, above 0 they are drawn",
            "T",
            number(0, 10),
            argument="temperature",
        ),
        Option(
            "--top-p",
            "draw from the likeliest tokens whose probabilities add up to P",
            "P",
            number(1e-6, 1),
            argument="top_p",
        ),
        Option(
            "--top-k",
            "draw from the K likeliest tokens; 0 from all",
            "K",
            whole(0, 10_000_000),
            argument="top_k",
        ),
        Option(
            "--seed", "the same seed gives the same text", "N", whole(0, 2**31 - 1), argument="seed"
        ),
        Option(
            "--max-tokens",
            "write at most so many tokens",
            "N",
            whole(1, 1_000_000),
            default=256,
            argument="max_tokens",
        ),
        Option(
            "--stop",
            "end before this string, or before one of a list of them; \\n is a line break",
            "STRING",
            argument="stop_strings",
            resolve=_stop_strings,
        ),
        Option(
            "--n", "so many candidates, side by side", "N", whole(1, 64), default=1, argument="n"
        ),
        Option("--system", "the system message of a chat", "TEXT", argument="system"),
        Option(
            "--reply-to",
            "go on with the conversation, or the text, of this result",
            "VAR",
            completes="variable",
            argument="reply_to",
            resolve=_earlier,
        ),
        Option("--raw", "go on with the text as it stands, also with a chat model", argument="raw"),
        MODEL,
        PRECISION,
        IN,
        EACH,
    )
    examples = (
        "%generate --model Qwen/Qwen2.5-0.5B-Instruct What is attention, in one sentence?",
        "%%generate --n 3 --temperature 0.9 --seed 1\nOnce upon a time",
        (
            "%%generate --max-tokens 60 --stop \"['\\n\\n', 'THE END']\" --out story\nThe old "
            "king had three sons."
        ),
        "%generate --reply-to story Then the youngest",
    )
