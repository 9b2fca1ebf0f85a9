"""The lean beam search finds the hypotheses of transformers' `generate`, in its order, family by
family."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig, StoppingCriteriaList

from llm_magics.models.generate.fast.beams import _best
from llm_magics.models.generate.fast.loop import lean_rows
from llm_magics.models.generate.fast.seq2seq import BartSteps

_spec = importlib.util.spec_from_file_location(
    "lean_families", Path(__file__).with_name("lean_families.py")
)
families = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(families)
CAUSAL, SEQ2SEQ, batch, both, build = (
    families.CAUSAL,
    families.SEQ2SEQ,
    families.batch,
    families.both,
    families.build,
)
EOS, LENGTHS = families.EOS, families.LENGTHS
SOME = ["Marian", "Bart", "M2M100", "T5", "Llama", "GPT2"]


@pytest.fixture(scope="module")
def models():
    built = {}

    def get(name):
        if name not in built:
            built[name] = build(name, (SEQ2SEQ | CAUSAL)[name][1], ends=3.0)
        return built[name]

    return get


@pytest.mark.parametrize("name", [*SEQ2SEQ, *CAUSAL])
def test_all_hypotheses_are_those_of_generate(models, name):
    for lengths, beams, limit in ((LENGTHS, 4, 24), ([7, 7], 3, 80), ([5], 2, 30)):
        expected, lean = both(
            models(name),
            *batch(lengths, left=name in CAUSAL),
            limit=limit,
            num_beams=beams,
            num_return_sequences=beams,
        )
        assert lean == expected


@pytest.mark.parametrize("early", [False, True, "never"])
@pytest.mark.parametrize("penalty", [1.0, 0.0, 2.0, -0.7])
def test_every_way_to_stop_early_and_to_weigh_lengths(models, early, penalty):
    for name in SOME:
        expected, lean = both(
            models(name),
            *batch(left=name in CAUSAL),
            num_beams=4,
            num_return_sequences=4,
            early_stopping=early,
            length_penalty=penalty,
        )
        assert lean == expected, name


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize(
    "settings",
    [
        {"min_length": 8},
        {"min_new_tokens": 6},
        {"forced_bos_token_id": 7},
        {"forced_eos_token_id": EOS},
        {"suppress_tokens": [5, 6, 8]},
        {"begin_suppress_tokens": [EOS, 10]},
        {"no_repeat_ngram_size": 2},
        {"eos_token_id": [EOS, 17]},
        {"eos_token_id": [EOS, *range(14, 40)], "length_penalty": 3.0, "early_stopping": "never"},
        {"repetition_penalty": 1.3},
        {"bad_words_ids": [[9], [EOS]]},
        {"num_return_sequences": 1},
        {
            "forced_bos_token_id": 7,
            "begin_suppress_tokens": [EOS],
            "min_length": 5,
            "no_repeat_ngram_size": 3,
            "repetition_penalty": 1.1,
            "length_penalty": 2.0,
            "early_stopping": True,
        },
    ],
    ids=str,
)
def test_settings_of_the_generation_config_are_honoured(models, name, settings):
    expected, lean = both(
        models(name),
        *batch(left=name in CAUSAL),
        **{"num_beams": 4, "num_return_sequences": 4} | settings,
    )
    assert lean == expected


def test_hypotheses_end_at_different_lengths_and_differ_in_these_tests(models):
    for name in SOME:
        expected, _ = both(
            models(name), *batch(left=name in CAUSAL), num_beams=4, num_return_sequences=4
        )
        assert len({len(row) for row in expected}) > 3, name
        best, _ = both(models(name), *batch(left=name in CAUSAL), num_beams=4)
        greedy, _ = both(models(name), *batch(left=name in CAUSAL))
        assert best != greedy, name


def test_a_source_that_has_nothing_left_to_win_leaves_and_the_first_step_reads_one_row_each(
    models, monkeypatch
):
    sizes, forward = [], BartSteps._forward
    monkeypatch.setattr(
        BartSteps,
        "_forward",
        lambda self, tokens, bias: (sizes.append(len(tokens)), forward(self, tokens, bias))[1],
    )
    expected, lean = both(
        models("Bart"), *batch(left=False), limit=60, num_beams=4, early_stopping=True
    )
    assert lean == expected
    assert sizes[:2] == [len(LENGTHS), 4 * len(LENGTHS)]
    assert sizes[1:] == sorted(sizes[1:], reverse=True)
    assert sizes[-1] < sizes[1]


def test_keys_of_the_source_are_held_once_for_all_beams(models):
    inputs, mask = batch(left=False)
    with torch.no_grad():
        steps = BartSteps(models("Bart"), inputs, mask, 8, 3, 4)
    assert [tuple(keys.shape) for keys, _ in steps.cross] == [(len(LENGTHS), 4, max(LENGTHS), 8)]


def test_every_source_has_its_own_limit(models):
    for name in ("Marian", "Llama"):
        inputs, mask = batch([7, 7, 7], left=name in CAUSAL)
        limits, start = [4, 11, 7], inputs.shape[1] if name in CAUSAL else 1
        for early in (False, "never"):
            together = lean_rows(
                models(name),
                GenerationConfig(max_length=start + 11, num_beams=3, early_stopping=early),
                inputs,
                mask,
                limits,
                lambda rows: False,
            )
            for row, limit in enumerate(limits):
                expected, _ = both(
                    models(name),
                    inputs[row : row + 1],
                    mask[row : row + 1],
                    limit=limit,
                    num_beams=3,
                    early_stopping=early,
                )
                assert [together[row]] == expected


def test_a_stop_ends_the_search_where_it_ends_that_of_generate(models):
    for name in SOME:
        inputs, mask = batch(left=name in CAUSAL)
        start, asked = inputs.shape[1] if name in CAUSAL else 1, []
        config = GenerationConfig(
            max_length=start + 24, num_beams=3, num_return_sequences=3, min_new_tokens=8
        )

        def fifth(rows, asked=asked):
            asked.append(rows)
            return len(asked) == 5

        def criterion(ids, scores, start=start, **_):
            return torch.full((len(ids),), ids.shape[1] == start + 5)

        lean = lean_rows(models(name), config, inputs, mask, [24] * len(inputs), fifth)
        expected = models(name).generate(
            input_ids=inputs,
            attention_mask=mask,
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([criterion]),
        )
        assert lean == expected[:, start:].tolist()
        assert asked == [[]] * 5


def test_the_best_continuations_of_a_large_vocabulary_are_found_by_blocks():
    torch.manual_seed(0)
    for words in (1280, 5001, 3 * 128 + 127, 40):
        log_probs = (3 * torch.randn(5, 3, words)).log_softmax(-1)
        log_probs[1, :, 7:900] = -torch.inf
        scores = torch.randn(5, 3)
        total, places = (log_probs + scores[:, :, None]).flatten(1).topk(6)
        found = _best(log_probs, scores, 6)
        assert torch.equal(found[0], total)
        assert torch.equal(found[1] * words + found[2], places)
