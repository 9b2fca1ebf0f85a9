"""One use of a magic: its options, words and text, and the notebook it stands in."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_magics.magics.core import namespace, objects
from llm_magics.magics.core.interrupt import StopOnInterrupt
from llm_magics.magics.core.live_output import Live
from llm_magics.magics.core.options import Option, usage_error

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llm_magics.session import Session

__all__ = ["Call"]


@dataclass(frozen=True)
class Call:
    """One use of a magic."""

    prog: str
    """`%name` or `%%name`, as typed."""
    values: Mapping[str, Any]
    """Option values by name, defaults included."""
    words: tuple[str, ...]
    text: str
    """The verbatim rest of the line."""
    cell: str | None
    """The body of the cell; None for a line magic."""
    shell: InteractiveShell
    scope: Mapping[str, Any] = field(default_factory=dict)
    """Variables an expression may name."""
    arguments: tuple[str, ...] = ()
    """The options as they were typed, `--flag=value` or `--flag`."""

    def __getitem__(self, option: str) -> Any:
        return self.values[option]

    @property
    def session(self) -> Session:
        """The current session; imported here, when there is work."""
        from llm_magics.session import current_session

        return current_session()

    def word(self, index: int) -> str | None:
        """The leading word at `index`, None when it was not given."""
        return self.words[index] if index < len(self.words) else None

    def given(self, options: Iterable[Option], *, as_source: bool = False) -> dict[str, Any]:
        """The options that say which argument they are, as arguments; those at their default are
        left out.

        as_source: objects of the notebook as `python_call` writes them.
        """
        arguments = {}
        for option in options:
            value = self[option.name] if option.argument else None
            if value is None or value is False or value == option.default:
                continue
            if value == "" and option.resolve:
                continue  # an empty name names nothing
            arguments[option.argument] = (
                option.resolve(self, as_source) if option.resolve else value
            )
        return arguments

    def model(self, as_source: bool = False) -> str:
        """The reference of --model; a notebook variable that holds a model is registered with the
        manager."""
        return self.reference(str(self["model"]))

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
        self.session.models.add_variable(name, module, tokenizer)
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
        """The text to work on: the cell, the rest of the line, or what `--in` names, exactly one
        of them."""
        sources = {}
        if self.cell is not None:
            sources["the cell"] = self.cell.removesuffix(
                "\n"
            )  # the newline that ends a cell is not the user's
        if self.text:
            sources["the line"] = self.text
        if self.values.get("in"):
            value = objects.file_or_variable(self, "in")
            if not isinstance(value, (str, Path)):
                raise self.wrong(
                    f"--in {self['in']} is of type {type(value).__name__}, expected text; "
                    "for a list or column write --each"
                )
            value = objects.text_of(self, "in")
            sources[f"--in {self['in']}"] = value
        if not any(text.strip() for text in sources.values()):
            where = next(iter(sources), None)
            raise self.wrong(
                f"{where} is empty; expected text"
                if where
                else "there is no text; write it behind the options, or below "
                f"%%{self.prog.lstrip('%')}, or name a variable or file with --in"
            )
        given = {name: text for name, text in sources.items() if text.strip()}
        if len(given) > 1:
            raise self.wrong(f"text came from {' and from '.join(given)}; give one of them")
        return next(iter(given.values()))
