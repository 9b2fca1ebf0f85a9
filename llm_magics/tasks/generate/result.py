"""What generating returns: one text or several side by side, each with the reason why it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llm_magics.display import theme
from llm_magics.display.html import Node, el, fragment, user_text
from llm_magics.display.result import Provenance, Result
from llm_magics.errors import InputError
from llm_magics.extras import require
from llm_magics.models.generate.types import INTERRUPTED, LENGTH, MODEL_END, STOP_STRING
from llm_magics.tasks.results import badges, header, remarks, shortened

__all__ = ["Generated", "GeneratedText", "GenerationProgress"]

_ENDED = {
    MODEL_END: "ended by the model",
    LENGTH: "cut at the token limit",
    INTERRUPTED: "interrupted",
}
_TITLES = {"continuation": "Continuation", "chat": "Answer", "answer": "Answer"}
_PROMPT_CHARACTERS = 600
_TEXT = {
    "white-space": "pre-wrap",
    "overflow-wrap": "anywhere",
    "font-size": "14px",
    "line-height": "1.65",
    "margin": "6px 0",
    "max-width": "60em",
}
_COLUMN = {
    "flex": "1 1 20em",
    "border-left": f"3px solid {theme.LINE}",
    "padding": "0 0 0 12px",
    "min-width": "0",
}


@dataclass(frozen=True, kw_only=True)
class GeneratedText:
    """One candidate."""

    text: str
    """What the model wrote, without the prompt and without the stop string."""
    finish: str
    """Why it ended: "end" (the model ended it), "length" (the token limit), "stop string" or
    "interrupted"."""
    tokens: int
    """Tokens the model computed for it."""
    stopped_by: str = ""
    """The stop string that ended it."""

    def __str__(self) -> str:
        return self.text

    def ending(self) -> str:
        """Why it ended, for people."""
        why = (
            f"stopped at {self.stopped_by!r}" if self.finish == STOP_STRING else _ENDED[self.finish]
        )
        return f"{why}, {self.tokens:,} token{'s' * (self.tokens != 1)}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Generated(Result):
    """What a model wrote: the answer to a message, or how a text goes on."""

    text: str
    """The first candidate, without the prompt."""
    candidates: tuple[GeneratedText, ...]
    prompt: str
    """The text given: a message of a chat, a request, or the beginning of a text."""
    kind: str = "continuation"
    """"continuation" of the prompt, "chat" (asked in the model's chat format) or "answer" (of an
    encoder-decoder model)."""
    messages: tuple[dict[str, str], ...] = ()
    """The whole conversation, the answer last, each {"role": …, "content": …}; () when no chat
    format was used."""
    before: str = ""
    """What came before the prompt, where it goes on with an earlier text; a chat has it in
    `messages`."""
    provenance: Provenance
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def __len__(self) -> int:
        return len(self.candidates)

    def __iter__(self) -> Iterator[GeneratedText]:
        return iter(self.candidates)

    def __getitem__(self, index: int) -> GeneratedText:
        return self.candidates[index]

    def continued(self, candidate: int = 0) -> str:
        """The prompt and, right behind it, a candidate. Raises InputError where there is no such
        one, and for an answer."""
        if self.kind != "continuation":
            raise InputError(
                "an answer does not continue its question; take .text, or .messages of a chat"
            )
        if not 0 <= candidate < len(self.candidates):
            raise InputError(
                f"there is no candidate {candidate} to go on with; there are {len(self.candidates)}"
            )
        return self.before + self.prompt + self.candidates[candidate].text

    def to_pandas(self) -> object:
        """One row a candidate: text, finish, stopped_by, tokens."""
        require("pandas", extra="pandas", what="to_pandas()")
        import pandas

        return pandas.DataFrame(
            [vars(candidate) for candidate in self.candidates],
            columns=["text", "finish", "stopped_by", "tokens"],
        )

    def __repr__(self) -> str:
        many = f"{len(self.candidates)} candidates, " if len(self.candidates) > 1 else ""
        return f"Generated({many}{shortened(self.text)})"

    def plain(self) -> str:
        """The candidates one after the other, why each ended, and what made them."""
        about = " · ".join([*self._settings(), self.provenance.line(), *self.notes])
        if len(self.candidates) == 1:
            return f"{self.text}\n[{self.candidates[0].ending()} · {about}]"
        first, *others = self.candidates
        texts = [f"{first.text}\n[1: {first.ending()}]"]
        texts += [
            f"{other.text}\n[{number}: {other.ending()}]" for number, other in enumerate(others, 2)
        ]
        return "\n\n".join(texts) + f"\n[{about}]"

    def node(self) -> Node:
        """The candidates side by side; a text that is continued stands before its continuation."""
        marks = [*self._settings(), *badges(self.interrupted)]
        if len(self.candidates) == 1:
            marks.insert(0, self.candidates[0].ending())
        return el(
            "div",
            {"style": theme.BOX},
            header(_TITLES[self.kind], marks, self.provenance),
            written_node(
                self.prompt,
                [one.text for one in self.candidates],
                inline=self.kind == "continuation",
                endings=[one.ending() for one in self.candidates]
                if len(self.candidates) > 1
                else None,
            ),
            remarks(self.notes),
        )

    def _settings(self) -> list[str]:
        """How the tokens were chosen."""
        given = self.provenance.parameters
        if not given["temperature"]:
            return ["greedy"]
        top_k = f"top-k {given['top_k']}" if given["top_k"] else ""
        top_p = f"top-p {given['top_p']:g}" if given["top_p"] < 1 else ""
        parts = [
            f"temperature {given['temperature']:g}",
            top_p,
            top_k,
            f"seed {self.provenance.seed}",
        ]
        return [part for part in parts if part]


@dataclass(frozen=True)
class GenerationProgress:
    """Candidates while they are written."""

    texts: tuple[str, ...]
    prompt: str
    inline: bool
    done: int = 0
    total: int = 1

    @property
    def text(self) -> str:
        """The first candidate so far."""
        return self.texts[0]

    def node(self) -> Node:
        """The candidates so far."""
        return el(
            "div", {"style": theme.BOX}, written_node(self.prompt, self.texts, inline=self.inline)
        )


def written_node(
    prompt: str,
    texts: list[str] | tuple[str, ...],
    *,
    inline: bool,
    endings: list[str] | None = None,
) -> Node:
    """The prompt, muted, and the texts: one behind it, or several side by side below it."""
    shown = prompt if len(prompt) <= _PROMPT_CHARACTERS else "…" + prompt[-_PROMPT_CHARACTERS:]
    muted = el("span", {"style": {"color": theme.MUTED}}, shown)
    if len(texts) == 1 and inline:
        return el("p", {"style": _TEXT, "dir": "auto"}, muted, texts[0])
    asked = el("p", {"style": {**_TEXT, "font-size": "13px"}, "dir": "auto"}, muted)
    columns = []
    for i, text in enumerate(texts):
        note = el("div", {"style": theme.NOTE}, f"{i + 1}: {endings[i]}") if endings else None
        column = (
            {**_COLUMN, "border-left": f"3px solid {theme.ACCENT}"} if len(texts) == 1 else _COLUMN
        )
        columns.append(
            el(
                "div",
                {"style": column},
                el("p", {"style": _TEXT, "dir": "auto"}, user_text(text or "…")),
                note,
            )
        )
    return fragment(
        asked,
        el(
            "div", {"style": {"display": "flex", "flex-wrap": "wrap", "gap": "10px 18px"}}, *columns
        ),
    )
