"""How good predictions are: the field's measures, by the libraries that define them."""

from __future__ import annotations

import collections
import math
import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise

from llm_magics.extras import require

__all__ = [
    "METRICS",
    "CorpusScore",
    "check_installed",
    "entity_f1",
    "entities",
    "macro_f1",
    "perplexity",
    "score",
    "score_line",
    "token_f1",
]

_NAMES = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "back_chrf": "chrF of what came back",
}


def score(metric: str, predictions: Sequence, expected: Sequence, language: str = "") -> float:
    """`metric` of these predictions, in percent (see METRICS); `language` is that of the texts."""
    return METRICS[metric](predictions, expected, language)


def score_line(scores: dict[str, float]) -> str:
    """`BLEU 31.2, chrF 58.0`; nothing when there are none."""
    return ", ".join(f"{_NAMES.get(name, name)} {value:.1f}" for name, value in scores.items())


def check_installed(metric: str) -> None:
    """Raises MissingExtra where the library that defines `metric` is not installed."""
    if metric.startswith("rouge"):
        require("rouge_score", extra="rouge", what="ROUGE")


def perplexity(loss: float) -> float:
    """exp of a mean cross-entropy in nats; infinite where that is beyond a float."""
    return math.exp(loss) if loss < 700 else math.inf


class CorpusScore:
    """BLEU or chrF of a corpus whose segments come one by one: only the sums that both are made of
    are kept, no text."""

    def __init__(self, metric: str, language: str = "") -> None:
        from sacrebleu.metrics import BLEU, CHRF

        self._metric = {"bleu": lambda: BLEU(tokenize=_tokens_of(language)), "chrf": CHRF}[metric]()
        self._sums: list[int] = []
        self.segments = 0

    def add(self, prediction: str, expected: str) -> None:
        """Count one more segment."""
        # sacrebleu sums these in corpus_score, and gives no public way to them; a test compares
        # with its public one.
        (counts,) = self._metric._extract_corpus_statistics([prediction], [[expected]])
        self._sums = (
            [a + b for a, b in zip(self._sums, counts, strict=True)] if self._sums else list(counts)
        )
        self.segments += 1

    @property
    def value(self) -> float:
        """The score of all segments so far, 0 to 100; 0.0 before the first."""
        return self._metric._aggregate_and_compute([self._sums]).score if self._sums else 0.0


def _bleu(predictions: Sequence[str], expected: Sequence[str], language: str) -> float:
    import sacrebleu

    return sacrebleu.corpus_bleu(
        list(predictions), [list(expected)], tokenize=_tokens_of(language)
    ).score


def _tokens_of(language: str) -> str:
    """sacrebleu's tokenizer for a language."""
    return {"zh": "zh", "ja": "char", "ko": "char"}.get(language, "13a")


def _bleu_tokenized(predictions: Sequence[str], expected: Sequence[str], language: str) -> float:
    """BLEU of lower-cased text in Moses' tokens, as papers on Multi30k report it: fairseq's and
    multi-bleu's score."""
    import sacrebleu
    from sacremoses import MosesTokenizer

    moses = MosesTokenizer(language or "en")

    def tokens(texts: Sequence[str]) -> list[str]:
        return [moses.tokenize(text.lower(), return_str=True, escape=False) for text in texts]

    return sacrebleu.corpus_bleu(
        tokens(predictions), [tokens(expected)], tokenize="none", force=True
    ).score


def _chrf(predictions: Sequence[str], expected: Sequence[str], language: str) -> float:
    import sacrebleu

    return sacrebleu.corpus_chrf(list(predictions), [list(expected)]).score


def _rouge(kind: str) -> Callable[[Sequence[str], Sequence[str], str], float]:
    def rouge(predictions: Sequence[str], expected: Sequence[str], language: str) -> float:
        check_installed(kind)
        from rouge_score.rouge_scorer import RougeScorer
        from rouge_score.tokenizers import Tokenizer

        class ByCharacter(
            Tokenizer
        ):  # the library's own tokenizer keeps Latin letters and digits only
            def tokenize(self, text: str) -> list[str]:
                return [character for character in text if not character.isspace()]

        scorer = RougeScorer(
            [kind],
            use_stemmer=language in ("", "en"),
            tokenizer=ByCharacter() if language in ("zh", "ja", "ko", "th") else None,
        )
        scores = [
            scorer.score(e, p)[kind].fmeasure for p, e in zip(predictions, expected, strict=True)
        ]
        return 100 * sum(scores) / max(1, len(scores))

    return rouge


def _exact_match(predictions: Sequence, expected: Sequence, language: str) -> float:
    return (
        100
        * sum(p == e for p, e in zip(predictions, expected, strict=True))
        / max(1, len(expected))
    )


def _accuracy(predictions: Sequence, expected: Sequence, language: str) -> float:
    """Share of right labels; where a row has several (one a token), of all its labels."""
    pairs = [
        pair
        for p, e in zip(predictions, expected, strict=True)
        for pair in (zip(p, e, strict=True) if isinstance(e, (list, tuple)) else [(p, e)])
    ]
    return 100 * sum(p == e for p, e in pairs) / max(1, len(pairs))


def macro_f1(predictions: Sequence[str], expected: Sequence[str], language: str = "") -> float:
    """The mean over the labels of 2·tp / (2·tp + fp + fn), in percent; labels that occur in neither
    count nothing."""
    labels = set(predictions) | set(expected)
    scores = []
    for label in labels:
        right = sum(p == label and e == label for p, e in zip(predictions, expected, strict=True))
        scores.append(2 * right / (predictions.count(label) + expected.count(label)))
    return 100 * sum(scores) / max(1, len(scores))


def entities(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """The spans (start, end, type) of one sentence's BIO tags; an I- that continues nothing begins
    a span (as conlleval)."""
    spans, start = set(), None
    for position, (before, tag) in enumerate(pairwise(["O", *tags, "O"])):
        kind, type_ = before[:1], before[2:]
        continues = tag[:1] == "I" and kind in ("B", "I") and tag[2:] == type_
        if not continues:
            if kind in ("B", "I"):
                spans.add((start, position, type_))
            start = position
    return spans


def entity_f1(
    predictions: Sequence[Sequence[str]], expected: Sequence[Sequence[str]], language: str = ""
) -> float:
    """Micro-averaged F1 of whole entities, type and both ends right, in percent (Tjong Kim Sang &
    De Meulder 2003)."""
    right = found = there = 0
    for p, e in zip(predictions, expected, strict=True):
        spans_p, spans_e = entities(p), entities(e)
        right, found, there = (
            right + len(spans_p & spans_e),
            found + len(spans_p),
            there + len(spans_e),
        )
    return 100 * 2 * right / max(1, found + there)


def token_f1(prediction: str, answers: Sequence[str]) -> float:
    """SQuAD's F1 (0 to 1) of the words of an answer against the best of `answers`; no answers: 1
    for an empty prediction."""
    if not answers:
        return float(not _normal(prediction))
    return max(_overlap(_normal(prediction), _normal(answer)) for answer in answers)


def _overlap(one: list[str], other: list[str]) -> float:
    if not one or not other:
        return float(one == other)
    same = sum((collections.Counter(one) & collections.Counter(other)).values())
    return 2 * same / (len(one) + len(other))


def _normal(answer: str) -> list[str]:
    """The words as SQuAD's script compares them: lower case, no punctuation, no articles; Chinese
    by character."""
    answer = "".join(
        c
        for c in answer.lower()
        if c not in string.punctuation and not unicodedata.category(c).startswith("P")
    )
    answer = re.sub(r"\b(a|an|the)\b", " ", answer)
    return re.sub(r"([\u3400-\u9fff])", r" \1 ", answer).split()


def _answer_f1(
    predictions: Sequence[str], expected: Sequence[Sequence[str]], language: str
) -> float:
    return 100 * sum(map(token_f1, predictions, expected)) / max(1, len(expected))


def _answer_exact(
    predictions: Sequence[str], expected: Sequence[Sequence[str]], language: str
) -> float:
    hits = sum(
        _normal(p) in [_normal(answer) for answer in (e or [""])]
        for p, e in zip(predictions, expected, strict=True)
    )
    return 100 * hits / max(1, len(expected))


METRICS: dict[str, Callable[[Sequence, Sequence, str], float]] = {
    "bleu": _bleu,
    "bleu_tokenized": _bleu_tokenized,
    "chrf": _chrf,
    "rouge1": _rouge("rouge1"),
    "rouge2": _rouge("rouge2"),
    "rougeL": _rouge("rougeL"),
    "exact_match": _exact_match,
    "accuracy": _accuracy,
    "macro_f1": macro_f1,
    "entity_f1": entity_f1,
    "answer_f1": _answer_f1,
    "answer_exact_match": _answer_exact,
}
"""Name → measure of (predictions, expected, language), in percent."""
