"""Measures, against figures worked out by hand or by the library that defines them."""

from __future__ import annotations

import math

import pytest
import sacrebleu

from llm_magics.metrics import (
    CorpusScore,
    entities,
    entity_f1,
    macro_f1,
    perplexity,
    score,
    token_f1,
)

TEXTS = [
    "Ein Mann fährt auf einem Fahrrad .",
    "Zwei Hunde spielen im Schnee.",
    "Das Kind isst ein Eis, oder?",
]
OUTPUT = [
    "ein mann fährt auf einem fahrrad.",
    "zwei hunde spielen im sand.",
    "das kind isst eis, oder?",
]


def test_bleu_and_chrf_are_sacrebleus():
    assert score("bleu", OUTPUT, TEXTS) == sacrebleu.corpus_bleu(OUTPUT, [TEXTS]).score
    assert score("chrf", OUTPUT, TEXTS) == sacrebleu.corpus_chrf(OUTPUT, [TEXTS]).score


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
@pytest.mark.parametrize("language", ["de", "zh", "ja"])
def test_a_corpus_that_comes_row_by_row_scores_as_a_whole_one(metric, language):
    output, texts = OUTPUT, TEXTS
    if language != "de":
        output, texts = (
            ["他去学校上课。", "今天天气好。", ""],
            ["他去学校学习。", "今天天气很好。", "好"],
        )
    running = CorpusScore(metric, language)
    assert running.value == 0
    for prediction, expected in zip(output, texts, strict=True):
        running.add(prediction, expected)
    assert running.value == score(metric, output, texts, language) > 0
    assert running.segments == 3


def test_tokenised_bleu_ignores_case_and_spacing_before_punctuation():
    assert score("bleu_tokenized", OUTPUT[:1] * 4, TEXTS[:1] * 4, "de") == pytest.approx(100)
    assert 0 < score("bleu_tokenized", OUTPUT, TEXTS, "de") < 100
    assert score("bleu", OUTPUT[:1] * 4, TEXTS[:1] * 4, "de") < 60


def test_rouge_counts_common_words_and_chinese_by_character():
    assert score("rouge1", ["the cat sat"], ["the cat ran"], "en") == pytest.approx(200 / 3)
    assert score("rouge2", ["the cat sat"], ["the cat ran"], "en") == pytest.approx(50)
    assert score("rougeL", ["模型好"], ["模型很好"], "zh") == pytest.approx(100 * 2 * 3 / 7)


def test_accuracy_is_of_labels_of_rows_or_of_tokens():
    assert score("accuracy", ["a", "b", "a"], ["a", "a", "a"]) == pytest.approx(200 / 3)
    assert score("accuracy", [["O", "B"], ["O"]], [["O", "O"], ["O"]]) == pytest.approx(200 / 3)


def test_macro_f1_is_the_mean_over_labels():
    # a: precision 1/2, recall 1 → 2/3; b: precision 1, recall 1/2 → 2/3; c: never right → 0
    assert macro_f1(["a", "a", "b", "b"], ["a", "b", "b", "c"]) == pytest.approx(
        100 * (2 / 3 + 1 / 2 + 0) / 3
    )


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["B-PER", "I-PER", "O", "B-LOC"], {(0, 2, "PER"), (3, 4, "LOC")}),
        (["I-PER", "I-PER"], {(0, 2, "PER")}),
        (["B-PER", "B-PER"], {(0, 1, "PER"), (1, 2, "PER")}),
        (["B-PER", "I-LOC"], {(0, 1, "PER"), (1, 2, "LOC")}),
        (["O", "O"], set()),
        ([], set()),
    ],
)
def test_entities_of_bio_tags(tags, spans):
    assert entities(tags) == spans


def test_an_entity_counts_only_whole():
    assert entity_f1([["B-X", "I-X", "O", "B-Y"]], [["B-X", "O", "O", "B-Y"]]) == pytest.approx(50)
    assert entity_f1([["O"]], [["O"]]) == 0


def test_answers_are_compared_as_squad_does():
    assert token_f1("The Eiffel Tower!", ["eiffel tower"]) == 1
    assert token_f1("in the Eiffel Tower", ["eiffel tower"]) == pytest.approx(0.8)
    assert token_f1("", []) == 1
    assert token_f1("something", []) == 0
    assert token_f1("北京大学", ["北京"]) == pytest.approx(2 * 2 / 6)
    assert score(
        "answer_exact_match", ["the Tower.", "x", ""], [["tower", "a tower"], ["y"], []]
    ) == pytest.approx(200 / 3)
    assert score("answer_f1", ["tower", "x"], [["a tower"], ["y"]]) == pytest.approx(50)


def test_perplexity_is_the_exponential_of_the_loss():
    assert perplexity(math.log(32)) == pytest.approx(32)
    assert perplexity(1e6) == math.inf
