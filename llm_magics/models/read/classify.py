"""Classes of whole texts, from a model with a head for sequences: sentiment, topics, and zero-shot
labels by entailment.

    P(c | text) = softmax(Σ_w n_w z_w / Σ_w n_w)_c      z_w logits of window w, n_w the tokens of the text in it
    zero-shot (Yin et al. 2019): the text is the premise, "This example is LABEL." the hypothesis,
    and P(label) = softmax over the labels of the logit of entailment; each label by itself: softmax
    over entailment and contradiction

A text that the model can read at once is one window, and z is what the model says of it.
"""  # noqa: E501  a table or a pattern

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_magics.errors import WrongTask
from llm_magics.models.read.windows import TextWindow, cut, run_windows

if TYPE_CHECKING:
    from torch import Tensor

    from llm_magics.models.backends.loaded import LoadedModel

__all__ = [
    "HYPOTHESIS",
    "class_names",
    "class_probabilities",
    "entailment_classes",
    "is_sequence_classifier",
    "zero_shot",
]

HYPOTHESIS = "This example is {}."
"""What a label becomes for a model of entailment; the one that transformers' own pipeline takes."""


def is_sequence_classifier(model: LoadedModel) -> bool:
    """Whether the model has a head that gives classes to whole texts."""
    name = type(model.module).__name__
    return name.endswith("ForSequenceClassification") or (
        name == "TextClassifier" and not model.module.per_token
    )


def class_names(model: LoadedModel) -> tuple[str, ...]:
    """The classes in the order of the logits. Raises WrongTask for a model that has none."""
    if model.labels:
        return model.labels
    named = getattr(getattr(model.module, "config", None), "id2label", None)
    if not named:
        raise WrongTask(f"{model.reference} ({model.family}) does not say which classes it knows")
    return tuple(str(named[number]) for number in sorted(named))


def entailment_classes(names: Sequence[str]) -> tuple[int, int | None] | None:
    """(class of entailment, class of contradiction or None) of a model of inference (NLI); None for
    others."""
    found: dict[str, int] = {}
    for number, name in enumerate(names):
        plain = name.lower().replace("-", "_").replace(" ", "_")
        if plain.startswith("entail"):
            found["yes"] = number
        elif plain.startswith(("contradict", "not_entail", "non_entail")):
            found["no"] = number
    return (found["yes"], found.get("no")) if "yes" in found else None


def class_probabilities(model: LoadedModel, texts: Sequence[str]) -> Tensor:
    """P(class | text), (N, C): softmax, or one sigmoid a class for a model of several classes at
    once.

    Raises WrongTask for a model without a head for sequences.
    """
    logits = _logits(model, [(text, None) for text in texts])
    config = getattr(model.module, "config", None)
    several = (
        getattr(config, "problem_type", None) == "multi_label_classification"
        or logits.shape[-1] == 1
    )
    return logits.sigmoid() if several else logits.softmax(-1)


def zero_shot(
    model: LoadedModel,
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    multi_label: bool = False,
    hypothesis: str = HYPOTHESIS,
) -> Tensor:
    """P(label | text), (N, L), by a model of inference. With `multi_label`, or one label, each
    label by itself.

    Raises WrongTask for a model that has no class of entailment, TooLong for a label that leaves no
    room for the text.
    """
    import torch

    classes = entailment_classes(class_names(model))
    if classes is None:
        raise WrongTask(
            f"{model.reference} knows the classes {', '.join(class_names(model)[:6])}; labels of "
            "your own need a model of inference (NLI), with a class called entailment, or a chat "
            "model"
        )
    pairs = [(text, hypothesis.format(label)) for text in texts for label in labels]
    logits = _logits(model, pairs).unflatten(0, (len(texts), len(labels)))  # (N, L, C)
    yes, no = classes
    if not multi_label and len(labels) > 1:
        return logits[..., yes].softmax(-1)
    others = (
        [no] if no is not None else [number for number in range(logits.shape[-1]) if number != yes]
    )
    against = logits[..., others].logsumexp(-1)
    return torch.stack([against, logits[..., yes]], -1).softmax(-1)[..., 1]


def _logits(model: LoadedModel, pairs: Sequence[tuple[str, str | None]]) -> Tensor:
    """(N, C): of texts in several windows, the mean over the windows, each counted by its tokens of
    the text."""
    import torch

    if not is_sequence_classifier(model):
        raise WrongTask(f"{model.reference} ({model.family}) has no head that classifies texts")
    windows: list[TextWindow] = []
    places: list[range] = []
    for text, second in pairs:
        found = cut(model, text, second)
        places.append(range(len(windows), len(windows) + len(found)))
        windows += found
    rows = run_windows(model, windows, lambda output: getattr(output, "logits", output))
    weights = torch.tensor([float(max(1, len(window.inside))) for window in windows])
    return torch.stack(
        [
            sum(rows[i] * (weights[i] / weights[place.start : place.stop].sum()) for i in place)
            for place in places
        ]
    )
