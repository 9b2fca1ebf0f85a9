"""A task magic as a form, and a filled-in form as a magic: both from the options that the magic
declares.

What a panel shows is plain data made of `Option` and `Box`, and what it sends back becomes the line
and the cell that a user would have typed. So an option that a magic gains is in its panel, with its
help, choices and default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from IPython.core.error import UsageError

from llm_magics.errors import InputError
from llm_magics.magics.core.completion import candidates
from llm_magics.magics.core.options import Bounded, Option
from llm_magics.magics.rows import BATCH, EACH
from llm_magics.magics.split_cell import SEPARATOR
from llm_magics.magics.task import PANEL, TaskCommand
from llm_magics.models.reference import origin_of

__all__ = [
    "ROWS",
    "cell_of",
    "examples_of",
    "form_of",
    "known_values",
    "line_of",
    "offers_for",
    "split_text",
    "tidy_values",
]

ROWS = tuple(option.flag for option in (EACH, *BATCH))
"""Options for many rows; a panel works on one text."""
_TRUE = "yes"


def form_of(command: TaskCommand) -> dict[str, object]:
    """The form of a magic: `task`, `about`, `boxes`, `fields` and `examples`, as JSON values."""
    return {
        "task": command.name,
        "about": command.summary,
        "boxes": [{"name": box.name, "label": box.label} for box in command.boxes],
        "fields": [_field(option) for option in _options(command)],
        "examples": examples_of(command),
    }


def _options(command: TaskCommand) -> list[Option]:
    """The options that are fields: those of rows and those that name a text have the boxes in their
    place."""
    left_out = {
        *ROWS,
        PANEL.flag,
        *(option.flag for option in command.common),
        *(box.option for box in command.boxes),
    }
    return [option for option in command.all_options() if option.flag not in left_out]


def _field(option: Option) -> dict[str, object]:
    field = {
        "name": option.name,
        "kind": _kind(option),
        "help": option.help,
        "choices": list(option.choices),
        "hint": option.metavar,
        "default": "" if option.default is None else str(option.default),
    }
    if isinstance(option.convert, Bounded):
        field |= {
            "low": option.convert.low,
            "high": option.convert.high,
            "step": 1 if option.convert.whole else "any",
        }
    return field


def _kind(option: Option) -> str:
    if not option.metavar:
        return "flag"
    if option.choices:
        return "choice"
    if isinstance(option.convert, Bounded):
        return "number"
    return "language" if option.completes.endswith("language") else option.completes or "text"


def offers_for(command: TaskCommand, variables: Mapping[str, object]) -> dict[str, list[list[str]]]:
    """What completion offers for the value of each option, as [value, what it is called, a note];
    by name of the option."""
    return {
        option.name: [
            _offer(option, value)
            for value in candidates(command, f"{option.flag} ", dict(variables))[1]
        ]
        for option in _options(command)
        if option.completes
    }


def _offer(option: Option, value: str) -> list[str]:
    if option.completes.endswith("language"):
        from llm_magics.models.catalog import language_name

        return [value, "detect" if value == "auto" else language_name(value), value]
    return [value, value, origin_of(value) if option.completes == "model" else ""]


def tidy_values(command: TaskCommand, values: Mapping[str, object]) -> dict[str, str]:
    """The values that say something, as text: options by name, defaults and empty ones left out,
    "yes" for a flag.

    Raises InputError for what is no field of the form.
    """
    options = {option.name: option for option in _options(command)}
    kept = {}
    for name, value in values.items():
        if name not in options:
            raise InputError(
                f"%{command.name}: a panel has no field {str(name)[:40]!r}; it has "
                f"{', '.join(options)}"
            )
        option = options[name]
        text = " ".join(str(value).splitlines()) if value is not None else ""
        if not option.metavar:
            text = _TRUE if value in (True, _TRUE) else ""
        elif _kind(option) != "text":
            text = text.strip()
        if text.strip() and text != str(option.default):
            kept[name] = text
    return kept


def known_values(command: TaskCommand, arguments: tuple[str, ...]) -> dict[str, str]:
    """The values of the form that options on a line, `--flag=value` each, stand for; the others are
    left out."""
    fields = {option.flag: option for option in _options(command)}
    pairs = (argument.partition("=") for argument in arguments)
    return tidy_values(
        command,
        {
            fields[flag].name: value if fields[flag].metavar else True
            for flag, _, value in pairs
            if flag in fields
        },
    )


def line_of(command: TaskCommand, values: Mapping[str, str]) -> str:
    """The options of a magic line with these values. Raises InputError for a value that no line can
    hold."""
    parts = []
    for option in _options(command):
        if option.name in values:
            parts.append(
                _written(command, option, values[option.name]) if option.metavar else option.flag
            )
    return " ".join(parts)


def _written(command: TaskCommand, option: Option, value: str) -> str:
    """The option with its value as the scanner of a line reads it back: as it is, or in quotes."""
    for quote in ("", '"', "'"):
        written = f"{option.flag} {quote}{value}{quote}"
        try:
            if command.scanned(f"{written} --quiet", "").arguments == (
                f"{option.flag}={value}",
                "--quiet",
            ):
                return written
        except UsageError:
            continue
    raise InputError(
        f"{option.flag}: a line cannot hold this value, which has spaces or brackets and both "
        f"kinds of quotes: {value[:60]}"
    )


def cell_of(command: TaskCommand, texts: Mapping[str, str]) -> str:
    """What stands below the magic: the boxes, divided by lines of three dashes; one box stands
    there as it is.

    Raises InputError for a text that would divide itself.
    """
    if len(command.boxes) == 1:
        return texts.get(command.boxes[0].name, "")
    parts = [texts.get(box.name, "").strip("\n") for box in command.boxes]
    for box, part in zip(command.boxes, parts[:-1], strict=False):
        if any(line.strip() == SEPARATOR for line in part.splitlines()):
            raise InputError(
                f"%%{command.name}: {box.label!r} has a line {SEPARATOR}, which would end it; "
                "write that line in another way"
            )
    return f"\n{SEPARATOR}\n".join(parts) if any(part.strip() for part in parts) else ""


def split_text(command: TaskCommand, text: str) -> dict[str, str]:
    """The text of a line or a cell by boxes. What is in one part only is the last one, the text to
    work on."""
    names = [box.name for box in command.boxes]
    parts: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip() == SEPARATOR and len(parts) < len(names):
            parts.append([])
        else:
            parts[-1].append(line)
    filled = ["\n".join(lines).strip("\n") for lines in parts]
    return dict(zip(names[len(names) - len(filled) :], filled, strict=True))


def examples_of(command: TaskCommand) -> list[dict[str, object]]:
    """`texts` and `values` of the examples in the magic's help that need no variable of the
    notebook, and first those that name no model, which might have to be downloaded."""
    return sorted(_examples(command), key=lambda example: "model" in example["values"])


def _examples(command: TaskCommand) -> Iterator[dict[str, object]]:
    flags = {
        *ROWS,
        *(option.flag for option in command.all_options() if option.completes == "variable"),
    }
    for example in command.examples:
        head, _, cell = example.partition("\n")
        line = head.lstrip("%").removeprefix(command.name).strip()
        try:
            scanned = command.scanned(line, cell or None)
        except UsageError:  # an example of something else, such as an assignment
            continue
        text = cell or scanned.text
        if text.strip() and not any(
            argument.partition("=")[0] in flags for argument in scanned.arguments
        ):
            yield {
                "texts": split_text(command, text),
                "values": known_values(command, scanned.arguments),
            }
