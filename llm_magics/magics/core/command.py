"""What all magics share: parse the line, answer --help, --code and --dry-run, run, hand the result
back."""

from __future__ import annotations

import argparse
import gc
import sys
import textwrap
import tomllib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_magics.errors import InputError, LLMMagicsError, ModelNotFound, printable
from llm_magics.magics.core import namespace
from llm_magics.magics.core.interrupt import StopOnInterrupt
from llm_magics.magics.core.live_output import Live, hidden
from llm_magics.magics.core.options import (
    Option,
    Scanned,
    Word,
    build_parser,
    parse,
    scan,
    suggestion,
    usage_error,
)

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llm_magics.session import Session

__all__ = [
    "COMMON",
    "MODEL",
    "PRECISION",
    "Box",
    "Call",
    "Command",
    "Interrupted",
    "PlainText",
    "Source",
    "python_call",
]

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
)
PRECISION = Option(
    "--precision",
    "number format of the weights; int8 is the fastest on a processor",
    "FORMAT",
    default="auto",
    choices=("auto", "fp32", "bf16", "fp16", "int8"),
)


class Interrupted(KeyboardInterrupt):
    """The user stopped the cell; says what is left of the work. Shown as one line, the cell ends
    with an error."""

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {printable(self)}"]


@dataclass(frozen=True)
class Box:
    """One part of the text below a magic, as a box of its panel; parts are divided by a line of
    three dashes."""

    name: str
    label: str
    option: str = ""
    """The option that takes this part from a variable or a file; "" none."""


class PlainText(str):
    """Text, such as Python source, that a notebook shows as it is instead of as a quoted string."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Call:
    """One use of a magic."""

    prog: str
    """`%name` or `%%name`, as typed."""
    values: Mapping[str, object]
    """Option values by name, defaults included."""
    words: tuple[str, ...]
    text: str
    """The verbatim rest of the line."""
    cell: str | None
    """The body of the cell; None for a line magic."""
    shell: InteractiveShell
    scope: Mapping[str, object] = field(default_factory=dict)
    """Variables an expression may name."""
    arguments: tuple[str, ...] = ()
    """The options as they were typed, `--flag=value` or `--flag`."""

    def __getitem__(self, option: str) -> object:
        return self.values[option]

    @property
    def session(self) -> Session:
        """The current session; imported here, when there is work."""
        from llm_magics.session import current_session

        return current_session()

    def word(self, index: int) -> str | None:
        """The leading word at `index`, None when it was not given."""
        return self.words[index] if index < len(self.words) else None

    def model(self) -> str | None:
        """The reference of --model; a notebook variable that holds a model is registered with the
        manager."""
        return self.reference(str(self["model"])) if self.values.get("model") else None

    def load_options(self) -> dict[str, object] | None:
        """What --precision and --engine ask of loading the model; None for what the manager
        chooses."""
        asked = {"dtype": self["precision"], "engine": self.values.get("engine", "torch")}
        return {
            name: value for name, value in asked.items() if value not in ("auto", "torch")
        } or None

    def reference(self, text: str) -> str:
        """`text` as a model reference: the name of a variable that holds a module becomes
        `variable:NAME`."""
        name = text.removeprefix("variable:")
        held = self.scope.get(name)
        module, tokenizer = held if isinstance(held, tuple) and len(held) == 2 else (held, None)
        torch = sys.modules.get("torch")  # without torch no variable holds a module
        if torch is None or not isinstance(module, torch.nn.Module):
            return text
        tokenizer = tokenizer or getattr(module, "tokenizer", None) or self.scope.get("tokenizer")
        self.session.manager.add_variable(name, module, tokenizer)
        return f"variable:{name}"

    def look_up(self, expression: str) -> object:
        """The notebook variable, attribute or column that `expression` names."""
        return namespace.look_up(expression, self.scope, self.prog)

    def toml(self, fault: str) -> dict[str, object]:
        """The cell as TOML; `fault` says what a cell is that cannot be read so."""
        try:
            return tomllib.loads(self.cell or "")
        except tomllib.TOMLDecodeError as error:
            raise self.wrong(f"the cell is {fault}: {error}") from None

    def live(self) -> Live:
        """Where work is shown while it is done."""
        return Live(self.shell, quiet=bool(self["quiet"]))

    def stopping(self) -> AbstractContextManager[Callable[[], bool]]:
        """Entered around work: whether it is to stop."""
        return StopOnInterrupt()

    def assign(self, result: object) -> None:
        """Give the result to the variable that --out names."""
        if self.values.get("out"):
            self.shell.user_ns[str(self["out"])] = result

    def wrong(self, message: object) -> Exception:
        """A `UsageError` that begins with the name of the magic."""
        return usage_error(f"{self.prog}: {message}")

    def body(self) -> str:
        """The text to work on: the cell, the rest of the line or the variable of `--in`, exactly
        one of them."""
        sources = {}
        if self.cell is not None:
            sources["the cell"] = self.cell.removesuffix(
                "\n"
            )  # the newline that ends a cell is not the user's
        if self.text:
            sources["the line"] = self.text
        if self.values.get("in"):
            value = self.look_up(str(self["in"]))
            if not isinstance(value, str):
                raise self.wrong(
                    f"--in {self['in']} is of type {type(value).__name__}, expected text; "
                    "for a list or column write --each"
                )
            sources[f"--in {self['in']}"] = value
        if not any(text.strip() for text in sources.values()):
            where = next(iter(sources), None)
            raise self.wrong(
                f"{where} is empty; expected text"
                if where
                else "there is no text; write it behind the "
                f"options, or below %%{self.prog.lstrip('%')}, or name a variable with --in"
            )
        given = {name: text for name, text in sources.items() if text.strip()}
        if len(given) > 1:
            raise self.wrong(f"text came from {' and from '.join(given)}; give one of them")
        return next(iter(given.values()))


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
        shell: InteractiveShell,
        line: str,
        cell: str | None,
        scope: Mapping[str, object],
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
        shell: InteractiveShell,
        line: str,
        cell: str | None,
        scope: Mapping[str, object],
        make_call: Callable[..., Call],
    ) -> object:
        scanned = self.scanned(line, cell)
        if "--help" in scanned.arguments:
            sys.stdout.write(f"{self.help()}\n")
            return None
        prog = self._prog(cell)
        values = parse(
            self._parser(prog),
            (self._expanded(argument, scope, prog) for argument in scanned.arguments),
        )
        call = make_call(
            prog, values, scanned.words, scanned.text, cell, shell, scope, scanned.arguments
        )
        self._check(call)
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

    def _check(self, call: Call) -> None:
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
    def _expanded(argument: str, scope: Mapping[str, object], prog: str) -> str:
        flag, equals, value = argument.partition("=")
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


class Source:
    """An expression of the notebook, as `python_call` writes it."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __repr__(self) -> str:
        return self.source


def python_call(
    imports: str, function: str, *arguments: object, assign: str = "result", **options: object
) -> str:
    """The source of one call: `from llm_magics import f` and `assign = f(…)`; options that are None
    are left out."""
    shown = [getattr(argument, "source", None) or repr(argument) for argument in arguments]
    shown += [
        f"{key}={getattr(value, 'source', None) or repr(value)}"
        for key, value in options.items()
        if value is not None
    ]
    return f"{imports}\n\n{assign} = {function}({', '.join(shown)})"
