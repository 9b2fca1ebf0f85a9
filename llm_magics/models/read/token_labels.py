"""Names and other stretches of a text, from a model that gives a tag to every token.

The tags say where a stretch begins and ends: B-PER I-PER (BIO), and E-, S-, L-, U-, M- in the
longer schemes. What a model says need not fit together, and is repaired so: a tag that goes on with
what was not begun begins it; a stretch ends where the type changes. Tokens of one word get one tag,
so that no stretch ends inside of a word.

A text longer than the model reads is cut into overlapping windows; each token counts in the window
that shows most of what is around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from llm_magics.errors import WrongTask
from llm_magics.models.backends.base import NATIVE
from llm_magics.models.folder.library_errors import boundary
from llm_magics.models.read.classify import class_names
from llm_magics.models.read.windows import TextWindow, cut, run_windows, window_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["LabelledSpan", "is_tagger", "joined", "label_spans"]

Aggregation = Literal["first", "simple", "average", "max"]
"""Which tag a word of several tokens gets: that of its first token, of each token its own (words
may be cut), that of the mean of the probabilities, that of the token that is surest."""

_TAG = re.compile(r"([BIESLUM])[-_](.+)")
_OUTSIDE = ("O", "0")
# written without spaces: each character is a word
_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD_CHARACTER = re.compile(rf"[^\W{_WIDE}]")
_WORD = re.compile(rf"[{_WIDE}]|[@#]?[^\W{_WIDE}]+(?:[-'’.][^\W{_WIDE}]+)*|[^\w\s]")


@dataclass(frozen=True)
class LabelledSpan:
    """Characters [start, end) of a text and what they are."""

    start: int
    end: int
    label: str
    score: float
    """Mean probability of the tags of its words."""


@dataclass(frozen=True)
class _Piece:
    """A token or a word with the probabilities of its tag."""

    start: int
    end: int
    scores: Tensor  # (C,)


def is_tagger(model: LoadedModel) -> bool:
    """Whether the model has a head that gives a tag to every token."""
    name = type(model.module).__name__
    return name.endswith("ForTokenClassification") or (
        name == "TextClassifier" and model.module.per_token
    )


def label_spans(
    model: LoadedModel, texts: Sequence[str], *, aggregation: Aggregation = "first"
) -> list[list[LabelledSpan]]:
    """The stretches of each text that have a label, in the order of the text.

    Raises WrongTask for a model without such a head, or whose tokenizer cannot tell where its
    tokens stand.
    """
    if aggregation not in get_args(Aggregation):
        raise ValueError(
            f"aggregation must be one of {', '.join(get_args(Aggregation))}, not {aggregation!r}"
        )
    if not is_tagger(model):
        raise WrongTask(
            f"{model.reference} ({model.family}) has no head that labels the tokens of a text"
        )
    names = class_names(model)
    overlap = window_tokens(model) // 4
    cuts = [
        _native_cut(model, text, overlap)
        if model.backend.kind == NATIVE
        else cut(model, text, overlap=overlap)
        for text in texts
    ]
    rows = iter(
        run_windows(
            model,
            [window for found in cuts for window in found],
            lambda output: getattr(output, "logits", output).softmax(-1),
            per_token=True,
        )
    )
    labelled = []
    for text, windows in zip(texts, cuts, strict=True):
        pieces = list(_pieces(windows, [next(rows) for _ in windows]))
        words = (
            pieces
            if aggregation == "simple"
            else [_agreed(word, aggregation) for word in _words(text, pieces)]
        )
        tagged = [
            (word.start, word.end, names[int(word.scores.argmax())], float(word.scores.max()))
            for word in words
        ]
        labelled.append(
            [
                span
                for span in map(lambda span, text=text: _trimmed(text, span), joined(tagged))
                if span.start < span.end
            ]
        )
    return labelled


def joined(tagged: Sequence[tuple[int, int, str, float]]) -> list[LabelledSpan]:
    """Stretches from (start, end, tag, score) of neighbouring words, with tags that do not fit
    together repaired."""
    found: list[list[tuple[int, int, str, float]]] = []
    goes_on = ""  # the type that an I-, M-, E- or L- would go on with
    for start, end, tag, score in tagged:
        if tag in _OUTSIDE:
            goes_on = ""
            continue
        parsed = _TAG.fullmatch(tag)
        place, kind = parsed.groups() if parsed else ("I", tag)
        if place in "BSU" or kind != goes_on:
            found.append([])
        found[-1].append((start, end, kind, score))
        goes_on = "" if place in "ESLU" else kind
    return [
        LabelledSpan(
            group[0][0], group[-1][1], group[0][2], sum(one[3] for one in group) / len(group)
        )
        for group in found
    ]


def _pieces(windows: list[TextWindow], rows: list[Tensor]) -> Iterator[_Piece]:
    """Every token of a text once, from the window that shows most around it."""
    owner: dict[
        int, tuple[int, int, int]
    ] = {}  # token of the text → (tokens around it, window, place in it)
    for number, window in enumerate(windows):
        inside = window.inside
        for count, place in enumerate(inside):
            around = min(count, len(inside) - 1 - count)
            if around > owner.get(window.first + count, (-1, 0, 0))[0]:
                owner[window.first + count] = around, number, place
    for token in sorted(owner):
        _, number, place = owner[token]
        start, end = windows[number].offsets[place]
        if start < end:
            yield _Piece(start, end, rows[number][place])


def _words(text: str, pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """The tokens of each word. They are one word where they touch and are letters or digits on both
    sides."""
    word: list[_Piece] = []
    for piece in pieces:
        if word and not _touch(text, word[-1], piece):
            yield word
            word = []
        word.append(piece)
    if word:
        yield word


def _touch(text: str, left: _Piece, right: _Piece) -> bool:
    if right.start < left.end:
        return True  # both are bytes of one character
    return right.start == left.end and all(
        map(_WORD_CHARACTER.match, (text[left.end - 1], text[right.start]))
    )


def _agreed(word: list[_Piece], aggregation: Aggregation) -> _Piece:
    import torch

    if aggregation == "first":
        scores = word[0].scores
    elif aggregation == "average":
        scores = torch.stack([piece.scores for piece in word]).mean(0)
    else:
        scores = max(word, key=lambda piece: float(piece.scores.max())).scores
    return _Piece(word[0].start, word[-1].end, scores)


def _trimmed(text: str, span: LabelledSpan) -> LabelledSpan:
    """Without the spaces that some tokenizers count as part of a token."""
    inside = text[span.start : span.end]
    start, end = (
        span.start + len(inside) - len(inside.lstrip()),
        span.end - len(inside) + len(inside.rstrip()),
    )
    return LabelledSpan(start, end, span.label, span.score)


def _native_cut(model: LoadedModel, text: str, overlap: int) -> list[TextWindow]:
    """Windows for a tagger of our own, which reads one token a word: that of its first piece, as in
    training."""
    places = [match.span() for match in _WORD.finditer(text)]
    with (
        model.using_tokenizer() as tokenizer,
        boundary(f"the tokenizer of {model.reference}", "used"),
    ):
        ids = [
            coded[0]
            for coded in tokenizer.encode_source([text[start:end] for start, end in places])
        ]
    longest = window_tokens(model)
    starts = range(0, max(1, len(ids) - overlap), longest - overlap) if ids else ()
    return [
        TextWindow(
            ids[at : at + longest],
            [0] * len(ids[at : at + longest]),
            list(places[at : at + longest]),
            at,
        )
        for at in starts
    ]
