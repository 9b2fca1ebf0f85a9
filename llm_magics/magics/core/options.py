"""Options of a magic line: declared once, and from that the parser, the help and the completion.

A line is options and leading words, and then text that is taken verbatim, spaces, quotes and braces
included:

    %translate --to de He said "it's {fine}"  →  to="de", text='He said "it\\'s {fine}"'

IPython's own `arg_split` breaks on an apostrophe and leaves quotes in values, and argparse takes
`--t` for `--to` and joins the text with single spaces; hence this scanner before argparse.
"""

from __future__ import annotations

import argparse
import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError

from llm_magics.errors import InputError, printable
from llm_magics.models.number_format import parse_number_format

if TYPE_CHECKING:
    from llm_magics.magics.core.call import Call

__all__ = [
    "Bounded",
    "Option",
    "Scanned",
    "Word",
    "build_parser",
    "number",
    "number_format",
    "parse",
    "scan",
    "suggestion",
    "usage_error",
    "whole",
]

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"  # what autocorrection makes of "--"
_OPENING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Option:
    """One option. Without `metavar` it takes no value and is True when given."""

    flag: str
    """With its dashes: `--to`."""
    help: str
    metavar: str = ""
    convert: Callable[[str], object] = str
    """From the text to the value; raises `argparse.ArgumentTypeError` with the reason."""
    choices: tuple[str, ...] = ()
    default: object = None
    completes: str = ""
    """What completion offers for the value: language, model, run, recipe, variable; "" the
    choices."""
    argument: str = ""
    """The parameter of the Python function that its value is passed as; "" it is none."""
    resolve: Callable[[Call, bool], object] | None = None
    """From the call to the argument, where the value names something in the notebook; True: as
    `python_call` writes it. None: the value itself."""

    @property
    def name(self) -> str:
        """The key of its value in a call: `--dry-run` → `dry-run`."""
        return self.flag.lstrip("-")


@dataclass(frozen=True)
class Word:
    """One word that may stand before the text, such as the REF of `%models load REF`."""

    name: str
    help: str
    choices: tuple[str, ...] = ()
    completes: str = ""
    many: bool = False
    """May stand any number of times; only the last word of a magic."""


@dataclass(frozen=True)
class Scanned:
    """A line in its parts: `arguments` as argparse wants them, leading `words`, and the verbatim
    rest."""

    arguments: tuple[str, ...]
    words: tuple[str, ...]
    text: str


def usage_error(message: object) -> UsageError:
    """A `UsageError` of exactly that class (IPython shows only that one as a single line),
    scrubbed."""
    return UsageError(" ".join(printable(message).split()))


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of `known`, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


@dataclass(frozen=True)
class Bounded:
    """A converter to numbers from `low` to `high`, whose bounds a form can read."""

    low: float
    high: float
    whole: bool

    def __call__(self, text: str) -> float:
        if self.whole:
            if (
                not re.fullmatch(r"[+-]?[0-9]{1,18}", text)
                or not self.low <= int(text) <= self.high
            ):
                raise argparse.ArgumentTypeError(
                    f"{text!r} is not a whole number from {self.low:,} to {self.high:,}"
                )
            return int(text)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high:  # also false for nan
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number from {self.low:g} to {self.high:g}"
            )
        return value


def whole(low: int, high: int) -> Bounded:
    """A converter to whole numbers from `low` to `high`."""
    return Bounded(low, high, whole=True)


def number(low: float, high: float) -> Bounded:
    """A converter to finite numbers from `low` to `high`."""
    return Bounded(low, high, whole=False)


def number_format(text: str) -> str:
    """Converter to the name of a number format, from any of its spellings."""
    try:
        return parse_number_format(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # argparse would end the process
        raise usage_error(
            f"{self.prog}: {message.removeprefix('argument ')} ({self.prog} -h shows the options)"
        )


def build_parser(
    prog: str, options: tuple[Option, ...], usage: str, summary: str, epilog: str
) -> _Parser:
    """An argparse parser for `options`; its `format_help()` is the help of the magic."""
    parser = _Parser(
        prog=prog,
        usage=usage.replace("%", "%%"),
        description=summary,
        epilog=epilog,
        add_help=False,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=30, width=100
        ),
    )
    for option in options:
        flags = ("-h", option.flag) if option.flag == "--help" else (option.flag,)
        text = option.help.replace("%", "%%")
        if option.metavar:
            parser.add_argument(
                *flags,
                dest=option.name,
                metavar=option.metavar,
                help=text,
                type=option.convert,
                choices=option.choices or None,
                default=option.default,
            )
        else:
            parser.add_argument(*flags, dest=option.name, action="store_true", help=text)
    parser.color = False  # Python 3.14 would write the help in colours
    return parser


def parse(parser: argparse.ArgumentParser, arguments: Iterable[str]) -> dict[str, Any]:
    """Values by option name, defaults included. Raises `UsageError`."""
    return vars(parser.parse_args(list(arguments)))


def scan(
    line: str, prog: str, options: tuple[Option, ...], *, most_words: int = 0, text: bool = False
) -> Scanned:
    """`line` in its parts: options and up to `most_words` words in any order, then verbatim text if
    `text`.

    Raises `UsageError` for an unknown option (with the nearest one), a missing value, an unclosed
    quote, words or text that nothing asked for, and an option that stands behind the text, where it
    would be taken for text.
    """
    scanner = _Scanner(line, prog, {option.flag: option for option in options})
    arguments: list[str] = []
    words: list[str] = []
    while scanner.more():
        if scanner.at_option():
            arguments.append(scanner.option(arguments))
        elif not scanner.past_options and len(words) < most_words:
            words.append(scanner.value("a word"))
        elif text:
            return Scanned(tuple(arguments), tuple(words), scanner.rest())
        else:
            raise usage_error(
                f"{prog}: {scanner.peek()!r} was not expected here ({prog} -h shows what is)"
            )
    return Scanned(tuple(arguments), tuple(words), "")


class _Scanner:
    def __init__(self, line: str, prog: str, options: dict[str, Option]) -> None:
        self.line, self.prog, self.options = line, prog, options
        self.at = 0
        self.past_options = False

    def more(self) -> bool:
        while self.at < len(self.line) and self.line[self.at].isspace():
            self.at += 1
        return self.at < len(self.line)

    def peek(self) -> str:
        return self.line[self.at :].split(None, 1)[0][:40]

    def at_option(self) -> bool:
        """Whether an option starts here; steps over `--`, after which there are none."""
        word = self.peek()
        if self.past_options:
            return False
        if word == "--":
            self.at += 2
            self.past_options = True
            self.at += self.line[self.at : self.at + 1].isspace()
            return False
        bare = word.lstrip(_DASHES + "-")
        if word[0] in _DASHES and f"--{bare}" in self.options:
            raise usage_error(
                f"{self.prog}: {word!r} begins with a dash that is no hyphen; did you mean "
                f"'--{bare}'?"
            )
        return bool(re.match(r"-h$|--?[^\W\d]", word))

    def option(self, before: list[str]) -> str:
        """Read one option with its value, as `--flag=value` or `--flag`."""
        name = re.match(r"[^\s=]+", self.line[self.at :]).group()
        flag = "--help" if name == "-h" else name
        if flag not in self.options:
            hint = suggestion(flag if flag.startswith("--") else f"-{flag}", self.options)
            raise usage_error(
                f"{self.prog}: there is no option {name!r}{hint or f' ({self.prog} -h lists them)'}"
            )
        if any(argument.partition("=")[0] == flag for argument in before):
            raise usage_error(f"{self.prog}: {flag} was given twice")
        self.at += len(name)
        has_value = self.line[self.at : self.at + 1] == "="
        if not self.options[flag].metavar:
            if has_value:
                raise usage_error(f"{self.prog}: {flag} takes no value")
            return flag
        self.at += has_value
        metavar = self.options[flag].metavar
        missing = (self.line[self.at : self.at + 1].strip() == "") if has_value else not self.more()
        if missing or (not has_value and self.peek() in self.options):
            raise usage_error(f"{self.prog}: {flag} needs a value: {flag} {metavar}")
        return f"{flag}={self.value(flag)}"

    def value(self, owner: str) -> str:
        """Read up to the next white space that is in no quotes and no brackets."""
        start = self.at
        if self.line[start] in "\"'":
            end = self._closing_quote(start, owner)
            if end + 1 == len(self.line) or self.line[end + 1].isspace():
                self.at = end + 1
                return self.line[start + 1 : end]
        depth: list[str] = []
        while self.at < len(self.line) and (depth or not self.line[self.at].isspace()):
            char = self.line[self.at]
            if char in _OPENING:
                depth.append(_OPENING[char])
            elif depth and char == depth[-1]:
                depth.pop()
            elif depth and char in "\"'":
                self.at = self._closing_quote(self.at, owner)
            self.at += 1
        if depth:
            raise usage_error(
                f"{self.prog}: {owner}: {self.line[start:][:40]!r} lacks a closing {depth[-1]!r}"
            )
        return self.line[start : self.at]

    def _closing_quote(self, start: int, owner: str) -> int:
        end = self.line.find(self.line[start], start + 1)
        if end < 0:
            raise usage_error(f"{self.prog}: {owner}: the quote {self.line[start]} is not closed")
        return end

    def rest(self) -> str:
        """The text; refused when an option stands in it, unless `--` came before."""
        text = self.line[self.at :]
        behind = (
            []
            if self.past_options
            else [word for word in text.split() if word.partition("=")[0] in self.options]
        )
        if behind:
            raise usage_error(
                f"{self.prog}: {behind[0]!r} stands behind the text; options come before it "
                f"(or write -- before a text that contains {behind[0]!r})"
            )
        return text
