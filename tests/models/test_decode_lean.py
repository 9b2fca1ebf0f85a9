"""The lean loop writes the tokens of transformers' `generate`, family by family, and leaves to it
what it is not sure of."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import transformers
from transformers import GenerationConfig

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
DECODER, EOS, LENGTHS, PAD, V = (
    families.DECODER,
    families.EOS,
    families.LENGTHS,
    families.PAD,
    families.V,
)
SHORT, SMALL = families.SHORT, families.SMALL


@pytest.fixture(scope="module")
def models():
    built = {}

    def get(name):
        if name not in built:
            built[name] = build(name, (SEQ2SEQ | CAUSAL)[name][1])
        return built[name]

    return get


@pytest.mark.parametrize("name", [*SEQ2SEQ, *CAUSAL])
def test_the_lean_loop_writes_what_generate_writes(models, name):
    model = models(name)
    for lengths in (LENGTHS, [7, 7], [5]):
        expected, lean = both(model, *batch(lengths, left=name in CAUSAL), limit=80)
        assert lean == expected


@pytest.mark.parametrize("name", ["Marian", "Bart", "M2M100", "T5", "Llama", "GPT2"])
@pytest.mark.parametrize(
    "settings",
    [
        {"min_length": 8},
        {"min_new_tokens": 6},
        {"forced_bos_token_id": 7},
        {"forced_eos_token_id": EOS},
        {"bad_words_ids": [[PAD], [9], [EOS]]},
        {"suppress_tokens": [5, 6, 8]},
        {"begin_suppress_tokens": [EOS, 10]},
        {"no_repeat_ngram_size": 2},
        {"eos_token_id": [EOS, 17]},
        {"repetition_penalty": 1.3},
        {"repetition_penalty": 0.8},
        {"repetition_penalty": 1.2, "no_repeat_ngram_size": 2, "min_length": 5},
        {
            "forced_bos_token_id": 7,
            "begin_suppress_tokens": [EOS],
            "min_length": 5,
            "no_repeat_ngram_size": 3,
        },
    ],
    ids=str,
)
def test_settings_of_the_generation_config_are_honoured(models, name, settings):
    expected, lean = both(models(name), *batch(left=name in CAUSAL), **settings)
    assert lean == expected


@pytest.mark.parametrize("name", [*SEQ2SEQ])
def test_sources_that_are_encoded_a_few_at_a_time_give_the_same(models, name, monkeypatch):
    model, sizes = models(name), []
    inputs, mask = batch(left=False)
    expected, _ = both(model, inputs, mask)
    encoder = model.get_encoder()

    def watched(**kwargs):
        sizes.append(tuple(kwargs["input_ids"].shape))
        return encoder(**kwargs)

    monkeypatch.setattr("llm_magics.models.generate.fast.seq2seq._ENCODED_TOKENS", 30)
    monkeypatch.setattr(model, "get_encoder", lambda: watched)
    assert (
        lean_rows(
            model,
            GenerationConfig(max_length=25),
            inputs,
            mask,
            [24] * len(inputs),
            lambda rows: False,
        )
        == expected
    )
    assert sizes == [(2, 9), (2, 14), (2, 14)]


def test_rows_end_at_different_lengths_in_these_tests(models):
    for name in ("Bart", "MBart", "Llama", "GPT2"):
        expected, _ = both(models(name), *batch(left=name in CAUSAL), limit=80)
        assert len({len(row) for row in expected}) > 2, name


def test_settings_beyond_the_loop_are_left_to_generate(models):
    inputs, mask = batch(left=False)
    for settings in (
        {"do_sample": True},
        {"repetition_penalty": 0.0},
        {"encoder_repetition_penalty": 1.3},
        {"bad_words_ids": [[4, 5]]},
        {"penalty_alpha": 0.6},
        {"sequence_bias": [[[4], -1.0]]},
        {"exponential_decay_length_penalty": (4, 1.2)},
        {"stop_strings": ["x"]},
        {"remove_invalid_values": True},
        {"use_cache": False},
        {"num_beams": 2, "renormalize_logits": True},
        {"num_beams": 2, "low_memory": True},
        {"num_beams": 4, "num_beam_groups": 2},
        {"num_beams": 2, "diversity_penalty": 0.5},
        {"never_heard_of": 3},
    ):
        config = GenerationConfig(max_length=9, **settings)
        assert (
            lean_rows(models("Marian"), config, inputs, mask, [8] * len(inputs), lambda rows: False)
            is None
        ), settings


def test_a_model_that_is_not_as_published_is_left_to_generate(models):
    inputs, mask = batch(left=False)
    config, limits = GenerationConfig(max_length=9), [8] * len(inputs)

    def lean(model):
        return lean_rows(model, config, inputs, mask, limits, lambda rows: False)

    marian = models("Marian")
    handle = marian.model.decoder.layers[0].register_forward_hook(lambda *_: None)
    assert lean(marian) is None
    handle.remove()
    marian.forward = marian.forward
    assert lean(marian) is None
    del marian.forward
    assert lean(marian) is not None

    class Mine(transformers.MarianMTModel):
        pass

    assert lean(Mine(marian.config).eval()) is None
    unknown = transformers.LEDForConditionalGeneration(
        transformers.LEDConfig(
            vocab_size=V,
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            attention_window=4,
            max_encoder_position_embeddings=32,
            max_decoder_position_embeddings=32,
        )
    )
    assert lean(unknown.eval()) is None


def test_a_sliding_window_that_would_matter_is_left_to_generate():
    model = build("Mistral", DECODER | {"sliding_window": 20})
    inputs, mask = batch(left=True)
    config = GenerationConfig(max_length=60)
    assert lean_rows(model, config, inputs, mask, [46] * len(inputs), lambda rows: False) is None
    expected, lean = both(model, inputs, mask, limit=6)
    assert lean == expected


def test_every_row_has_its_own_limit_and_leaves_at_it(models, monkeypatch):
    model = models("Marian")
    inputs, mask = batch(left=False)
    whole, _ = both(model, inputs, mask, limit=40, suppress_tokens=[EOS])
    limits = [4, 31, 1, 40, 12, 7]
    config = GenerationConfig(max_length=41, suppress_tokens=[EOS])
    sizes, forward = [], BartSteps._forward
    monkeypatch.setattr(
        BartSteps,
        "_forward",
        lambda self, tokens, bias: (sizes.append(len(tokens)), forward(self, tokens, bias))[1],
    )
    lean = lean_rows(model, config, inputs, mask, limits, lambda rows: False)
    assert lean == [row[:limit] for row, limit in zip(whole, limits, strict=True)]
    assert sizes == [sum(limit > step for limit in limits) for step in range(40)]


def test_the_watcher_sees_every_token_and_may_stop(models):
    model, seen = models("Llama"), []
    inputs, mask = batch(left=True)

    def watch(rows):
        seen.append([len(row) for row in rows])
        return len(seen) == 5

    rows = lean_rows(
        model, GenerationConfig(max_length=40, min_new_tokens=20), inputs, mask, [20] * 6, watch
    )
    assert seen == [[step] * 6 for step in range(1, 6)]
    assert [len(row) for row in rows] == [5] * 6


def test_bfloat16_and_eager_attention_give_the_tokens_of_generate(models):
    for name in ("Marian", "T5"):
        model = build(name, SEQ2SEQ[name][1]).bfloat16()
        inputs, mask = batch([6, 6], left=False)
        expected, lean = both(model, inputs, mask)
        assert [row[:3] for row in lean] == [
            row[:3] for row in expected
        ]  # further on, ties of bfloat16 may fall otherwise
    eager = build("Bart", SMALL | SHORT | {"attn_implementation": "eager"})
    assert eager.config._attn_implementation == "eager"
    expected, lean = both(eager, *batch(left=False))
    assert lean == expected
