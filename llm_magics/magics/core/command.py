"""What all magics share: parse the line, answer --help, --code and --dry-run, run, hand the result
back."""

from __future__ import annotations

import argparse
import gc
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_magics.errors import InputError, LLMMagicsError, ModelNotFound, printable
from llm_magics.magics.core import namespace
from llm_magics.magics.core.call import Call
from llm_magics.magics.core.live_output import hidden
from llm_magics.magics.core.options import (
    Option,
    Scanned,
    Word,
    build_parser,
    number_format,
    parse,
    scan,
    suggestion,
    usage_error,
)
from llm_magics.magics.core.python_source import PlainText
from llm_magics.models.number_format import NUMBER_FORMATS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["COMMON", "DTYPE", "MODEL", "PRECISION", "Box", "Command"]


COMMON = (
    Option("--out", "assign the result to this variable as well", "NAME", namespace.variable_name),
    Option("--quiet", "show nothing; the result is still returned and assigned"),
    Option(
        "--dry-run", "show model, device, memory and download that the call would need, and stop"
    ),
    Option("--code", "show the equivalent Python and stop"),
    Option("--help", "show this help and stop"),
)
MODEL = Option(
    "--model",
    "hub id, local folder, embedded:NAME, run:NAME, openai:NAME or variable; @REVISION allowed",
    "REF",
    completes="model",
    argument="model",
    resolve=Call.model,
)
PRECISION = Option(
    "--precision",
    "number format of the weights, also as fp32, bf16, fp16; int8 is the fastest on a processor",
    "FORMAT",
    number_format,
    NUMBER_FORMATS,
    default="auto",
)
DTYPE = Option(
    "--dtype",
    "number format to load in, also as fp32, bf16, fp16",
    "DTYPE",
    number_format,
    NUMBER_FORMATS,
    argument="dtype",
)


@dataclass(frozen=True)
class Box:
    """One part of the text below a magic, as a box of its panel; parts are divided by a line of
    three dashes."""

    name: str
    label: str
    option: str = ""
    """The option that takes this part from a variable or a file; "" none."""


class Command:
    """One magic. A subclass declares what it takes, and writes `run`, `code` and, where it makes
    sense, `plan`."""

    name = ""
    summary = ""
    details = ""
    options: tuple[Option, ...] = ()
    common: tuple[Option, ...] = COMMON
    words: tuple[Word, ...] = ()
    text = ""
    """What the verbatim rest of the line is, "" when the line takes none."""
    cell = ""
    """What the body of the cell is, "" when the magic takes none."""
    examples: tuple[str, ...] = ()

    def run(self, call: Call) -> object:
        """Do the work and return one result."""
        raise NotImplementedError

    def plan(self, call: Call) -> object:
        """What --dry-run shows; a magic that loads a model asks the session."""
        return PlainText(f"{call.prog} would load no model and download nothing")

    def code(self, call: Call) -> str:
        """The equivalent Python."""
        raise NotImplementedError

    def all_options(self) -> tuple[Option, ...]:
        """Its own options, then the common ones."""
        return (*self.options, *self.common)

    def help(self) -> str:
        """The text of `%name -h` and of `%name?`."""
        return self._parser(f"%{self.name}").format_help().rstrip()

    def answer(
        self,
        shell: InteractiveShell | None,
        line: str,
        cell: str | None,
        scope: Mapping[str, Any],
        make_call: Callable[..., Call] = Call,
    ) -> object:
        """Everything the magic does; the one place where errors are given their final form.

        `make_call` makes the `Call`: a panel's is shown elsewhere, and stopped by a button. Wrong
        words and unusable text become `UsageError` (one line); what went wrong while working stays
        the exception it is, but without its frames, which would keep tensors alive in
        `sys.last_traceback`.
        """
        try:
            return self._answer(shell, line, cell, scope, make_call)
        except (InputError, ModelNotFound) as error:
            problem: BaseException = usage_error(error)
        except LLMMagicsError as error:
            problem = error.with_traceback(None)
            problem.__context__ = problem.__cause__ = None
            gc.collect()  # what the frames held may be large
        raise problem

    def _answer(
        self,
        shell: InteractiveShell | None,
        line: str,
        cell: str | None,
        scope: Mapping[str, Any],
        make_call: Callable[..., Call],
    ) -> object:
        scanned = self.scanned(line, cell)
        if "--help" in scanned.arguments:
            sys.stdout.write(f"{self.help()}\n")
            return None
        prog = self._prog(cell)
        values = parse(
            self._parser(prog),
            [self._expanded(argument, scope, prog) for argument in scanned.arguments],
        )
        call = make_call(
            prog, values, scanned.words, scanned.text, cell, shell, scope, scanned.arguments
        )
        self._check_words(call)
        self.check(call)
        worker = self.worker(call)
        if values.get("code"):
            return PlainText(printable(worker.code(call)))
        if values.get("dry-run"):
            return worker.plan(call)
        result = worker.run(call)
        call.assign(result)
        return hidden(shell, result) if values.get("quiet") else result

    def scanned(self, line: str, cell: str | None) -> Scanned:
        """The line in its parts. Raises `UsageError`."""
        most_words = 1000 if self.words and self.words[-1].many else len(self.words)
        return scan(
            line, self._prog(cell), self.all_options(), most_words=most_words, text=bool(self.text)
        )

    def worker(self, call: Call) -> Command:
        """Who answers this call: the magic itself, unless an option asks for something else, as
        --panel does."""
        return self

    def _prog(self, cell: str | None) -> str:
        return f"%{self.name}" if cell is None else f"%%{self.name}"

    def check(self, call: Call) -> None:
        """Raise `call.wrong(…)` for options that do not go together."""

    def _check_words(self, call: Call) -> None:
        if call.cell is not None and call.cell.strip() and not self.cell:
            raise call.wrong(f"takes no text below it; write %{self.name} with one %")
        for word, given in zip(self.words, call.words, strict=False):
            if word.choices and given not in word.choices:
                hint = (
                    suggestion(given, word.choices)
                    or f"; expected one of {', '.join(word.choices)}"
                )
                raise call.wrong(f"{given!r} is no {word.name}{hint}")

    @staticmethod
    def _expanded(argument: str, scope: Mapping[str, Any], prog: str) -> str:
        flag, equals, value = argument.partition("=")
        if not value.startswith(("$", "{")):
            return argument
        return f"{flag}{equals}{namespace.expand(value, scope, prog)}"

    def _parser(self, prog: str) -> argparse.ArgumentParser:
        pieces = [
            "[options]",
            *(f"[{word.name.upper()}{' …' if word.many else ''}]" for word in self.words),
            self.text and f"[{self.text}]",
        ]
        usage = f"%{self.name} " + " ".join(piece for piece in pieces if piece)
        if self.cell:
            usage += f"\n       %%{self.name} " + " ".join(piece for piece in pieces[:-1] if piece)
            usage += f"\n       {self.cell}"
        about = "\n\n".join(
            textwrap.fill(part, 100) for part in (self.summary, self.details) if part
        )
        words = [f"  {word.name.upper():<28}{word.help}" for word in self.words]
        shown = ["words:", *words, ""] if words else []
        examples = [f"  {line}" for example in self.examples for line in example.splitlines()]
        epilog = "\n".join([*shown, "examples:", *examples])
        return build_parser(prog, self.all_options(), usage, about, epilog)
