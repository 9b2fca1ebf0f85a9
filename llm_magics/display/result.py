"""What a task returns: plain fields, one text, one HTML view, and where it came from."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from importlib import metadata

from llm_magics.display import theme
from llm_magics.display.html import Node, el, render, user_text
from llm_magics.errors import printable
from llm_magics.extras import DISTRIBUTION

__all__ = ["Provenance", "Result", "mark_shown", "package_versions", "provenance_note"]


def package_versions(*more: str) -> dict[str, str]:
    """Versions of what decides a result, `more` packages too, for those that are installed; imports
    none of them."""
    return dict(_versions(more))


@functools.cache
def _versions(
    more: tuple[str, ...],
) -> dict[str, str]:  # read from disk: once, not for each of 100,000 rows
    versions = {}
    for name in ("llm_magics", "torch", "transformers", "tokenizers", *more):
        try:
            versions[name] = metadata.version(DISTRIBUTION if name == "llm_magics" else name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a result came from, enough to make it again."""

    model: str
    """Model reference as the user would type it."""
    revision: str | None = None
    """Commit of the model at its source, None when it has none."""
    why: str = ""
    """Why this model was taken, as half a sentence."""
    parameters: dict[str, object] = field(default_factory=dict)
    """Decoding parameters by name."""
    seed: int | None = None
    seconds: float = 0.0
    tokens: int = 0
    """Tokens written by the model."""
    versions: dict[str, str] = field(default_factory=package_versions)

    @property
    def tokens_per_s(self) -> float:
        """Tokens written per second; 0.0 when no time was measured."""
        return self.tokens / self.seconds if self.seconds > 0 else 0.0

    def as_dict(self) -> dict[str, object]:
        """The fields as JSON values, printable throughout; what has no JSON form becomes its
        text."""
        return {
            "model": printable(self.model),
            "revision": _json(self.revision),
            "why": printable(self.why),
            "parameters": _json(self.parameters),
            "seed": _json(self.seed),
            "seconds": round(float(self.seconds), 3),
            "tokens": int(self.tokens),
            "tokens_per_s": round(self.tokens_per_s, 1),
            "versions": _json(self.versions),
        }

    def line(self) -> str:
        """One line for people: model, why, time and speed."""
        parts = [self.model, self.why, _seconds(self.seconds)]
        if self.tokens and self.seconds > 0:
            parts.append(f"{self.tokens_per_s:,.0f} tokens/s")
        return printable(" · ".join(part for part in parts if part))


def provenance_note(provenance: Provenance, *remarks: str) -> Node:
    """The small line under a result: provenance, then any remarks."""
    text = " · ".join([provenance.line(), *remarks])
    return el("p", {"style": theme.NOTE, "title": _parameters(provenance)}, user_text(text))


class Result:
    """Base of what tasks return. A subclass is a frozen dataclass with a `text` and gives `node()`.

    A magic that has already shown its result while streaming calls `mark_shown(result)` and still
    returns it: exactly one display is then swallowed, and `_`, `Out[n]` and `x = %magic` hold the
    result all the same.
    """

    text: str
    provenance: Provenance | None = None

    def __str__(self) -> str:
        return self.text

    def plain(self) -> str:
        """What a terminal shows; the text itself unless a subclass has more to say."""
        return str(self)

    def record(self) -> dict[str, object]:
        """What a line of a results file holds of it: plain values that JSON can write."""
        return {
            "text": self.text,
            **({"model": self.provenance.model} if self.provenance is not None else {}),
        }

    def node(self) -> Node:
        """What a notebook shows; a subclass draws its own."""
        return el("div", {"style": {**theme.BOX, "white-space": "pre-wrap"}}, user_text(str(self)))

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict, dict]:
        data = {"text/plain": printable(self.plain()), "text/html": render(self.node())}
        about = {"llm_magics": self.provenance.as_dict()} if self.provenance is not None else {}
        return data, about

    def _ipython_display_(self) -> None:
        rest = self.__dict__.get("_shown_but")
        if rest is None:
            raise NotImplementedError  # IPython then asks for the mimebundle
        object.__setattr__(self, "_shown_but", None)
        if rest:
            print(rest)  # noqa: T201 - the end of a terminal's output, which has begun already


def mark_shown(result: Result, but: str | None = "") -> None:
    """Swallow the next display of `result`, and only that one; `but` is printed in its place. None:
    unmark it."""
    object.__setattr__(result, "_shown_but", but)  # works on frozen dataclasses too


def _seconds(seconds: float) -> str:
    if seconds <= 0:
        return ""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _parameters(provenance: Provenance) -> str:
    pairs = {
        **provenance.parameters,
        "revision": provenance.revision,
        "seed": provenance.seed,
        **provenance.versions,
    }
    return ", ".join(f"{name} {value}" for name, value in pairs.items() if value is not None)


def _json(value: object) -> object:
    if isinstance(value, dict):
        return {printable(key): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return printable(value)
