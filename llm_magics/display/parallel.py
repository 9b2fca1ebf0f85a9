"""Source and target side by side, sentence by sentence; a word under the pointer lights its
counterparts.

No script: the alignment is in class names and the style sheet is the same for every sentence.
Target word j carries `t<j>`, and a source word it looked at carries `a<j>`, `b<j>` or `c<j>`
(weakly, clearly, mostly); the sheet says "in a row where `t<j>` is hovered, paint `c<j>`". The
other direction works the same way with `s<i>` and `x<i>`, `y<i>`, `z<i>`. Its size grows with the
longest sentence, not with the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_magics.display import theme
from llm_magics.display.html import Node, css, el, new_id, user_text

__all__ = ["SentencePair", "folded_texts", "parallel_text"]

MAX_WORDS = 100
"""Words of a sentence that can light up; later ones keep their tooltip."""
_LEVELS = (0.5, 0.25, 0.1)
"""A source word with at least this share of the target word's attention is lit mostly, clearly,
weakly."""
_SOURCE_CLASSES, _TARGET_CLASSES = "cba", "zyx"
_PAINT = (theme.LIGHT_3, theme.LIGHT_2, theme.LIGHT_1)


@dataclass(frozen=True)
class SentencePair:
    """One sentence and its translation, with the words of both and how strongly each looked at
    which."""

    source: str
    target: str
    source_words: tuple[str, ...] = ()
    """S words, each with its trailing white space: joined they are `source`. Empty when unknown."""
    target_words: tuple[str, ...] = ()
    """T words, likewise for `target`."""
    alignment: tuple[tuple[float, ...], ...] = ()
    """(T, S) shares of attention; each row sums to about 1. Empty when unknown."""
    alternatives: tuple[str, ...] = ()
    """Other translations of the sentence, best first."""

    @property
    def aligned(self) -> bool:
        """Whether the words and the alignment are there and agree in size."""
        rows, columns = len(self.target_words), len(self.source_words)
        return (
            bool(rows and columns)
            and len(self.alignment) == rows
            and all(len(row) == columns for row in self.alignment)
        )


def parallel_text(
    pairs: Sequence[SentencePair],
    *,
    source_language: str,
    target_language: str,
    source_code: str = "",
    target_code: str = "",
    footer: Node | None = None,
) -> Node:
    """A two-column view of `pairs`. The languages are names to show; the codes go into `lang`
    attributes."""
    name = new_id()
    head = {**theme.HEAD, "text-align": "left", "width": "50%"}
    heads = (
        el("th", {"scope": "col", "style": head}, user_text(text))
        for text in (source_language, target_language)
    )
    rows = (_row(pair, source_code, target_code) for pair in pairs)
    lit = any(pair.aligned for pair in pairs)
    layout = {
        "border-collapse": "collapse",
        "border": "0",
        "margin": "0",
        "width": "100%",
        "table-layout": "fixed",
        "font-size": "13px",
    }
    return el(
        "div",
        {"id": name, "style": theme.BOX},
        css(_rules(name, pairs)) if lit else None,
        el(
            "table",
            {"style": layout},
            el("thead", {}, el("tr", {}, *heads)),
            el("tbody", {}, *rows),
        ),
        el("p", {"style": theme.NOTE}, "Point at a word to see which words it was translated from.")
        if lit
        else None,
        footer,
    )


def _row(pair: SentencePair, source_code: str, target_code: str) -> Node:
    source, target = pair.source, pair.target
    if pair.aligned:
        left, right = _words(pair)
    else:
        left, right = [source], [target or "…"]
    cell = {
        **theme.CELL,
        "text-align": "left",
        "line-height": "1.65",
        "white-space": "pre-wrap",
        "overflow-wrap": "anywhere",
    }
    waiting = {"color": theme.MUTED} if not target else {}
    return el(
        "tr",
        {"class": "r", "style": {"background": "transparent"}},
        el("td", {"style": cell}, el("bdi", _language(source_code), *left)),
        el(
            "td",
            {"style": {**cell, **waiting}},
            el("bdi", _language(target_code), *right),
            folded_texts(pair.alternatives, target_code),
        ),
    )


def folded_texts(texts: Sequence[str], code: str = "") -> Node | None:
    """Other texts of the same thing, shown when the reader asks for them; None when there are
    none."""
    if not texts:
        return None
    items = (el("li", {}, el("bdi", _language(code), text)) for text in texts)
    label = f"{len(texts)} alternative{'' if len(texts) == 1 else 's'}"
    return el(
        "details",
        {"style": {"color": theme.MUTED, "font-size": "12px"}},
        el("summary", {}, label),
        el("ol", {"style": {"margin": "2px 0", "padding": "0 0 0 20px"}}, *items),
    )


def _language(code: str) -> dict[str, object]:
    # A block, so that right-to-left text starts at the right; a sanitizer that drops this leaves
    # the cell's left.
    block = {"dir": "auto", "style": {"display": "block", "text-align": "start"}}
    return {**block, "lang": code} if code else block


def _words(pair: SentencePair) -> tuple[list[Node | str], list[Node | str]]:
    source_classes: list[list[str]] = [[f"s{i}"] for i in range(len(pair.source_words))]
    target_classes: list[list[str]] = [[f"t{j}"] for j in range(len(pair.target_words))]
    seen_from: list[list[tuple[float, str]]] = [[] for _ in pair.source_words]
    looked_at: list[list[tuple[float, str]]] = [[] for _ in pair.target_words]
    for j, shares in enumerate(pair.alignment):
        for i, share in enumerate(shares):
            level = next((k for k, least in enumerate(_LEVELS) if share >= least), None)
            if level is None:  # also when the share is not a number
                continue
            looked_at[j].append((share, pair.source_words[i].strip()))
            seen_from[i].append((share, pair.target_words[j].strip()))
            if i < MAX_WORDS and j < MAX_WORDS:
                source_classes[i].append(f"{_SOURCE_CLASSES[level]}{j}")
                target_classes[j].append(f"{_TARGET_CLASSES[level]}{i}")
    return (
        _spans(pair.source_words, source_classes, seen_from, "→"),
        _spans(pair.target_words, target_classes, looked_at, "←"),
    )


def _spans(
    words: tuple[str, ...],
    classes: list[list[str]],
    partners: list[list[tuple[float, str]]],
    arrow: str,
) -> list[Node | str]:
    """Each word as a span with its tooltip, "schläft ← sleeps (0.93)", and the white space after it
    as text."""
    parts: list[Node | str] = []
    for word, names, others in zip(words, classes, partners, strict=True):
        bare = word.rstrip()
        others = sorted(others, key=lambda pair: -pair[0])[:4]
        tooltip = f"{bare.strip()} {arrow} " + ", ".join(
            f"{other} ({share:.2f})" for share, other in others
        )
        parts.append(
            el("span", {"class": " ".join(names), "title": tooltip if others else None}, bare)
        )
        parts.append(word[len(bare) :])
    return parts


def _rules(name: str, pairs: Sequence[SentencePair]) -> list[tuple[str, dict[str, str]]]:
    aligned = [pair for pair in pairs if pair.aligned]
    sources = min(MAX_WORDS, max(len(pair.source_words) for pair in aligned))
    targets = min(MAX_WORDS, max(len(pair.target_words) for pair in aligned))
    row = f"#{name} .r"
    rules = [
        (
            f"{row} span",
            {"border-radius": "3px", "transition": "background-color .12s", "cursor": "default"},
        ),
        (f"{row} span:hover", {"box-shadow": f"0 0 0 1px {theme.ACCENT}"}),
    ]
    for level, paint in reversed(list(enumerate(_PAINT))):  # weakest first: a later rule wins
        forward = [f"{row}:has(.t{j}:hover) .{_SOURCE_CLASSES[level]}{j}" for j in range(targets)]
        backward = [f"{row}:has(.s{i}:hover) .{_TARGET_CLASSES[level]}{i}" for i in range(sources)]
        rules.append((",".join(forward + backward), {"background-color": paint}))
    return rules
