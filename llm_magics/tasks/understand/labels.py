"""Labels of the user's own for a text: by entailment, by a chat model, or by how near a label is to
the text as a vector.

    by vectors: P(label) = softmax(20 · cos(e(text), e(label)))

20 is the scale at which all-MiniLM-L6-v2 was trained to tell the right partner of a text from
others. Among the four topics of AG News it chooses rightly for 70 % of the articles
(`benchmarks/understand.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llm_magics.errors import InputError, WrongTask
from llm_magics.models.read.classify import (
    class_names,
    class_probabilities,
    entailment_classes,
    zero_shot,
)
from llm_magics.models.read.embed import embed
from llm_magics.tasks.chat_reading import ReadText, chat_answers
from llm_magics.tasks.understand.annotations import Label
from llm_magics.tasks.understand.prompts import labels_prompt, parse_labels

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["asked_labels", "check_labels", "classified_labels", "nearest_labels"]

_SCALE = 20.0
_MOST_LABELS = 100


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels without white space around them. Raises InputError for an empty one, one twice, or
    more than 100."""
    if isinstance(labels, str):
        labels = labels.split(",")
    found = tuple(" ".join(str(label).split()) for label in labels)
    if not all(found):
        raise InputError("a label is empty; write them as --labels a,b,c")
    twice = next(
        (
            label
            for label, count in Counter(label.casefold() for label in found).items()
            if count > 1
        ),
        None,
    )
    if twice is not None:
        raise InputError(f"the label {twice!r} is given twice")
    if len(found) > _MOST_LABELS:
        raise InputError(
            f"{len(found):,} labels are given; at most {_MOST_LABELS} can be told apart at once"
        )
    return found


def classified_labels(
    model: LoadedModel, texts: Sequence[ReadText], labels: Sequence[str], multi_label: bool
) -> list[list[Label]]:
    """By a model with a head for classes: of inference, for any labels; else its own classes, or
    those of them in `labels`."""
    names = class_names(model)
    written = [read.text for read in texts]
    if entailment_classes(names) is not None:
        if not labels:
            raise InputError(
                f"{model.reference} compares texts with labels; say which, with --labels a,b,c"
            )
        rows = zero_shot(model, written, labels, multi_label=multi_label)
        return [_ranked(labels, row, multi_label) for row in rows.tolist()]
    number = {name.casefold(): i for i, name in enumerate(names)}
    unknown = [label for label in labels if label.casefold() not in number]
    if unknown:
        raise WrongTask(
            f"{model.reference} knows the classes {', '.join(names[:12])} and not "
            f"{', '.join(unknown[:3])}; labels of your own need a model of inference (NLI) or a "
            "chat model"
        )
    rows = class_probabilities(model, written)
    if labels:
        rows = rows[:, [number[label.casefold()] for label in labels]]
    several = (
        multi_label
        or getattr(getattr(model.module, "config", None), "problem_type", "")
        == "multi_label_classification"
    )
    return [_ranked(labels or names, row, several) for row in rows.tolist()]


def nearest_labels(
    model: LoadedModel, texts: Sequence[ReadText], labels: Sequence[str], multi_label: bool
) -> list[list[Label]]:
    """By the cosine of their vectors; only one label can be told from the others, not each by
    itself."""
    if multi_label:
        raise WrongTask(
            f"{model.reference} compares labels with one another; that several hold "
            "(--multi-label) needs a model of inference (NLI) or a chat model"
        )
    found = embed(model, [*labels, *(read.text for read in texts)]).vectors
    likeness = found[len(labels) :] @ found[: len(labels)].T  # (N, L)
    return [_ranked(labels, row, False) for row in (_SCALE * likeness).softmax(-1).tolist()]


def asked_labels(
    model: LoadedModel,
    texts: Sequence[ReadText],
    labels: Sequence[str],
    multi_label: bool,
    stop: Callable[[], bool] | None = None,
) -> tuple[list[list[Label] | None], int]:
    """(labels of each text as a chat model chose them, None where it chose none of them; tokens
    written).

    Of a text in several parts the label that most of them got is chosen; with `multi_label` every
    one that a part got.
    """
    answered, tokens = chat_answers(
        model,
        texts,
        lambda text: labels_prompt(text, labels, multi_label),
        max_new_tokens=96,
        stop=stop,
    )
    found: list[list[Label] | None] = []
    for parts in answered:
        said = [parse_labels(answer, labels, multi_label) for _, answer in parts]
        if all(one is None for one in said):
            found.append(None)
            continue
        votes = Counter(label for one in said if one for label in one)
        chosen = set(votes) if multi_label else {votes.most_common(1)[0][0]}
        ordered = sorted(labels, key=lambda label: (label not in chosen, -votes[label]))
        found.append(
            [Label(label=label, probability=None, chosen=label in chosen) for label in ordered]
        )
    return found, tokens


def _ranked(labels: Sequence[str], row: Sequence[float], multi_label: bool) -> list[Label]:
    pairs = sorted(zip(labels, row, strict=True), key=lambda pair: -pair[1])
    return [
        Label(
            label=label,
            probability=probability,
            chosen=probability > 0.5 if multi_label else i == 0,
        )
        for i, (label, probability) in enumerate(pairs)
    ]
